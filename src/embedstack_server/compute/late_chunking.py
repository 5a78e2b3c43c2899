"""Late chunking: vectors for parts of a text, each computed with the whole text in view.

The text goes through the model once; the token vectors of each part are then averaged (Günther et al., 2024, "Late
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
    """A span holds no token that the model reads."""


class SpanPooling:
    """Averages the token vectors of each span; a function of a text's hidden state for :meth:`Encoder.compute`."""

    def __init__(
        self, texts: "Sequence[TokenizedText]", spans: Sequence[Sequence[Span]], prompt: str = "", *, normalize: bool
    ) -> None:
        """Find the tokens of every span.

        Args:
            texts: The texts, tokenized with offsets.
            spans: For each text its spans, from code point to code point.
            prompt: What was put before every text.
            normalize: Scale vectors to length 1.

        Raises:
            EmptySpan: A span lies in the part of its text that was cut off, or holds no token.
        """
        self._normalize = normalize
        self._tokens = [
            _tokens_of_spans(text, wanted, len(prompt), index)
            for index, (text, wanted) in enumerate(zip(texts, spans, strict=True))
        ]

    def __call__(self, index: int, hidden: "Vectors") -> "Vectors":
        """The vectors of a text's spans, float32 (spans, hidden size).

        Args:
            index: The text's position.
            hidden: Its last hidden state, float32 (tokens, hidden size).
        """
        tokens, firsts, lasts = self._tokens[index]
        # Sums up to each token: the sum of a span is the difference of two.
        sums = np.zeros((len(tokens) + 1, hidden.shape[1]))
        np.cumsum(hidden[tokens], axis=0, dtype=np.float64, out=sums[1:])
        vectors = ((sums[lasts] - sums[firsts]) / (lasts - firsts)[:, np.newaxis]).astype(np.float32)
        return unit_rows(vectors) if self._normalize else vectors


def _tokens_of_spans(
    text: "TokenizedText", spans: Sequence[Span], prompt_length: int, index: int
) -> "tuple[Positions, Positions, Positions]":
    """The tokens that have characters, and for each span which of them touch it: from the first to before the last."""
    offsets = np.array(text.offsets) - prompt_length
    # Special tokens have no characters. Tokens are in the order of their characters.
    tokens = np.flatnonzero(offsets[:, 1] > offsets[:, 0])
    edges = np.array(spans)
    firsts = np.searchsorted(offsets[tokens, 1], edges[:, 0], side="right")
    lasts = np.searchsorted(offsets[tokens, 0], edges[:, 1], side="left")
    if len(empty := np.flatnonzero(firsts >= lasts)):
        start, end = spans[empty[0]]
        raise EmptySpan(
            f"The span [{start}, {end}] of input {index} holds no token that the model reads: it is blank, or it lies "
            "beyond the length to which the input was cut.",
            index=index,
        )
    return tokens, firsts, lasts
