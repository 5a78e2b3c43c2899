"""Parts of a text that get a vector each (late chunking)."""

from typing import NamedTuple

__all__ = ["Span", "SpannedText"]

#: Start and end, in code points.
Span = tuple[int, int]


class SpannedText(NamedTuple):
    """A text and its parts that get a vector each.

    Attributes:
        text: The text. A text longer than the model reads is an error.
        spans: Its parts; at least one, each with at least one token.
    """

    text: str
    spans: tuple[Span, ...]
