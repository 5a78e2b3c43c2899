"""OCR of images and scanned pages, with Tesseract."""

import contextlib
import io
import os
import shutil

import psutil
import pytest
from PIL import Image, ImageDraw, ImageFont

from embedstack.documents import Document, ReadLimits, read_document
from embedstack.documents.limits import Allowance
from embedstack.documents.readers.ocr import Picture, read_picture
from embedstack.documents.readers.process import ReaderProcess
from embedstack.errors import ConfigurationError, DocumentRefused
from tests.support.document_files import join_pdf, make_pdf, make_stream
from tests.support.localaws.harness import wait_until

pytestmark = pytest.mark.skipif(shutil.which("tesseract") is None, reason="needs Tesseract")

WORDS = "Invoices are due within thirty days"
LIMITS = ReadLimits(ocr_languages="eng")


def picture(text: str = WORDS, mode: str = "L", size: tuple[int, int] = (900, 120)) -> Image.Image:
    image = Image.new("L", size, "white")
    ImageDraw.Draw(image).text((30, 30), text, fill="black", font=ImageFont.load_default(44))
    return image.convert(mode)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    target = io.BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


def read(content: bytes, source: str, limits: ReadLimits = LIMITS) -> Document:
    return read_document(io.BytesIO(content), source, limits)


def running_members(group: int) -> list[int]:
    """Processes of a group, without those that have ended and are not reaped yet."""
    members = []
    for process in psutil.process_iter():
        with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                members.append(process.pid)
    return members


def scan(*pages: str) -> bytes:
    """A PDF with a picture on each page, and a page with text."""
    kids = b" ".join(b"%d 0 R" % (3 + 3 * index) for index in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, len(pages)),
    ]
    for index, text in enumerate(pages):
        image = picture(text)
        number = 3 + 3 * index
        objects += [
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 450 60] /Contents %d 0 R "
            b"/Resources << /XObject << /I %d 0 R >> >> >>" % (number + 1, number + 2),
            make_stream(b"450 0 0 60 0 0 cm /I Do"),
            make_stream(
                image.tobytes(),
                b"/Type /XObject /Subtype /Image /Width 900 /Height 120 /ColorSpace /DeviceGray /BitsPerComponent 8",
            ),
        ]
    return join_pdf(objects, b"")


@pytest.mark.parametrize(
    ("kind", "source", "mode"),
    [
        ("PNG", "a.png", "RGBA"),
        ("JPEG", "a.jpeg", "RGB"),
        ("GIF", "a.gif", "P"),
        ("BMP", "a.bmp", "RGB"),
        ("WEBP", "photo", "RGB"),
    ],
)
def test_images_are_read(kind, source, mode):
    document = read(saved(picture(mode=mode), kind), source)
    assert [(section.text, section.page) for section in document.sections] == [(WORDS, 1)]
    assert document.media_type == f"image/{kind.lower()}"
    assert document.notes == ("Pages read by OCR: 1 of 1.",)


def test_pages_of_a_tiff_file_are_read():
    content = saved(picture("First page"), "TIFF", save_all=True, append_images=[picture(""), picture("Third page")])
    document = read(content, "a.tif")
    assert [(section.text, section.page) for section in document.sections] == [("First page", 1), ("Third page", 3)]
    assert document.notes == ("Pages read by OCR: 2 of 3.",)


def test_scanned_pages_of_a_pdf_are_read():
    document = read(scan(WORDS, "", "The cat sleeps"), "a.pdf")
    assert [(section.text, section.page) for section in document.sections] == [(WORDS, 1), ("The cat sleeps", 3)]
    assert document.notes == ("Pages read by OCR: 2 of 3.", "1 of 3 pages have no text.")


def test_pages_with_text_need_no_ocr():
    assert read(make_pdf("hello"), "a.pdf").notes == ()


def test_scans_and_images_name_the_setting_without_ocr():
    with pytest.raises(DocumentRefused, match="EMBEDSTACK_OCR=true") as refused:
        read(scan(WORDS), "a.pdf", ReadLimits())
    assert refused.value.reason == "empty"
    with pytest.raises(DocumentRefused, match="EMBEDSTACK_OCR=true") as refused:
        read(saved(picture(), "PNG"), "a.png", ReadLimits())
    assert refused.value.reason == "unsupported"


def test_pages_for_ocr_are_limited():
    document = read(scan(WORDS, "The cat sleeps"), "a.pdf", ReadLimits(ocr_languages="eng", max_ocr_pages=1))
    assert [section.text for section in document.sections] == [WORDS]
    assert "Only the first 1 scanned pages were read by OCR." in document.notes


def test_time_for_a_page_is_limited():
    limits = ReadLimits(ocr_languages="eng", max_ocr_seconds=0.001)
    with pytest.raises(DocumentRefused, match="no text that OCR recognizes"):
        read(saved(picture(), "PNG"), "a.png", limits)


@pytest.mark.parametrize(
    ("seconds", "pixels", "note"),
    [
        (0.001, b"\xff" * 100, "Pages without text because OCR took more than 0.001 s: 2."),
        (60.0, b"", "Pages without text because Tesseract failed: 2."),
    ],
)
def test_pages_that_ocr_cannot_read_are_noted(seconds, pixels, note):
    allowance = Allowance("a.pdf", ReadLimits(ocr_languages="eng", max_ocr_seconds=seconds))
    assert [read_picture(Picture(10, 10, pixels), allowance) for _ in range(2)] == ["", ""]
    assert allowance.notes == [note]


@pytest.mark.parametrize(("size", "limit"), [((15_000, 15_000), 50_000_000), ((100, 100), 9_999)])
def test_bombs_are_refused_before_decoding(size, limit):
    bomb = saved(Image.new("1", size), "PNG")
    assert len(bomb) < 50_000
    with pytest.raises(DocumentRefused, match="pixels") as refused:
        read(bomb, "a.png", ReadLimits(ocr_languages="eng", max_image_pixels=limit))
    assert refused.value.reason == "too_large"


def test_time_limit_of_the_document_ends_tesseract():
    pages = io.BytesIO(scan(*[WORDS] * 60))
    limits = ReadLimits(ocr_languages="eng", max_seconds=2)
    process = ReaderProcess()
    with pytest.raises(DocumentRefused, match="took longer than 2 s"):
        process.read(pages, Allowance("a.pdf", limits), "a.pdf")
    process.close()
    wait_until(lambda: not running_members(process.pid), timeout=10)


@pytest.mark.parametrize(
    "content", [saved(picture(), "PNG")[:60], saved(picture(), "PNG")[:-200], b"\x89PNG\r\n\x1a\n"]
)
def test_damaged_images_are_refused(content):
    with pytest.raises(DocumentRefused) as refused:
        read(content, "a.png")
    assert refused.value.reason == "corrupt"


@pytest.mark.parametrize("languages", ["xyz", "eng+xyz", "--help"])
def test_missing_language_is_a_configuration_error(languages):
    with pytest.raises(ConfigurationError, match="OCR_LANGUAGES"):
        read(saved(picture(), "PNG"), "a.png", ReadLimits(ocr_languages=languages))
