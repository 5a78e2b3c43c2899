"""What is known of an embedding model before it is asked anything."""

from dataclasses import dataclass
from typing import Literal

from embedstack.errors import ConfigurationError

__all__ = ["KNOWN_MODELS", "ModelInfo", "Pooling", "known_model"]

Pooling = Literal["mean", "cls", "max", "mean_sqrt_len"]


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The facts that decide whether a vector is right.

    Attributes:
        model_id: The model's name on the Hugging Face Hub.
        dimensions: Length of a vector.
        max_tokens: Tokens that the model reads of one text, special tokens counted.
        pooling: How token vectors become one vector.
        normalized: Whether a vector has unit length.
        revision: The Hub's commit, where it is pinned.
    """

    model_id: str
    dimensions: int
    max_tokens: int
    pooling: Pooling
    normalized: bool = True
    revision: str | None = None


KNOWN_MODELS = {
    model.model_id: model
    for model in (
        ModelInfo("sentence-transformers/all-MiniLM-L6-v2", dimensions=384, max_tokens=256, pooling="mean"),
        ModelInfo("BAAI/bge-m3", dimensions=1024, max_tokens=8192, pooling="cls"),
    )
}


def known_model(model_id: str) -> ModelInfo:
    """Look a model up by its Hub id.

    Raises:
        ConfigurationError: The model is not among those whose facts are recorded here.
    """
    try:
        return KNOWN_MODELS[model_id]
    except KeyError:
        names = ", ".join(sorted(KNOWN_MODELS))
        raise ConfigurationError(f"Nothing is recorded of the model {model_id!r}; known are: {names}.") from None
