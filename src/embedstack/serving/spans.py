"""Late chunking: vectors for parts of a text, each computed with the whole text in view.

The text goes through the model once; the token vectors of each part are then averaged (Günther et al., 2024, "Late
Chunking", https://arxiv.org/abs/2409.04701).
"""

from typing import TYPE_CHECKING

import numpy as np

from embedstack.serving.encoder import unit_rows
from embedstack.serving.requests import RequestError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from embedstack.serving.encoder import Encoded, Encoder
    from embedstack.serving.requests import EmbedRequest

__all__ = ["span_vectors"]


def span_vectors(encoder: "Encoder", request: "EmbedRequest", encoded: "Encoded") -> "list[NDArray[np.float32]]":
    """For each input float32 (spans, hidden size): the mean of the token vectors that touch each span.

    Raises:
        RequestError: A span lies in the part of its text that was cut off, or holds no token.
    """
    prompt = encoder.prompt(request.prompt_name, request.prompt)
    answers = []
    for index, (text, spans) in enumerate(zip(request.inputs, request.spans or (), strict=True)):
        offsets = np.array(encoder.token_offsets(prompt + text)) - len(prompt)
        starts, ends = offsets[:, 0], offsets[:, 1]
        vectors = np.empty((len(spans), encoded.hidden[index].shape[1]), np.float32)
        for row, (start, end) in enumerate(spans):
            inside = (starts < end) & (ends > start) & (ends > starts)
            if not inside.any():
                raise RequestError(
                    422,
                    "empty_span",
                    f"The span [{start}, {end}] of input {index} holds no token that the model reads: it is blank, or "
                    "it lies beyond the length to which the input was cut.",
                    index=index,
                )
            vectors[row] = encoded.hidden[index][inside].mean(axis=0)
        answers.append(unit_rows(vectors) if request.normalize else vectors)
    return answers
