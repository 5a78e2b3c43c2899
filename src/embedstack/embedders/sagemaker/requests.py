"""What an endpoint is asked, however the request gets to it."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embedstack.models.model_info import ModelInfo

__all__ = ["ENVELOPE_BYTES", "json_bytes", "request_body", "text_bytes"]

#: The members' names, the options and the brackets of a request.
ENVELOPE_BYTES = 192


def request_body(info: "ModelInfo", texts: Sequence[str], *, truncate: bool, has_prompt: bool) -> dict[str, Any]:
    """The request for texts, in the form that Text Embeddings Inference and this project's model server read.

    Args:
        info: The model.
        texts: The texts.
        truncate: Cut texts that are longer than the model reads.
        has_prompt: Whether the texts begin with their prompt already, so that the server must not add the model's
            default one. TEI, which adds none, ignores that member.
    """
    body: dict[str, Any] = {"inputs": list(texts), "normalize": info.normalized, "truncate": truncate}
    if has_prompt:
        body["prompt"] = ""
    if info.shortened_from is not None:
        body["dimensions"] = info.dimensions
    return body


def text_bytes(text: str) -> int:
    """Bytes of a text and its comma as JSON."""
    return len(json_bytes(text)) + 2


def json_bytes(value: Any) -> bytes:
    """A value as JSON."""
    # Not ASCII with escapes: these would swell a Chinese text to twice its size.
    return json.dumps(value, ensure_ascii=False).encode("utf-8")
