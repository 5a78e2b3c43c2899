"""What is known of an embedding model before it is asked anything."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Self

from embedstack.errors import ConfigurationError

__all__ = ["KNOWN_MODELS", "ModelInfo", "Pooling", "known_model"]

Pooling = Literal["mean", "cls", "max", "mean_sqrt_len"]


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The facts that decide whether a vector is right.

    Attributes:
        model_id: The model's name on the Hugging Face Hub, or Bedrock's id of it.
        dimensions: Length of a vector.
        max_tokens: Tokens that the model reads of one text, special tokens counted.
        pooling: How token vectors become one vector; None where its maker does not say.
        normalized: Whether a vector has unit length.
        revision: The Hub's commit, where it is pinned.
        prompts: Text put before an input, by what the input is: ``query``, ``document`` or a context's name.
        matryoshka_dimensions: Shorter lengths that the model was trained to be cut to.
        shortened_from: The model's own length, where ``dimensions`` is one of the shorter ones.
    """

    model_id: str
    dimensions: int
    max_tokens: int
    pooling: Pooling | None
    normalized: bool = True
    revision: str | None = None
    prompts: Mapping[str, str] = field(default_factory=dict, hash=False)
    matryoshka_dimensions: tuple[int, ...] = ()
    shortened_from: int | None = None

    def shortened(self, dimensions: int) -> Self:
        """The same model with its vectors cut to a length that it was trained for (Matryoshka).

        Raises:
            ConfigurationError: It was not trained for that length; such a cut would lose its meaning silently.
        """
        if dimensions == self.dimensions:
            return self
        if dimensions not in self.matryoshka_dimensions:
            allowed = ", ".join(str(length) for length in (*self.matryoshka_dimensions, self.dimensions))
            raise ConfigurationError(
                f"{self.model_id} gives vectors of {allowed} dimensions, not {dimensions}: it was not trained to be "
                "cut to any other length."
            )
        return replace(self, dimensions=dimensions, shortened_from=self.dimensions)


KNOWN_MODELS = {
    model.model_id: model
    for model in (
        ModelInfo("sentence-transformers/all-MiniLM-L6-v2", dimensions=384, max_tokens=256, pooling="mean"),
        ModelInfo("BAAI/bge-m3", dimensions=1024, max_tokens=8192, pooling="cls"),
        ModelInfo("amazon.titan-embed-text-v1", dimensions=1536, max_tokens=8192, pooling=None, normalized=False),
        ModelInfo(
            "amazon.titan-embed-text-v2:0",
            dimensions=1024,
            max_tokens=8192,
            pooling=None,
            matryoshka_dimensions=(256, 512),
        ),
        ModelInfo("cohere.embed-english-v3", dimensions=1024, max_tokens=512, pooling=None, normalized=False),
        ModelInfo("cohere.embed-multilingual-v3", dimensions=1024, max_tokens=512, pooling=None, normalized=False),
        ModelInfo(
            "cohere.embed-v4:0",
            dimensions=1536,
            max_tokens=128_000,
            pooling=None,
            normalized=False,
            matryoshka_dimensions=(256, 512, 1024),
        ),
    )
}


def known_model(model_id: str) -> ModelInfo:
    """Look a model up by its Hub id or its id on Bedrock.

    Raises:
        ConfigurationError: The model is not among those whose facts are recorded here.
    """
    try:
        return KNOWN_MODELS[model_id]
    except KeyError:
        names = ", ".join(sorted(KNOWN_MODELS))
        raise ConfigurationError(f"Nothing is recorded of the model {model_id!r}; known are: {names}.") from None
