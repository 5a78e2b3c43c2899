"""Reads messages of Outlook (.msg, [MS-OXMSG]) with olefile.

extract-msg is under the GPL, and python-oxmsg reads neither messages in messages nor rich text.
"""

import codecs
import io
import struct
from datetime import UTC, datetime, timedelta

import olefile

from embedstack.documents.limits import Allowance
from embedstack.documents.readers.cleaning import clean
from embedstack.documents.readers.compressed_rtf import decompress_rtf
from embedstack.documents.readers.encodings import decode
from embedstack.documents.readers.mail_outline import MailHeaders, MailOutline, better_body
from embedstack.documents.readers.outline import Reading
from embedstack.documents.readers.rich_text import read_rich_text
from embedstack.documents.readers.web_page import WebPage, parse_web_page

__all__ = ["read_outlook_message"]

# Property ids ([MS-OXPROPS]); of two, the first that exists is used.
_SUBJECT, _BODY, _HTML, _COMPRESSED_RTF = "0037", "1000", "1013", "1009"
_SENDER_NAMES, _SENDER_ADDRESSES = ("0C1A", "0042"), ("5D01", "0C1F", "0065")
_TO, _CC = "0E04", "0E03"
_DATES = ("0039", "0E06")
_CODE_PAGES = ("3FFD", "3FDE")
_FILE_NAMES, _MEDIA_TYPE = ("3707", "3704", "3001"), "370E"
_UNICODE, _STRING, _BINARY = "001F", "001E", "0102"
_PROPERTIES = "__properties_version1.0"
_STREAM = "__substg1.0_"
_ATTACHMENT = "__attach_version1.0_#"
_EMBEDDED = f"{_STREAM}3701000D"
# Size of the property stream's header, of the file's message and of a message in it ([MS-OXMSG] 2.4.1).
_TOP_HEADER, _EMBEDDED_HEADER = 32, 24
_ENTRY = struct.Struct("<HHI8s")  # type, id, flags, value
_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
_UTF_8 = 65001

_Path = tuple[str, ...]


def read_outlook_message(content: bytes, allowance: Allowance) -> Reading:
    """Read a message, like :func:`~embedstack.documents.readers.email_message.read_email`.

    If it has neither plain text nor HTML, its rich text is read.

    Raises:
        DocumentRefused: It is not a message ("corrupt").
    """
    with olefile.OleFileIO(io.BytesIO(content)) as file:
        if not file.exists(_PROPERTIES):
            allowance.refuse("corrupt", "lacks the properties of a message; it may be truncated. Upload it again.")
        outline = MailOutline(allowance)
        title = _Reader(file, outline, allowance).read((), 1)
    return Reading(outline.sections(), title=title or None)


class _Reader:
    """Reads a message and the messages in it."""

    def __init__(self, file: olefile.OleFileIO, outline: MailOutline, allowance: Allowance) -> None:
        self._file = file
        self._outline = outline
        self._allowance = allowance
        # Paths are case-insensitive.
        self._streams = {tuple(name.upper() for name in path): tuple(path) for path in file.listdir()}
        self._encoding: str | None = None

    def read(self, path: _Path, depth: int) -> str:
        """Read the message of a storage and return its subject; ``depth`` is 1 for the file's message."""
        numbers = self._numbers(path, _TOP_HEADER if depth == 1 else _EMBEDDED_HEADER)
        self._encoding = next(filter(None, (_encoding(numbers.get(name)) for name in _CODE_PAGES)), None)
        subject = self._line(path, _SUBJECT)
        name, address = self._line(path, *_SENDER_NAMES), self._line(path, *_SENDER_ADDRESSES)
        sender = f"{name} <{address}>".strip() if "@" in address and address != name else name or address
        date = next(filter(None, (_date(numbers.get(name)) for name in _DATES)), "")
        self._outline.open(MailHeaders(sender, self._line(path, _TO), self._line(path, _CC), date, subject), depth)
        self._outline.add(self._body(path))
        for attachment in self._attachments(path):
            self._read_attachment(attachment, depth)
        return subject

    def _attachments(self, path: _Path) -> list[_Path]:
        depth = len(path)
        storages = {
            stored[: depth + 1]
            for stored in self._streams.values()
            if len(stored) > depth + 1 and stored[:depth] == path and stored[depth].startswith(_ATTACHMENT)
        }
        return sorted(storages)

    def _read_attachment(self, path: _Path, depth: int) -> None:
        embedded = (*path, _EMBEDDED)
        if any(stored[: len(embedded)] == embedded for stored in self._streams.values()):
            encoding = self._encoding
            self.read(embedded, depth + 1)
            self._encoding = encoding
        else:
            media_type = self._line(path, _MEDIA_TYPE) or "application/octet-stream"
            self._outline.attach(self._line(path, *_FILE_NAMES), media_type)

    def _body(self, path: _Path) -> str | WebPage:
        plain = self._text(path, _BODY)
        html = self._stream(path, _HTML, _BINARY)
        page = parse_web_page(html, self._allowance, self._encoding) if html else None
        if page is None and (text := self._text(path, _HTML)):
            page = parse_web_page(text.encode(), self._allowance, "utf-8")
        body = better_body(plain, page)
        if not body:
            rtf = decompress_rtf(self._stream(path, _COMPRESSED_RTF, _BINARY), self._allowance)
            sections = read_rich_text(rtf, self._allowance).sections if rtf else []
            return "\n\n".join(section.text for section in sections)
        return body

    def _line(self, path: _Path, *names: str) -> str:
        """The first of some properties with text, on one line."""
        return next(filter(None, (" ".join(self._text(path, name).split()) for name in names)), "")

    def _text(self, path: _Path, name: str) -> str:
        wide = self._stream(path, name, _UNICODE)
        if wide:
            return clean(wide.decode("utf-16-le", "replace"))
        narrow = self._stream(path, name, _STRING)
        return clean(decode(narrow, self._allowance, self._encoding)[0]) if narrow else ""

    def _stream(self, path: _Path, name: str, kind: str) -> bytes:
        stored = self._stored((*path, f"{_STREAM}{name}{kind}"))
        if stored is None:
            return b""
        # Several entries may share their sectors.
        self._allowance.take_inflated(self._file.get_size(list(stored)))
        return bytes(self._file.openstream(list(stored)).read())

    def _stored(self, path: _Path) -> _Path | None:
        """The stored form of a stream's path; None if there is no such stream."""
        return self._streams.get(tuple(part.upper() for part in path))

    def _numbers(self, path: _Path, header: int) -> dict[str, int]:
        stored = self._stored((*path, _PROPERTIES))
        if stored is None:
            return {}
        properties = self._file.openstream(list(stored)).read()[header:]
        whole = len(properties) // _ENTRY.size * _ENTRY.size
        return {
            f"{identity:04X}": int.from_bytes(value, "little")
            for _, identity, _, value in _ENTRY.iter_unpack(properties[:whole])
        }


def _encoding(code_page: int | None) -> str | None:
    if code_page is None:
        return None
    name = "utf-8" if code_page == _UTF_8 else f"cp{code_page & 0xFFFF}"
    try:
        return codecs.lookup(name).name
    except LookupError:
        return None


def _date(ticks: int | None) -> str:
    """A time of 100-nanosecond ticks since 1601, in ISO 8601."""
    try:
        return (_EPOCH + timedelta(microseconds=ticks // 10)).replace(microsecond=0).isoformat() if ticks else ""
    except OverflowError:
        return ""
