"""Reads a document from bytes in this process, without limits on time and memory.

:func:`embedstack.documents.read_document` runs this in a separate process with limits.
"""

from collections.abc import Callable
from importlib import import_module

from embedstack.documents.document import Document
from embedstack.documents.limits import Allowance, ReadLimits
from embedstack.documents.readers import media_types
from embedstack.documents.readers.cleaning import clean_line
from embedstack.documents.readers.outline import Reading
from embedstack.errors import ConfigurationError, DocumentRefused

__all__ = ["read_bytes"]

_Reader = Callable[[bytes, Allowance], Reading]

# Imported on first use: most functions read one or two formats.
_READERS = {
    media_types.PLAIN: ("plain_text", "read_plain_text"),
    media_types.MARKDOWN: ("markdown", "read_markdown"),
    media_types.HTML: ("web_page", "read_web_page"),
    media_types.XML: ("xml_text", "read_xml"),
    media_types.PDF: ("pdf", "read_pdf"),
    media_types.JSON: ("json_text", "read_json"),
    media_types.JSON_LINES: ("json_lines", "read_json_lines"),
    media_types.NOTEBOOK: ("notebook", "read_notebook"),
    media_types.CSV: ("delimited", "read_delimited"),
    media_types.DOCX: ("word", "read_word"),
    media_types.XLSX: ("spreadsheet", "read_spreadsheet"),
    media_types.PPTX: ("presentation", "read_presentation"),
    media_types.ODT: ("open_document", "read_open_document"),
    media_types.ODS: ("open_document", "read_open_document_sheet"),
    media_types.ODP: ("open_document", "read_open_document"),
    media_types.RTF: ("rich_text", "read_rich_text"),
    media_types.EPUB: ("epub", "read_epub"),
    media_types.EMAIL: ("email_message", "read_email"),
    media_types.OUTLOOK: ("outlook_message", "read_outlook_message"),
    **dict.fromkeys(media_types.IMAGES, ("image", "read_image")),
}


def read_bytes(content: bytes, source: str, limits: ReadLimits | None = None) -> Document:
    """Read a file in memory.

    Args:
        content: The whole file.
        source: The file's key or path, whose suffix gives the media type.
        limits: Limits for the content; time and memory are not limited.

    Raises:
        DocumentRefused: The document cannot be read. The content causes no other exception but MemoryError.
        ConfigurationError: Packages are missing.
    """
    allowance = Allowance(source, limits or ReadLimits())
    media_type = media_types.media_type_of(content, source, allowance)
    module, function = _READERS[media_type]
    try:
        reader: _Reader = getattr(import_module(f"embedstack.documents.readers.{module}"), function)
        reading = reader(content, allowance)
    except (DocumentRefused, ConfigurationError, MemoryError):
        raise
    except ImportError as error:
        extra = "ocr" if media_type in media_types.IMAGES else "documents"
        raise ConfigurationError(
            f"Reading {media_type} needs more packages: pip install 'embedstack[{extra}]'."
        ) from error
    except RecursionError:
        allowance.refuse("too_complex", "is nested too deeply. Flatten it, or convert it to text.")
    except Exception as error:  # noqa: BLE001 - libraries raise any error for damaged files
        allowance.refuse(
            "corrupt",
            f"cannot be read as {media_type} ({type(error).__name__}). Export it again, or convert it to text.",
        )
    if not reading.sections:
        allowance.refuse("empty", "has no text.")
    return Document(
        source=source,
        media_type=media_type,
        sections=tuple(reading.sections),
        title=clean_line(reading.title or "") or None,
        encoding=reading.encoding,
        notes=tuple(allowance.notes),
    )
