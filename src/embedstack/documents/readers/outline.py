"""Sections by headings, as text and headings come in."""

from typing import NamedTuple

from embedstack.documents.document import Section
from embedstack.documents.limits import Allowance
from embedstack.documents.readers.cleaning import clean, clean_line

__all__ = ["Outline", "Reading"]


class Reading(NamedTuple):
    """What a format's reader found.

    Attributes:
        sections: As :class:`~embedstack.documents.document.Document`'s; may be empty.
        title: The file's own.
        encoding: Of its text.
    """

    sections: list[Section]
    title: str | None = None
    encoding: str | None = None


class Outline:
    """Collects text under headings.

    A heading opens a section and is its first line. One that has nothing of its own below it is not a section but the
    first line of the deeper one that follows: nothing is lost, and no section is a heading alone where that can be.
    """

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance
        self._sections: list[Section] = []
        self._path: list[tuple[int, str]] = []
        self._parts: list[str] = []
        self._has_body = False
        self._ends_tight = False

    def heading(self, level: int, title: str, line: str | None = None) -> None:
        """Open a section.

        Args:
            level: 1 is above 2; any integers will do.
            title: The heading.
            line: The heading as it stands in the text, where that is not the title alone.
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
        """Add a block of text; a tight one, such as a row of a table, keeps close to a tight one before it."""
        if self._append(text, tight=tight):
            self._has_body = True

    def sections(self) -> list[Section]:
        """What has been collected."""
        self._close()
        return self._sections

    def _append(self, text: str, *, tight: bool) -> bool:
        text = clean(text).strip("\n").rstrip()
        if not text.strip():
            return False
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
