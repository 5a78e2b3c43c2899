"""Randomly mutated request bodies."""

import random

__all__ = ["mutated"]

# Fragments that are difficult for parsers.
_INSERTIONS = [
    b"\\ud800", b"\\udfff", b"\xff", b"\xc3", b"\0", b"\\u0000", b"\xef\xbb\xbf", b"NaN", b"Infinity", b"-Infinity",
    b"1e999", b"-1", b"-0", b"1.0", b"9" * 400, b"9" * 5_000, b"true", b"null", b"[]", b"{}", b'""', b"[" * 200,
    b'{"a":' * 200, b"]", b"}", b'"', b"\\", b",", b":", b'"inputs": 3,', b'"truncate": null,', b" " * 1_000,
    "\N{GRINNING FACE}漢\u0301".encode(), b"cat " * 500,
]  # fmt: skip


def mutated(body: bytes, choice: random.Random) -> bytes:
    """The body with one to three random changes."""
    for _ in range(choice.randint(1, 3)):
        at = choice.randrange(len(body) + 1)
        end = min(at + choice.randint(1, 12), len(body))
        change = choice.randrange(6)
        if change == 0:
            body = body[:at] + choice.choice(_INSERTIONS) + body[at:]
        elif change == 1:
            body = body[:at] + choice.choice(_INSERTIONS) + body[end:]
        elif change == 2:
            body = body[:at] + body[end:]
        elif change == 3:
            body = body[:at] + body[at:end] * choice.randint(2, 30) + body[end:]
        elif change == 4:
            body = body[:at] + bytes(choice.randrange(256) for _ in range(choice.randint(1, 4))) + body[end:]
        else:
            body = choice.choice(
                [body[:at], body.decode("latin-1").encode("utf-16"), body[at:] + body[:at], body + body]
            )
    return body
