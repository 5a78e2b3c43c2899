"""Messages on the ingest queue: which S3 objects to process."""

import json
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import unquote_plus

from embedstack.documents.metadata import described_document
from embedstack.errors import InputError

__all__ = ["DocumentMessage", "MessageRefused", "read_event", "read_message"]

#: S3 sends this event once, when a bucket's notifications are configured.
_TEST_EVENT = "s3:TestEvent"


class MessageRefused(InputError):
    """A message that names no S3 object."""


@dataclass(frozen=True, slots=True)
class DocumentMessage:
    """An S3 object to process in its current state, whether it exists or was deleted.

    Attributes:
        bucket: The S3 bucket.
        key: The object key, not URL-encoded.
        next_chunk: The first chunk that is not stored yet; 0 for all chunks.
        version: The :class:`~embedstack.documents.s3_objects.S3Object`'s version that ``next_chunk`` refers to; None if
            ``next_chunk`` is 0.
    """

    bucket: str
    key: str
    next_chunk: int = 0
    version: str | None = None

    @classmethod
    def parse(cls, fields: Any) -> Self:
        """From ``{"bucket", "key"}``, with ``next_chunk`` and ``version`` in a continuation.

        A metadata file stands for the document that it describes.

        Raises:
            MessageRefused: A field is missing or has the wrong type.
        """
        if not isinstance(fields, dict) or not all(_is_text(fields.get(name)) for name in ("bucket", "key")):
            raise MessageRefused(
                'The message names no S3 object. Send {"bucket": "…", "key": "…"}, or an S3 event notification.'
            )
        next_chunk, version = fields.get("next_chunk", 0), fields.get("version")
        if type(next_chunk) is not int or next_chunk < 0 or not (version is None or _is_text(version)):
            raise MessageRefused(
                "The message's next_chunk must be an integer of 0 or more, and its version a non-empty string."
            )
        key = described_document(fields["key"]) or fields["key"]
        return cls(fields["bucket"], key, next_chunk, version)

    def to_json(self) -> str:
        """The message body; :meth:`parse` reads it."""
        fields: dict[str, Any] = {"bucket": self.bucket, "key": self.key}
        if self.next_chunk:
            fields |= {"next_chunk": self.next_chunk, "version": self.version}
        return json.dumps(fields)

    def from_start(self) -> "DocumentMessage":
        """A message for all chunks of the same object."""
        return DocumentMessage(self.bucket, self.key)


def read_message(body: str) -> list[DocumentMessage]:
    """The S3 objects that a message body names; none for S3's test event.

    Args:
        body: An S3 event notification (versions 2.x), or :meth:`DocumentMessage.to_json`.

    Raises:
        MessageRefused: The body is not JSON, or names no S3 object.
    """
    try:
        event = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MessageRefused("The message is not JSON.") from error
    return read_event(event)


def read_event(event: Any) -> list[DocumentMessage]:
    """Like :func:`read_message`, for parsed JSON.

    Raises:
        MessageRefused: The event names no S3 object.
    """
    if isinstance(event, dict) and event.get("Event") == _TEST_EVENT:
        return []
    if isinstance(event, dict) and isinstance(event.get("Records"), list) and event["Records"]:
        # An object that is named twice is processed once: only its current state matters.
        return list(dict.fromkeys(_from_record(record) for record in event["Records"]))
    return [DocumentMessage.parse(event)]


def _from_record(record: Any) -> DocumentMessage:
    try:
        bucket, key = record["s3"]["bucket"]["name"], record["s3"]["object"]["key"]
        # S3 form-encodes keys in notifications: a space is a plus sign.
        return DocumentMessage.parse({"bucket": bucket, "key": unquote_plus(key, errors="strict")})
    except (KeyError, TypeError, UnicodeDecodeError) as error:
        raise MessageRefused(
            "The message has records that are not S3 event records. Configure an S3 bucket to notify the queue."
        ) from error


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""
