"""Reads images by OCR: one section per page."""

import io
from typing import TYPE_CHECKING

from embedstack.documents.document import Section
from embedstack.documents.limits import Allowance
from embedstack.documents.readers.ocr import Picture, read_picture
from embedstack.documents.readers.outline import Reading

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["read_image"]

_FORMATS = ("PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP")
# About an A4 page at 400 dpi. More is slower and not more accurate.
_ENOUGH_PIXELS = 16_000_000


def read_image(content: bytes, allowance: Allowance) -> Reading:
    """Read an image with Tesseract.

    The pages of a TIFF file are read; of an animation, only the first picture.

    Raises:
        DocumentRefused: OCR is off ("unsupported"), the image has too many pixels ("too_large"), or no text ("empty").
        ConfigurationError: Tesseract, the data of a language or Pillow is not installed.
    """
    if not allowance.limits.ocr_languages:
        allowance.refuse(
            "unsupported",
            "is an image, which needs OCR. Install Tesseract and embedstack[ocr], and set EMBEDSTACK_OCR=true. "
            "The ingest function has no OCR.",
        )
    from PIL import Image, TiffImagePlugin, UnidentifiedImageError  # noqa: PLC0415 - in a separate extra

    try:
        image = Image.open(io.BytesIO(content), formats=_FORMATS)
    except Image.DecompressionBombError:
        # Pillow's own limit is higher.
        allowance.refuse("too_large", "has too many pixels. Reduce its size.")
    except UnidentifiedImageError:
        allowance.refuse("corrupt", "cannot be read as an image; it may be truncated. Upload it again.")
    # Of an animation, the first frame has the text of the others.
    pages = image.n_frames if isinstance(image, TiffImagePlugin.TiffImageFile) else 1
    sections = []
    for page in range(1, pages + 1):
        allowance.take_page()
        image.seek(page - 1)
        # Before decoding: a file of a few bytes may have a billion pixels.
        allowance.check_pixels(image.width * image.height)
        text = read_picture(_to_picture(image), allowance) if allowance.take_ocr_page() else ""
        if text:
            allowance.take_characters(len(text))
            sections.append(Section(text, page=page))
    if not sections:
        allowance.refuse("empty", "has no text that OCR recognizes.")
    allowance.notes.append(f"Pages read by OCR: {len(sections)} of {pages}.")
    return Reading(sections)


def _to_picture(image: "Image.Image") -> Picture:
    from PIL import Image, ImageOps  # noqa: PLC0415 - see read_image()

    upright = ImageOps.exif_transpose(image)
    while upright.width * upright.height > _ENOUGH_PIXELS:
        upright = upright.reduce(2)
    # Transparent pixels are shown on white paper.
    colors = upright.convert("RGBA")
    paper = Image.new("RGBA", colors.size, "white")
    paper.alpha_composite(colors)
    grey = paper.convert("L")
    return Picture(grey.width, grey.height, grey.tobytes())
