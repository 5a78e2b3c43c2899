"""Reads EPUB 2 and 3: the pages in reading order, one section per heading."""

import posixpath
import zipfile
from dataclasses import dataclass, field
from urllib.parse import unquote

from embedstack.documents.limits import Allowance
from embedstack.documents.readers.outline import Outline, Reading
from embedstack.documents.readers.package import open_package, parse_part, read_part
from embedstack.documents.readers.web_page import parse_web_page
from embedstack.errors import DocumentRefused

__all__ = ["read_epub"]

_CONTAINER = "META-INF/container.xml"
_ENCRYPTION = "META-INF/encryption.xml"
_PAGES = frozenset({"application/xhtml+xml", "text/html", "application/x-dtbook+xml", "text/x-oeb1-document"})
_NAVIGATION_LEVEL = 1


def read_epub(content: bytes, allowance: Allowance) -> Reading:
    """Read a book.

    Pages are read in the order of the spine. A page without headings gets the one that the table of contents has for
    it. The table of contents itself, pictures and audio are not read.

    Raises:
        DocumentRefused: Its pages are encrypted ("encrypted"), or it names no pages ("corrupt"); see also
            :func:`~embedstack.documents.readers.package.open_package`.
    """
    with open_package(content, allowance) as package:
        names = set(package.namelist())
        part = _package_part(package, names, allowance)
        book = _Book(posixpath.dirname(part))
        parse_part(package, part, allowance, start=book.start, end=book.end, data=book.data)
        pages = [name for name in book.pages() if name in names]
        if not pages:
            allowance.refuse("corrupt", "names no pages of the book. Export it again.")
        if _ENCRYPTION in names and _encrypted_parts(package, allowance) & set(pages):
            allowance.refuse("encrypted", "is protected by digital rights management. Use a copy without it.")
        contents = _contents(package, book, names, allowance)
        outline = Outline(allowance)
        for name in pages:
            if name == book.navigation:
                continue
            allowance.take_page()
            page = parse_web_page(read_part(package, name, allowance), allowance)
            if name in contents and not page.has_headings:
                outline.heading(_NAVIGATION_LEVEL, contents[name])
            page.add_to(outline)
    return Reading(outline.sections(), title="".join(book.title) or None)


def _package_part(package: zipfile.ZipFile, names: set[str], allowance: Allowance) -> str:
    parts: list[str] = []

    def start(element: str, attributes: dict[str, str]) -> None:
        if element == "rootfile":
            parts.append(attributes.get("full-path", ""))

    if _CONTAINER in names:
        parse_part(package, _CONTAINER, allowance, start=start)
    # A few books lack the container, or name a part that is missing.
    candidates = (*parts, *sorted(name for name in names if name.lower().endswith(".opf")))
    part = next((part for part in candidates if part in names), None)
    if part is None:
        allowance.refuse("corrupt", "lacks its package document; it may be truncated. Upload it again.")
    return part


def _encrypted_parts(package: zipfile.ZipFile, allowance: Allowance) -> set[str]:
    parts: set[str] = set()

    def start(element: str, attributes: dict[str, str]) -> None:
        if element == "CipherReference":
            parts.add(unquote(attributes.get("URI", "")))

    parse_part(package, _ENCRYPTION, allowance, start=start)
    return parts


@dataclass(slots=True)
class _Book:
    """Handles the elements of the package document.

    Attributes:
        folder: Its folder, to which references are relative.
        title: Parts of the first title.
        navigation: EPUB 3's table of contents.
        contents: EPUB 2's table of contents.
    """

    folder: str
    title: list[str] = field(default_factory=list)
    navigation: str | None = None
    contents: str | None = None
    _items: dict[str, tuple[str, str]] = field(default_factory=dict)
    _spine: list[str] = field(default_factory=list)
    _titles: int = 0
    _in_title: bool = False

    def start(self, element: str, attributes: dict[str, str]) -> None:
        if element == "item":
            name = _resolve(self.folder, attributes.get("href", ""))
            media_type = attributes.get("media-type", "")
            self._items[attributes.get("id", "")] = (name, media_type)
            if "nav" in attributes.get("properties", "").split():
                self.navigation = name
            elif media_type == "application/x-dtbncx+xml":
                self.contents = name
        elif element == "itemref":
            self._spine.append(attributes.get("idref", ""))
        elif element == "title":
            self._titles += 1
            self._in_title = self._titles == 1

    def end(self, element: str) -> None:
        self._in_title = self._in_title and element != "title"

    def data(self, text: str) -> None:
        if self._in_title:
            self.title.append(text)

    def pages(self) -> list[str]:
        """Names of the pages in reading order; in the order of the manifest without a spine."""
        items = [self._items[identity] for identity in self._spine if identity in self._items]
        named = items or list(self._items.values())
        return list(dict.fromkeys(name for name, media_type in named if media_type in _PAGES))


def _resolve(folder: str, reference: str) -> str:
    """The part that a reference names, relative to a folder."""
    path = unquote(reference.partition("#")[0])
    return posixpath.normpath(posixpath.join("/", folder, path)).lstrip("/")


def _contents(package: zipfile.ZipFile, book: _Book, names: set[str], allowance: Allowance) -> dict[str, str]:
    """The first entry of the table of contents for each page."""
    part = next((part for part in (book.navigation, book.contents) if part and part in names), None)
    if part is None:
        return {}
    handler = _Contents(posixpath.dirname(part))
    try:
        parse_part(package, part, allowance, start=handler.start, end=handler.end, data=handler.data)
    except DocumentRefused as refused:
        if refused.reason != "corrupt":
            raise
        return {}  # the book is readable without it
    return handler.entries


class _Contents:
    """Handles the elements of a table of contents: links in EPUB 3, points with a text and a target in EPUB 2."""

    def __init__(self, folder: str) -> None:
        self.entries: dict[str, str] = {}
        self._folder = folder
        self._label: list[str] = []
        self._in_label = False
        self._link = ""

    def start(self, element: str, attributes: dict[str, str]) -> None:
        if element in ("a", "text"):
            self._label, self._in_label = [], True
            self._link = attributes.get("href", "")
        elif element == "content":
            self._enter(attributes.get("src", ""))

    def end(self, element: str) -> None:
        if element in ("a", "text"):
            self._in_label = False
        if element == "a":
            self._enter(self._link)

    def data(self, text: str) -> None:
        if self._in_label:
            self._label.append(text)

    def _enter(self, link: str) -> None:
        text = " ".join("".join(self._label).split())
        if link and text:
            self.entries.setdefault(_resolve(self._folder, link), text)
