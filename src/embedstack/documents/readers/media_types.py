"""The media type of a file, by suffix and content. Content that is unambiguous takes precedence."""

import codecs
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from embedstack.documents.limits import Allowance
from embedstack.documents.readers.encodings import decode
from embedstack.documents.readers.package import open_package, read_part
from embedstack.errors import DocumentRefused

if TYPE_CHECKING:
    from embedstack.errors import RefusalReason

__all__ = [
    "CSV", "DOCX", "EMAIL", "EPUB", "HTML", "IMAGES", "JSON", "JSON_LINES", "MARKDOWN", "NOTEBOOK", "ODP", "ODS", "ODT",
    "OUTLOOK", "PDF", "PLAIN", "PPTX", "RTF", "SUFFIXES", "XLSX", "XML", "media_type_of",
]  # fmt: skip

PLAIN = "text/plain"
MARKDOWN = "text/markdown"
HTML = "text/html"
PDF = "application/pdf"
JSON = "application/json"
JSON_LINES = "application/jsonl"
NOTEBOOK = "application/x-ipynb+json"
XML = "application/xml"
CSV = "text/csv"
RTF = "application/rtf"
EPUB = "application/epub+zip"
EMAIL = "message/rfc822"
OUTLOOK = "application/vnd.ms-outlook"
_OFFICE = "application/vnd.openxmlformats-officedocument."
DOCX = f"{_OFFICE}wordprocessingml.document"
XLSX = f"{_OFFICE}spreadsheetml.sheet"
PPTX = f"{_OFFICE}presentationml.presentation"
_OPEN_DOCUMENT = "application/vnd.oasis.opendocument."
ODT = f"{_OPEN_DOCUMENT}text"
ODS = f"{_OPEN_DOCUMENT}spreadsheet"
ODP = f"{_OPEN_DOCUMENT}presentation"
PNG, JPEG, GIF, TIFF, WEBP, BMP = "image/png", "image/jpeg", "image/gif", "image/tiff", "image/webp", "image/bmp"
#: Images, which are read by OCR.
IMAGES = frozenset({PNG, JPEG, GIF, TIFF, WEBP, BMP})

#: Media types by lower-case suffix. Files with other suffixes are plain text, if their content is text.
SUFFIXES = {
    ".txt": PLAIN,
    ".text": PLAIN,
    ".md": MARKDOWN,
    ".markdown": MARKDOWN,
    ".html": HTML,
    ".htm": HTML,
    ".xhtml": HTML,
    ".pdf": PDF,
    ".json": JSON,
    ".jsonl": JSON_LINES,
    ".ndjson": JSON_LINES,
    ".ipynb": NOTEBOOK,
    ".xml": XML,
    ".csv": CSV,
    ".tsv": CSV,
    ".docx": DOCX,
    ".docm": DOCX,
    ".xlsx": XLSX,
    ".xlsm": XLSX,
    ".pptx": PPTX,
    ".pptm": PPTX,
    ".ppsx": PPTX,
    ".odt": ODT,
    ".ods": ODS,
    ".odp": ODP,
    ".rtf": RTF,
    ".epub": EPUB,
    ".eml": EMAIL,
    ".mht": EMAIL,
    ".mhtml": EMAIL,
    ".msg": OUTLOOK,
    ".png": PNG,
    ".jpg": JPEG,
    ".jpeg": JPEG,
    ".gif": GIF,
    ".tif": TIFF,
    ".tiff": TIFF,
    ".webp": WEBP,
    ".bmp": BMP,
}
# Their readers recognize other content themselves.
_BINARY_FORMATS = IMAGES | {PDF, DOCX, XLSX, PPTX, ODT, ODS, ODP, EPUB, OUTLOOK, RTF}

