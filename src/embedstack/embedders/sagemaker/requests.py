"""The request body for SageMaker endpoints, synchronous and asynchronous."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from embedstack.embedders.json_encoding import json_text_sizes

if TYPE_CHECKING:
    from embedstack.models.model_info import ModelInfo

__all__ = ["TEXT_SIZES", "request_body"]

#: Bytes that texts take in a request; the envelope is its members' names, options and brackets.
TEXT_SIZES = json_text_sizes(envelope=192)


def request_body(info: "ModelInfo", texts: Sequence[str], *, truncate: bool, has_prompt: bool) -> dict[str, Any]:
    """The request for texts, in the form that Text Embeddings Inference and this project's model server read.

    Args:
        info: The model.
        texts: The texts.
        truncate: Truncate texts that are longer than the model reads.
        has_prompt: Whether the texts already have their prompt, so that the server must not add the model's default
            one. TEI adds none and ignores that member.
    """
    body: dict[str, Any] = {"inputs": list(texts), "truncate": truncate}
    if info.normalized is not None:
        body["normalize"] = info.normalized
    if has_prompt:
        body["prompt"] = ""
    if info.shortened_from is not None:
        body["dimensions"] = info.dimensions
    return body
