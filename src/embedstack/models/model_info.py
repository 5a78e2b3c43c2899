"""Facts of embedding models, and the identity of the model that an endpoint serves."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Self
from urllib.parse import quote, unquote

from embedstack.errors import ConfigurationError, ModelMismatch

__all__ = ["KNOWN_MODELS", "ModelIdentity", "ModelInfo", "Pooling", "known_model"]

# A Git commit, full or abbreviated; other revisions are names of branches and tags.
_COMMIT = re.compile(r"[0-9a-f]{7,40}")
# Members of the response header X-Amzn-SageMaker-Custom-Attributes, which SageMaker forwards, and its largest length.
_MODEL_ATTRIBUTE, _REVISION_ATTRIBUTE = "embedstack-model", "embedstack-revision"
_ATTRIBUTES_LENGTH = 1024
_QUOTED_CHARACTERS = 200

Pooling = Literal["mean", "cls", "max", "mean_sqrt_len", "lasttoken"]


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Facts of a model, against which its vectors are checked.

    Attributes:
        model_id: Hugging Face Hub id, or Bedrock's id.
        dimensions: Length of a vector.
        max_tokens: Tokens that the model reads of one text, including special tokens.
        pooling: How token vectors become one vector; None if the vendor does not publish it.
        normalized: Whether vectors have unit length.
        revision: The Hub's commit, if it is pinned.
        prompts: Text put before an input, by its kind (``query``, ``document``) or context.
        matryoshka_dimensions: Shorter vector lengths that the model was trained for.
        shortened_from: The model's full length, if ``dimensions`` is a shorter one.
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
        """The same model with vectors of a shorter length that it was trained for (Matryoshka).

        Raises:
            ConfigurationError: It was not trained for that length; such vectors would silently lose their meaning.
        """
        if dimensions == self.dimensions:
            return self
        if dimensions not in self.matryoshka_dimensions:
            allowed = ", ".join(str(length) for length in (*self.matryoshka_dimensions, self.dimensions))
            raise ConfigurationError(
                f"{self.model_id} supports vectors of {allowed} dimensions, not {dimensions}. Choose one of "
                "these; the model was not trained for other lengths."
            )
        return replace(self, dimensions=dimensions, shortened_from=self.dimensions)


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """The model that an endpoint or a folder says it serves.

    Attributes:
        model_id: Hugging Face Hub id.
        revision: The Hub's commit, tag or branch; None if unknown.
    """

    model_id: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"{self.model_id}@{self.revision}" if self.revision else self.model_id

    @classmethod
    def of(cls, info: "ModelInfo") -> Self:
        """The identity of an expected model."""
        return cls(info.model_id, info.revision)

    def matches(self, other: "ModelIdentity") -> bool:
        """Whether both may be the same model. Unknown revisions are not compared."""
        if self.model_id.casefold() != other.model_id.casefold():
            return False
        return self.revision is None or other.revision is None or _may_be_same(self.revision, other.revision)

    def require(self, info: "ModelInfo", source: str) -> None:
        """Check that this is the expected model.

        Args:
            info: The expected model.
            source: What serves this model, for the message: ``Endpoint x``.

        Raises:
            ModelMismatch: It is another model; the message names both.
        """
        expected = ModelIdentity.of(info)
        if not self.matches(expected):
            raise ModelMismatch(
                f"{source} serves {str(self)[:_QUOTED_CHARACTERS]}, but {expected} is configured: their vectors cannot "
                "be compared. Set EMBEDDING_MODEL and EMBEDDING_MODEL_REVISION to the served model (`terraform output "
                "-raw dotenv` prints both), or deploy the configured one."
            )

    def attributes(self) -> str | None:
        """The value of SageMaker's response header for custom attributes; None if it would be too long."""
        members = [(_MODEL_ATTRIBUTE, self.model_id), (_REVISION_ATTRIBUTE, self.revision)]
        value = "; ".join(f"{name}={quote(text, safe='/:@')}" for name, text in members if text)
        return value if len(value) <= _ATTRIBUTES_LENGTH else None

    @classmethod
    def from_attributes(cls, value: object) -> "ModelIdentity | None":
        """Parse :meth:`attributes`; None if the header does not name a model."""
        pairs = (part.partition("=") for part in str(value or "").split(";"))
        members = {name.strip(): unquote(text.strip()) for name, _, text in pairs}
        model_id = members.get(_MODEL_ATTRIBUTE)
        return cls(model_id, members.get(_REVISION_ATTRIBUTE) or None) if model_id else None


def _may_be_same(left: str, right: str) -> bool:
    """Whether two revisions may be the same; a commit and a branch cannot be compared."""
    commits = [bool(_COMMIT.fullmatch(revision)) for revision in (left, right)]
    if all(commits):
        return left.startswith(right) or right.startswith(left)
    return left == right or any(commits)


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
    """Look up a model by its Hub id or its id on Bedrock.

    Raises:
        ConfigurationError: The model is unknown.
    """
    try:
        return KNOWN_MODELS[model_id]
    except KeyError:
        names = ", ".join(sorted(KNOWN_MODELS))
        raise ConfigurationError(f"Unknown model {model_id!r}. Known models: {names}.") from None