# Signatures of images.
_IMAGE_STARTS = (
    (b"\x89PNG\r\n", PNG),
    (b"\xff\xd8\xff", JPEG),
    (b"GIF8", GIF),
    (b"II*\0", TIFF),
    (b"MM\0*", TIFF),
    (b"BM", BMP),
)
# Signatures of other binary files, and their descriptions.
_BINARY = (
    (b"\x1f\x8b", "compressed by gzip"),
    (b"BZh", "compressed by bzip2"),
    (b"\xfd7zXZ\0", "compressed by xz"),
    (b"(\xb5/\xfd", "compressed by Zstandard"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x7fELF", "a program"),
    (b"MZ\x90\0", "a program"),
    (b"\xca\xfe\xba\xbe", "a program"),
    (b"PAR1", "a Parquet file"),
    (b"SQLite format 3\0", "a SQLite database"),
    (b"\0asm", "a program"),
    (b"ID3", "an audio file"),
    (b"OggS", "an audio file"),
    (b"fLaC", "an audio file"),
    (b"wOFF", "a font"),
    (b"wOF2", "a font"),
    (b"%!PS-Adobe", "a PostScript file"),
)
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ZIP = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_RTF = b"{\\rtf"
# Names in the directory of an OLE file, and the format that has them with its successor.
_OLE_NAMES = (
    ("WordDocument", "Word's", "docx"),
    ("Workbook", "Excel's", "xlsx"),
    ("Book", "Excel's", "xlsx"),
    ("PowerPoint Document", "PowerPoint's", "pptx"),
)
_OLE_MESSAGE = "__properties_version1.0"
_PACKAGE_TYPES = {
    b"wordprocessingml.": DOCX,
    b"ms-word.": DOCX,
    b"ms-excel.sheet.binary": None,
    b"spreadsheetml.": XLSX,
    b"ms-excel.": XLSX,
    b"presentationml.": PPTX,
    b"ms-powerpoint.": PPTX,
}
_MAIN_TYPE = re.compile(
    rb"[\"']application/vnd\.(?:openxmlformats-officedocument\.)?"
    rb"((?:wordprocessingml|spreadsheetml|presentationml|ms-word|ms-excel|ms-powerpoint)\.[A-Za-z.]+)\.main\b"
)
_PACKAGE_FOLDERS = {"word/": DOCX, "xl/": XLSX, "ppt/": PPTX}
_PAGE = re.compile(rb"<!doctype\s+html|<html[\s>]", re.IGNORECASE)
_XML = re.compile(rb"<\?xml\s")
# Starts and ends of comments and declarations that may precede a page's document type.
_BEFORE_PAGE = ((b"<!--", b"-->"), (b"<?", b"?>"))
# Headers of an e-mail. Two of them make a text without suffix an e-mail.
_MAIL_HEADER = re.compile(
    rb"^(From|To|Subject|Date|Received|Message-ID|MIME-Version|Return-Path|Delivered-To|X-[\w-]+):[ \t]",
    re.IGNORECASE | re.MULTILINE,
)
_HEADER_LINE = re.compile(rb"[!-9;-~]+:|From |[ \t]")
# PDF readers accept the header within the first 1,024 bytes (ISO 32000-1, annex H.3.4.1).
_PDF_HEADER = 1024
_HEAD = 4096
_SAMPLE = 64 * 1024
# Control characters that no text has. Those of terminals (BEL, BS, ESC) are in logs.
_CONTROLS = re.compile(rb"[\x00-\x06\x0e-\x1a\x1c-\x1f]")


def media_type_of(content: bytes, source: str, allowance: Allowance) -> str:
    """The media type for reading a file.

    PDF, Office, OpenDocument, EPUB, RTF and Outlook files are detected with any suffix. HTML or CSV with the suffix
    ``.txt`` is read as plain text. A file without suffix or with an unknown one is HTML or XML by its content, an
    e-mail if it has no suffix, or else plain text.

    Args:
        content: The file.
        source: Its key or path.
        allowance: Refuses the document.

    Raises:
        DocumentRefused: The file is empty, does not match its suffix ("not_text", "corrupt"), or is not supported
            ("unsupported", "encrypted").
    """
    suffix = _suffix(source)
    named = SUFFIXES.get(suffix)
    if not content:
        allowance.refuse("empty", "is empty (0 bytes).")
    detected = _detect(content, named, allowance)
    if detected:
        return detected
    if named in _BINARY_FORMATS:
        allowance.refuse("corrupt", f"is not a {suffix[1:]} file. Export it again, or correct its suffix.")
    if named:
        return named
    if suffix:
        _require_text(content, allowance)
    detected = _text_type(content)
    return PLAIN if suffix and detected == EMAIL else detected


def _detect(content: bytes, named: str | None, allowance: Allowance) -> str | None:
    """The type of a binary file; None for text."""
    if _is_pdf(content, named):
        return PDF
    if content.startswith(_ZIP):
        return _zip_type(content, named, allowance)
    if content.startswith(_OLE):
        return _ole_type(content, named, allowance)
    if content.startswith(_RTF) and named in (None, RTF, DOCX, PLAIN):
        return RTF
    if named == OUTLOOK and _is_mail(content):
        return EMAIL
    image = _image(content)
    if image and (named is None or named in IMAGES):
        return image
    description = f"a {image[6:].upper()} image" if image else _binary(content)
    if description:
        reason: RefusalReason = "not_text" if named else "unsupported"
        mismatch = "which does not match its suffix" if named else "not a document"
        allowance.refuse(reason, f"is {description}, {mismatch}. {_advice()}")
    return None


def _zip_type(content: bytes, named: str | None, allowance: Allowance) -> str:
    with open_package(content, allowance) as package:
        names = set(package.namelist())
        declared = read_part(package, "mimetype", allowance)[:_HEAD].strip() if "mimetype" in names else b""
        if declared == EPUB.encode() or "META-INF/container.xml" in names:
            return EPUB
        for media_type in (ODT, ODS, ODP):
            if declared.startswith(media_type.encode()):
                return media_type
        types = read_part(package, "[Content_Types].xml", allowance) if "[Content_Types].xml" in names else b""
    main = _MAIN_TYPE.search(types)
    for start, package_type in _PACKAGE_TYPES.items() if main else ():
        if main and main[1].startswith(start):
            if package_type is None:
                allowance.refuse("unsupported", "is a binary workbook (xlsb). Save it as xlsx.")
            return package_type
    for folder, package_type in _PACKAGE_FOLDERS.items():
        if any(name.startswith(folder) for name in names):
            return package_type
    if any(name.endswith(".iwa") for name in names):
        allowance.refuse("unsupported", "is a document of Pages, Numbers or Keynote. Export it to PDF or Office.")
    reason: RefusalReason = "corrupt" if named in _BINARY_FORMATS else "not_text" if named else "unsupported"
    return allowance.refuse(reason, "is a zip archive, not a document. Unpack it.")


def _ole_type(content: bytes, named: str | None, allowance: Allowance) -> str:
    def has(name: str) -> bool:
        return name.encode("utf-16-le") in content

    # Office stores an encrypted docx in an OLE container ([MS-OFFCRYPTO] 2.3.4).
    if has("EncryptedPackage"):
        allowance.refuse("encrypted", "is protected by a password. Save it without one.")
    if has(_OLE_MESSAGE):
        return OUTLOOK
    reason: RefusalReason = "corrupt" if named in _BINARY_FORMATS else "not_text" if named else "unsupported"
    program, successor = next(
        ((program, successor) for name, program, successor in _OLE_NAMES if has(name)), ("the Office", "docx")
    )
    return allowance.refuse(reason, f"is in {program} format from before 2007. Save it as {successor} or PDF.")


def _suffix(source: str) -> str:
    # "notes 1.2" and "Letter to St. Mary" have no suffix that names a format.
    suffix = PurePosixPath(source.replace("\\", "/")).suffix.lower()
    return suffix if suffix[1:].isalnum() and not suffix[1:].isdigit() else ""


def _is_pdf(content: bytes, named: str | None) -> bool:
    if named in (None, PDF):
        return b"%PDF-" in content[:_PDF_HEADER]
    # A text about PDF may start with the signature.
    return content.startswith(b"%PDF-") and b"endobj" in content


def _text_type(content: bytes) -> str:
    head = content[:_HEAD]
    if _is_page(head):
        return HTML
    if _XML.match(head.removeprefix(codecs.BOM_UTF8)):
        return XML
    return EMAIL if _is_mail(head) else PLAIN


def _is_page(head: bytes) -> bool:
    rest = head.removeprefix(codecs.BOM_UTF8).lstrip()
    while end := next((end for start, end in _BEFORE_PAGE if rest.startswith(start)), None):
        rest = rest.partition(end)[2].lstrip()
    return bool(_PAGE.match(rest))


def _is_mail(content: bytes) -> bool:
    headers = re.split(rb"\r?\n\r?\n", content[:_HEAD].lstrip(), maxsplit=1)[0]
    names = {match[1].lower() for match in _MAIL_HEADER.finditer(headers)}
    lines = headers.splitlines()[:-1]  # the last line may be cut off
    return len(names) > 1 and all(_HEADER_LINE.match(line) for line in lines)


def _image(content: bytes) -> str | None:
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return WEBP
    for start, media_type in _IMAGE_STARTS:
        # A text may start with the letters of a signature, but contains no NUL.
        if content.startswith(start) and (not start.isalnum() or b"\0" in content[:_HEAD]):
            return media_type
    return None


def _binary(content: bytes) -> str | None:
    for start, description in _BINARY:
        if content.startswith(start) and (not start.isalnum() or b"\0" in content[:_HEAD]):
            return description
    return None


def _require_text(content: bytes, allowance: Allowance) -> None:
    sample = content[:_SAMPLE]
    if not _CONTROLS.search(sample):
        return
    try:
        # Text in UTF-16 and UTF-32 has zeros.
        decode(sample, Allowance(allowance.source, allowance.limits))
    except DocumentRefused:
        allowance.refuse("unsupported", f"is not text, and its format is unknown. {_advice()}")


def _advice() -> str:
    return "Convert it to text, HTML, PDF or an Office format."
