"""What a reader makes of a file."""

from dataclasses import dataclass

__all__ = ["Document", "Section"]


@dataclass(frozen=True, slots=True)
class Section:
    r"""A part of a document that belongs together: what stands under one heading, on one page, in one row.

    Attributes:
        text: Its text, its own heading included, with ``\n`` at line ends. No NUL, no other control character but tab,
            and no lone surrogate, so that it can be encoded and stored.
        headings: The headings that it stands under, from the outermost to its own.
        page: Page in the file, from 1; None where the format has no pages.
        row: Line of a JSON Lines file, or record of a table with its header counted, from 1; None elsewhere.
    """

    text: str
    headings: tuple[str, ...] = ()
    page: int | None = None
    row: int | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A file that has been read.

    Attributes:
        source: The key or path that the caller named it by.
        media_type: What it was read as, such as ``application/pdf``: by content, where that and the suffix differ.
        sections: Its text in the file's order; at least one section, and none without text.
        title: The title that the file gives itself; None where it has none.
        encoding: The character encoding that the text was in, by Python's name; None where the format knows but one.
        notes: What a person may want to know: how many pages or rows have no text; that the encoding was guessed.
            Never content.
    """

    source: str
    media_type: str
    sections: tuple[Section, ...]
    title: str | None = None
    encoding: str | None = None
    notes: tuple[str, ...] = ()
