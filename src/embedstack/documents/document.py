"""A parsed document."""

from dataclasses import dataclass

__all__ = ["Document", "Section"]


@dataclass(frozen=True, slots=True)
class Section:
    r"""A part of a document: the text under one heading, on one page, or in one row.

    Attributes:
        text: The text including its heading, with ``\n`` at line ends. It contains no control character but tab, and no
            unpaired surrogate, so that it can be encoded and stored.
        headings: The headings from the outermost to the section's own.
        page: Page in the file, from 1; None for formats without pages.
        row: Line of a JSON Lines file, or record of a table including its header, from 1; None for other formats.
    """

    text: str
    headings: tuple[str, ...] = ()
    page: int | None = None
    row: int | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file.

    Attributes:
        source: The key or path given by the caller.
        media_type: The media type it was read as, such as ``application/pdf``. The content takes precedence over the
            suffix.
        sections: The text in the file's order; at least one section, none without text.
        title: The file's title; None if it has none.
        encoding: The character encoding by Python's name; None for formats with a fixed encoding.
        notes: Remarks for users, such as the number of pages without text or a guessed encoding. They never contain
            content.
    """

    source: str
    media_type: str
    sections: tuple[Section, ...]
    title: str | None = None
    encoding: str | None = None
    notes: tuple[str, ...] = ()
