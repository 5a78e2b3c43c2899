"""Builds sections from e-mails: subject, sender, recipients, text, and the messages they contain."""

from typing import NamedTuple

from embedstack.documents.document import Section
from embedstack.documents.limits import Allowance, display_name
from embedstack.documents.readers.outline import Outline
from embedstack.documents.readers.web_page import WebPage

__all__ = ["MailHeaders", "MailOutline", "better_body"]

_MAX_DEPTH = 20
_MAX_LISTED = 10
# The plain text of some messages only says that there is HTML.
_MIN_PLAIN_SHARE = 0.5


class MailHeaders(NamedTuple):
    """The headers of a message; "" for one that is missing."""

    sender: str
    to: str
    cc: str
    date: str
    subject: str


class MailOutline:
    """Collects the sections of a message."""

    def __init__(self, allowance: Allowance) -> None:
        self.has_text = False
        self._allowance = allowance
        self._outline = Outline(allowance)
        self._depth = 0
        self._attachments: list[str] = []

    def open(self, headers: MailHeaders, depth: int) -> None:
        """Start a message.

        Args:
            headers: Its headers.
            depth: 1 for the file's message, 2 for messages in it, and so on.

        Raises:
            DocumentRefused: Messages are nested too deeply.
        """
        if depth > _MAX_DEPTH:
            self._allowance.refuse("too_complex", f"has more than {_MAX_DEPTH} nested messages. Save them separately.")
        self._depth = depth
        if headers.subject or depth > 1:
            self._outline.heading(depth, headers.subject or "Message")
        names = ("From", "To", "Cc", "Date")
        for name, value in zip(names, headers, strict=False):
            if value:
                self._outline.add(f"{name}: {value}", tight=True)

    def add(self, body: str | WebPage) -> None:
        """Add a part of the message's text."""
        if isinstance(body, WebPage):
            body.add_to(self._outline, below=self._depth)
            self.has_text = self.has_text or body.word_count > 0
        else:
            self._outline.add(body)
            self.has_text = self.has_text or bool(body.strip())

    def attach(self, name: str, media_type: str) -> None:
        """Count an attachment, which is not read."""
        self._attachments.append(f"{display_name(name) or 'without a name'}, {display_name(media_type)}")

    def sections(self) -> list[Section]:
        """The sections. Adds the note about attachments."""
        if self._attachments:
            listed = "; ".join(self._attachments[:_MAX_LISTED])
            more = "; …" if len(self._attachments) > _MAX_LISTED else ""
            self._allowance.notes.append(f"Attachments that were not read: {len(self._attachments)} ({listed}{more}).")
        return self._outline.sections()


def better_body(plain: str, html: WebPage | None) -> str | WebPage:
    """The better of two representations: the plain text, unless it has less than half of the words of the HTML."""
    if html is None or len(plain.split()) >= _MIN_PLAIN_SHARE * html.word_count:
        return plain
    return html
