"""Reads scanned pages of a PDF by OCR."""

import math

from pypdfium2 import PdfDocument, PdfiumError

from embedstack.documents.limits import Allowance
from embedstack.documents.readers.ocr import Picture, read_picture

__all__ = ["read_scan"]

# Tesseract is made for 300 dpi. A PDF's unit is 1/72 inch.
_SCALE = 300 / 72
# About an A4 page at 300 dpi. Larger pages are rendered with less detail.
_MAX_PIXELS = 9_000_000


def read_scan(document: PdfDocument, index: int, allowance: Allowance) -> str:
    """The text of a page's picture; "" without text, if OCR is off, or if too many pages need it.

    Args:
        document: The PDF.
        index: The page's index, from 0.
        allowance: The limits, with the languages.
    """
    if not allowance.limits.ocr_languages or not allowance.take_ocr_page():
        return ""
    try:
        picture = _render(document, index)
    except PdfiumError:
        return ""
    return read_picture(picture, allowance)


def _render(document: PdfDocument, index: int) -> Picture:
    page = document[index]
    try:
        width, height = page.get_size()
        scale = min(_SCALE, math.sqrt(_MAX_PIXELS / max(width * height, 1)))
        bitmap = page.render(scale=scale, grayscale=True)
        try:
            # Rows may be padded.
            pixels = bytes(bitmap.buffer)
            rows = (pixels[start : start + bitmap.width] for start in range(0, len(pixels), bitmap.stride))
            return Picture(bitmap.width, bitmap.height, b"".join(rows))
        finally:
            bitmap.close()
    finally:
        page.close()
