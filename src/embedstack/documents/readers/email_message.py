"""Reads e-mails (RFC 5322 and MIME) and web archives (MHTML, RFC 2557)."""

import codecs
import email
import email.policy
from collections.abc import Iterator
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.utils import collapse_rfc2231_value

from embedstack.documents.limits import Allowance
from embedstack.documents.readers.cleaning import clean
from embedstack.documents.readers.encodings import decode
from embedstack.documents.readers.mail_outline import MailHeaders, MailOutline, better_body
from embedstack.documents.readers.outline import Reading
from embedstack.documents.readers.web_page import WebPage, parse_web_page

__all__ = ["read_email"]

_ENCRYPTED = frozenset({"application/pgp-encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime"})
_HEADERS = ("From", "To", "Cc", "Date", "Subject")
_HEAD = 64
_MAX_ENCODED = 65_536


def read_email(content: bytes, allowance: Allowance) -> Reading:
    """Read a message.

    Its subject is the heading, and sender, recipients and date are the first lines. Of two representations, see
    :func:`~embedstack.documents.readers.mail_outline.better_body`. Forwarded messages are read as deeper sections.
    Attachments are not read; a note lists them.

    Raises:
        DocumentRefused: It is encrypted, and has no other text ("encrypted").
    """
    # The older policy: the newer one raises errors for many malformed headers.
    message = email.message_from_bytes(_as_bytes(content, allowance), policy=email.policy.compat32)
    outline = MailOutline(allowance)
    reader = _Reader(outline, allowance)
    reader.read(message, 1)
    if reader.is_encrypted and not outline.has_text:
        allowance.refuse("encrypted", "is encrypted. Save it as text with a mail program that can decrypt it.")
    return Reading(outline.sections(), title=_header(message, "Subject") or None)


def _as_bytes(content: bytes, allowance: Allowance) -> bytes:
    # Some programs save messages in UTF-16, with headers for their parts' encodings.
    is_wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in content[:_HEAD]
    content = decode(content, allowance)[0].encode("utf-8", "replace") if is_wide else content
    return content.removeprefix(codecs.BOM_UTF8).lstrip()


class _Reader:
    """Reads messages and their parts."""

    def __init__(self, outline: MailOutline, allowance: Allowance) -> None:
        self.is_encrypted = False
        self._outline = outline
        self._allowance = allowance

    def read(self, message: Message, depth: int) -> None:
        """Read a message; ``depth`` is 1 for the file's."""
        self._outline.open(MailHeaders(*(_header(message, name) for name in _HEADERS)), depth)
        self._read_part(message, depth)

    def _read_part(self, part: Message, depth: int) -> None:
        media_type = part.get_content_type()
        self.is_encrypted = self.is_encrypted or media_type in _ENCRYPTED
        if media_type == "message/rfc822":
            for inner in _parts(part):
                self.read(inner, depth + 1)
        elif media_type == "multipart/alternative" and part.is_multipart():
            self._read_alternatives(part, depth)
        elif media_type == "message/delivery-status":
            for block in _parts(part):
                self._outline.add("\n".join(f"{name}: {_header(block, name)}" for name in dict.fromkeys(block.keys())))
        elif part.is_multipart():
            for inner in _parts(part):
                self._read_part(inner, depth)
        elif _is_text(part) or part.get_content_maintype() == "multipart":
            # A multipart without parts lacks its boundary, and is text.
            self._outline.add(self._body(part))
        else:
            self._outline.attach(_file_name(part), media_type)

    def _read_alternatives(self, part: Message, depth: int) -> None:
        plain: str | WebPage = ""
        html: str | WebPage | None = None
        others = []
        for leaf in (leaf for leaf in part.walk() if not leaf.is_multipart()):
            media_type = leaf.get_content_type() if _is_text(leaf) else ""
            if media_type == "text/plain":
                plain = plain or self._body(leaf)
            elif media_type == "text/html":
                html = html or self._body(leaf)
            elif media_type != "text/x-amp-html":
                others.append(leaf)
        if isinstance(plain, str):
            self._outline.add(better_body(plain, html if isinstance(html, WebPage) else None))
        for leaf in others:
            self._read_part(leaf, depth)

    def _body(self, part: Message) -> str | WebPage:
        payload = part.get_payload(decode=True)
        content = payload if isinstance(payload, bytes) else b""
        charset = part.get_content_charset()
        if part.get_content_type() == "text/html":
            return parse_web_page(content, self._allowance, charset)
        return clean(decode(content, self._allowance, charset)[0])


def _parts(part: Message) -> Iterator[Message]:
    payload = part.get_payload()
    if isinstance(payload, list):
        yield from (inner for inner in payload if isinstance(inner, Message))


def _is_text(part: Message) -> bool:
    return part.get_content_maintype() == "text" and part.get_content_disposition() != "attachment"


def _file_name(part: Message) -> str:
    name = part.get_filename()
    return _decoded(collapse_rfc2231_value(name)) if name else ""


def _header(message: Message, name: str) -> str:
    """A header's text on one line; "" if it is missing."""
    # The raw value: bytes beyond ASCII are in it as surrogates.
    value = next((raw for key, raw in message.raw_items() if key.lower() == name.lower()), "")
    raw = str(value).encode("utf-8", "surrogateescape")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("cp1252", "replace")
    return " ".join(clean(_decoded(text)).split())


def _decoded(text: str) -> str:
    """Decode encoded words (RFC 2047)."""
    if len(text) > _MAX_ENCODED:
        return text  # decode_header() takes quadratic time
    try:
        words = decode_header(text)
    except (HeaderParseError, ValueError):
        return text
    return "".join(word if isinstance(word, str) else _decode_word(word, charset) for word, charset in words)


def _decode_word(word: bytes, charset: str | None) -> str:
    try:
        # Python has encodings for other purposes, such as compression.
        encoding = codecs.lookup(charset or "ascii")
        if encoding._is_text_encoding:  # noqa: SLF001
            return word.decode(encoding.name, "replace")
    except (LookupError, ValueError):
        pass
    return word.decode("utf-8", "replace")
