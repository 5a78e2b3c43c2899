"""Late chunking: vectors for parts of a text that take the whole text into account.

The model computes the whole text once; the token vectors of each part are then averaged (Günther et al., 2024, "Late
Chunking", https://arxiv.org/abs/2409.04701).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from embedstack.errors import InputError
from embedstack_server.compute.encoder import unit_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from embedstack_server.model.tokenizer import TokenizedText

    Vectors = NDArray[np.float32]
    Positions = NDArray[np.intp]

__all__ = ["EmptySpan", "SpanPooling"]

Span = tuple[int, int]


class EmptySpan(InputError):
    """A span contains no token that the model reads."""


class SpanPooling:
    """Averages the token vectors of each span; a ``hidden_hook`` for :meth:`Encoder.compute`."""

    def __init__(
        self, texts: "Sequence[TokenizedText]", spans: Sequence[Sequence[Span]], prompt: str = "", *, normalize: bool
    ) -> None:
        """Find the tokens of every span.

        Args:
            texts: The texts, tokenized with offsets.
            spans: Spans of each text, as ranges of code points.
            prompt: Prompt that was prepended to every text.
            normalize: Scale vectors to unit length.

        Raises:
            EmptySpan: A span lies in the truncated part of its text, or contains no token.
        """
        self._normalize = normalize
        self._tokens = [
            _tokens_of_spans(text, text_spans, len(prompt), index)
            for index, (text, text_spans) in enumerate(zip(texts, spans, strict=True))
        ]

    def __call__(self, index: int, hidden: "Vectors") -> "Vectors":
        """The vectors of a text's spans, float32 (spans, hidden size).

        Args:
            index: The text's position.
            hidden: Its last hidden state, float32 (tokens, hidden size).
        """
        tokens, firsts, lasts = self._tokens[index]
        # Cumulative sums: the sum over a span is the difference of two.
        sums = np.zeros((len(tokens) + 1, hidden.shape[1]))
        np.cumsum(hidden[tokens], axis=0, dtype=np.float64, out=sums[1:])
        vectors = ((sums[lasts] - sums[firsts]) / (lasts - firsts)[:, np.newaxis]).astype(np.float32)
        return unit_rows(vectors) if self._normalize else vectors


def _tokens_of_spans(
    text: "TokenizedText", spans: Sequence[Span], prompt_length: int, index: int
) -> "tuple[Positions, Positions, Positions]":
    """Positions of the tokens that have characters, and each span's first and end index into them."""
    offsets = np.array(text.offsets) - prompt_length
    # Special tokens have no characters. Tokens are ordered by their characters.
    tokens = np.flatnonzero(offsets[:, 1] > offsets[:, 0])
    edges = np.array(spans)
    firsts = np.searchsorted(offsets[tokens, 1], edges[:, 0], side="right")
    lasts = np.searchsorted(offsets[tokens, 0], edges[:, 1], side="left")
    if len(empty := np.flatnonzero(firsts >= lasts)):
        start, end = spans[empty[0]]
        raise EmptySpan(
            f"The span [{start}, {end}] of input {index} contains no token that the model reads: it is blank, or it "
            "lies beyond the length to which the input was truncated. Remove it, or shorten the input.",
            index=index,
        )
    return tokens, firsts, lasts
