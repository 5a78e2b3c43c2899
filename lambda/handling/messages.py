"""What the messages on the ingest queue say: which documents to look at."""

import json
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import unquote_plus

from embedstack.errors import InputError

__all__ = ["DocumentMessage", "MessageRefused", "read_event", "read_message"]

#: What S3 sends once, when a bucket's notifications are configured.
_TEST_EVENT = "s3:TestEvent"


class MessageRefused(InputError):
    """A message that names no document."""


@dataclass(frozen=True, slots=True)
class DocumentMessage:
    """A document to look at, as it is when the message is handled: there, or gone.

    Attributes:
        bucket: The S3 bucket.
        key: The object's key, not encoded.
        next_chunk: The first chunk that is still to be stored; 0 for all.
        etag: The content that ``next_chunk`` counts in; None where it is 0.
    """

    bucket: str
    key: str
    next_chunk: int = 0
    etag: str | None = None

    @classmethod
    def parse(cls, document: Any) -> Self:
        """From ``{"bucket", "key"}``, and ``next_chunk`` and ``etag`` where a document is continued.

        Raises:
            MessageRefused: It is something else.
        """
        if not isinstance(document, dict) or not all(_is_text(document.get(name)) for name in ("bucket", "key")):
            raise MessageRefused(
                'The message names no document: send {"bucket": "…", "key": "…"}, or let S3 notify the queue itself.'
            )
        next_chunk, etag = document.get("next_chunk", 0), document.get("etag")
        if type(next_chunk) is not int or next_chunk < 0 or not (etag is None or _is_text(etag)):
            raise MessageRefused("The message's next_chunk is no number of a chunk, or its etag is no text.")
        return cls(document["bucket"], document["key"], next_chunk, etag)

    def to_json(self) -> str:
        """The message as it is sent."""
        document: dict[str, Any] = {"bucket": self.bucket, "key": self.key}
        if self.next_chunk:
            document |= {"next_chunk": self.next_chunk, "etag": self.etag}
        return json.dumps(document)

    def from_start(self) -> "DocumentMessage":
        """The same document, all of it."""
        return DocumentMessage(self.bucket, self.key)


def read_message(body: str) -> list[DocumentMessage]:
    """The documents that a message's body names; none for S3's test event.

    Args:
        body: An S3 event notification (versions 2.x), or a message of the function's own form.

    Raises:
        MessageRefused: It names none.
    """
    try:
        event = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MessageRefused("The message is not JSON.") from error
    return read_event(event)


def read_event(event: Any) -> list[DocumentMessage]:
    """As :func:`read_message`, of JSON that is read already.

    Raises:
        MessageRefused: It names no document.
    """
    if isinstance(event, dict) and event.get("Event") == _TEST_EVENT:
        return []
    if isinstance(event, dict) and isinstance(event.get("Records"), list) and event["Records"]:
        # One document may be named twice; it is looked at as it is now, so once is enough.
        return list(dict.fromkeys(_from_record(record) for record in event["Records"]))
    return [DocumentMessage.parse(event)]


def _from_record(record: Any) -> DocumentMessage:
    try:
        bucket, key = record["s3"]["bucket"]["name"], record["s3"]["object"]["key"]
        # S3 encodes keys in notifications as in a form: a space is a plus.
        return DocumentMessage.parse({"bucket": bucket, "key": unquote_plus(key, errors="strict")})
    except (KeyError, TypeError, UnicodeDecodeError) as error:
        raise MessageRefused("The message has records that are not S3's: let an S3 bucket notify the queue.") from error


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""
