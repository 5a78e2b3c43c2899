"""Describes a model in the words of a report: the prompts of its texts, and its license."""

from typing import TYPE_CHECKING, get_args

from embedstack.embedders.prompts import Kind

if TYPE_CHECKING:
    from embedstack.embedders.base import Embedder
    from embedstack.models.model_info import ModelInfo

__all__ = ["describe_license", "describe_prompts"]


def describe_prompts(embedder: "Embedder") -> str:
    """The text put before each kind of input, or why there is none."""
    prompts = [f"{kind} {embedder.prompts[kind]!r}" for kind in get_args(Kind) if kind in embedder.prompts]
    if prompts:
        return ", ".join(prompts)
    if embedder.info.uses_prompts is None:
        return "unknown whether the model needs any; set EMBEDDING_QUERY_PROMPT and EMBEDDING_DOCUMENT_PROMPT if so"
    if embedder.info.uses_prompts:
        return "unknown, although the model needs them; set EMBEDDING_QUERY_PROMPT and EMBEDDING_DOCUMENT_PROMPT"
    return "none"


def describe_license(info: "ModelInfo") -> str:
    """The license of a model's weights, and whether it forbids commercial use."""
    if info.license is None:
        return "unknown"
    text = f"see {info.license}" if info.license.startswith("https://") else info.license
    return f"{text} (forbids commercial use)" if info.non_commercial else text
