"""Builds sections from a sequence of headings and text blocks."""

from typing import NamedTuple

from embedstack.documents.document import Section
from embedstack.documents.limits import Allowance
from embedstack.documents.readers.cleaning import clean, clean_line
from embedstack.documents.readers.data_uris import remove_data_uris

__all__ = ["Outline", "Reading"]


class Reading(NamedTuple):
    """The result of a format's reader.

    Attributes:
        sections: Sections as in :class:`~embedstack.documents.document.Document`; may be empty.
        title: The file's title.
        encoding: The character encoding.
    """

    sections: list[Section]
    title: str | None = None
    encoding: str | None = None


class Outline:
    """Collects text under headings.

    A heading opens a section and is its first line. A heading without text directly below it becomes the first line of
    the deeper section that follows, so that no text is lost and few sections consist of a heading alone. The content of
    data URIs is omitted.
    """

    def __init__(self, allowance: Allowance, *, distinct: bool = False) -> None:
        """Create an empty outline.

        Args:
            allowance: Counts the characters.
            distinct: Omit repeated blocks.
        """
        self._allowance = allowance
        self._seen: set[str] | None = set() if distinct else None
        self._sections: list[Section] = []
        self._path: list[tuple[int, str]] = []
        self._parts: list[str] = []
        self._has_body = False
        self._ends_tight = False

    def heading(self, level: int, title: str, line: str | None = None) -> None:
        """Open a section.

        Args:
            level: The level; smaller is higher. Any integer is valid.
            title: The heading.
            line: The heading as written in the text; defaults to the title.
        """
        name = clean_line(title)
        if not name:
            self.add(line or "")
            return
        deeper = not self._path or level > self._path[-1][0]
        if self._has_body or not deeper:
            self._close()
        while self._path and self._path[-1][0] >= level:
            self._path.pop()
        self._path.append((level, name))
        self._append(line or title, tight=False)

    def add(self, text: str, *, tight: bool = False) -> None:
        """Add a block of text. Consecutive tight blocks, such as table rows, are not separated by empty lines."""
        if self._append(text, tight=tight):
            self._has_body = True

    def sections(self) -> list[Section]:
        """The collected sections."""
        self._close()
        return self._sections

    def _append(self, text: str, *, tight: bool) -> bool:
        text = remove_data_uris(clean(text), self._allowance).strip("\n").rstrip()
        if not text.strip():
            return False
        if self._seen is not None:
            if text in self._seen:
                return False
            self._seen.add(text)
        self._allowance.take_characters(len(text))
        if self._parts:
            self._parts.append("\n" if tight and self._ends_tight else "\n\n")
        self._parts.append(text)
        self._ends_tight = tight
        return True

    def _close(self) -> None:
        if self._parts:
            self._sections.append(Section("".join(self._parts), tuple(name for _, name in self._path)))
        self._parts = []
        self._has_body = self._ends_tight = False
