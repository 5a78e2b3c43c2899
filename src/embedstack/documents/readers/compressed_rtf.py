"""Decompresses the RTF of Outlook messages ([MS-OXRTFCP])."""

import struct

from embedstack.documents.limits import Allowance

__all__ = ["decompress_rtf"]

_HEADER = struct.Struct("<IIII")
_COMPRESSED, _STORED = 0x75465A4C, 0x414C454D
_DICTIONARY = (
    b"{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript \\fdecor "
    b"MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n"
    b"\\par \\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx"
)
_SIZE = 4096
_MIN_LENGTH = 2


def decompress_rtf(content: bytes, allowance: Allowance) -> bytes:
    """Decompress a stream; what cannot be decompressed is omitted.

    Args:
        content: The stream.
        allowance: Counts the decompressed bytes.
    """
    if len(content) < _HEADER.size:
        return b""
    _, raw_size, kind, _ = _HEADER.unpack_from(content)
    body = content[_HEADER.size :]
    if kind == _STORED:
        return body[:raw_size]
    return _expand(body, raw_size, allowance) if kind == _COMPRESSED else b""


def _expand(body: bytes, raw_size: int, allowance: Allowance) -> bytes:
    window = bytearray(_DICTIONARY.ljust(_SIZE, b" "))
    write = len(_DICTIONARY)
    output = bytearray()
    position = 0
    while position < len(body) and len(output) < raw_size:
        flags, position = body[position], position + 1
        start = len(output)
        for bit in range(8):
            if not flags >> bit & 1:
                run = body[position : position + 1]
                position += 1
            else:
                token = int.from_bytes(body[position : position + 2], "big")
                position += 2
                offset, length = token >> 4, (token & 15) + _MIN_LENGTH
                if offset == write or position > len(body):
                    position = len(body)  # the end
                    break
                # The run may overlap its own copy.
                distance = (write - offset) % _SIZE
                source = bytes(window[(offset + index) % _SIZE] for index in range(min(length, distance)))
                run = (source * length)[:length]
            for byte in run:
                window[write] = byte
                write = (write + 1) % _SIZE
            output += run
        allowance.take_inflated(len(output) - start)
    return bytes(output[:raw_size])
