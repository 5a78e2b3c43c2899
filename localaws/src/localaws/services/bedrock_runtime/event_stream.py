"""AWS's event stream encoding, for responses that consist of several events.

Format (https://smithy.io/2.0/aws/amazon-eventstream.html): a prelude of two lengths with its CRC, headers, payload,
CRC.
"""

import json
import struct
import zlib
from typing import Any

__all__ = ["encode_event"]

_STRING = 7


def encode_event(kind: str, payload: dict[str, Any]) -> bytes:
    """Encode one event."""
    body = json.dumps(payload).encode()
    headers = b"".join(
        _header(name, value)
        for name, value in (
            (":event-type", kind), (":content-type", "application/json"), (":message-type", "event"),
        )
    )  # fmt: skip
    # The two lengths with their CRC take 12 bytes, the CRC at the end 4.
    prelude = struct.pack(">II", 12 + len(headers) + len(body) + 4, len(headers))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + body
    return message + struct.pack(">I", zlib.crc32(message))


def _header(name: str, value: str) -> bytes:
    return struct.pack(">B", len(name)) + name.encode() + struct.pack(">BH", _STRING, len(value)) + value.encode()
