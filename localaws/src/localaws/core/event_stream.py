"""AWS's event stream encoding, for responses that consist of several events.

Format (https://smithy.io/2.0/aws/amazon-eventstream.html): a prelude of two lengths with its CRC, headers, payload,
CRC.
"""

import json
import struct
import zlib
from typing import Any

__all__ = ["EVENT_STREAM", "encode_blob", "encode_event", "encode_exception"]

#: The content type of a response in this encoding.
EVENT_STREAM = "application/vnd.amazon.eventstream"
_STRING = 7


def encode_event(kind: str, payload: dict[str, Any]) -> bytes:
    """Encode an event with a JSON payload."""
    return _encode(json.dumps(payload).encode(), event_type=kind, content_type="application/json", message_type="event")


def encode_blob(kind: str, payload: bytes) -> bytes:
    """Encode an event whose payload is a blob."""
    return _encode(payload, event_type=kind, content_type="application/octet-stream", message_type="event")


def encode_exception(kind: str, payload: dict[str, Any]) -> bytes:
    """Encode an exception, which ends a stream."""
    body = json.dumps(payload).encode()
    return _encode(body, exception_type=kind, content_type="application/json", message_type="exception")


def _encode(body: bytes, **values: str) -> bytes:
    headers = b"".join(_header(":" + name.replace("_", "-"), value) for name, value in values.items())
    # The two lengths with their CRC take 12 bytes, the CRC at the end 4.
    prelude = struct.pack(">II", 12 + len(headers) + len(body) + 4, len(headers))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + body
    return message + struct.pack(">I", zlib.crc32(message))


def _header(name: str, value: str) -> bytes:
    return struct.pack(">B", len(name)) + name.encode() + struct.pack(">BH", _STRING, len(value)) + value.encode()
