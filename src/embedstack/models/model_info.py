"""Facts of embedding models, and the identity of the model that an endpoint serves."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Self
from urllib.parse import quote, unquote

from embedstack.errors import ConfigurationError, ModelMismatch
from embedstack.lazy import lazy_attributes

__all__ = ["ModelIdentity", "ModelInfo", "ModelKind", "Pooling"]

# A Git commit, full or abbreviated; other revisions are names of branches and tags.
_COMMIT = re.compile(r"[0-9a-f]{7,40}")
# Members of the response header X-Amzn-SageMaker-Custom-Attributes, which SageMaker forwards, and its largest length.
_MODEL_ATTRIBUTE, _REVISION_ATTRIBUTE = "embedstack-model", "embedstack-revision"
_ATTRIBUTES_LENGTH = 1024
_QUOTED_CHARACTERS = 200

Pooling = Literal["mean", "cls", "max", "mean_sqrt_len", "last_token", "weighted_mean"]
ModelKind = Literal["embedding", "reranker"]


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Facts of a model, against which its vectors are checked. None means unknown, and is not checked.

    Attributes:
        model_id: Hugging Face Hub id, or Bedrock's id.
        dimensions: Length of a vector; None until a response shows it, and for a reranker.
        max_tokens: Tokens that the model reads of one text, including special tokens; None leaves the limit to the
            server.
        pooling: How token vectors become one vector.
        normalized: Whether vectors have unit length; None leaves that to the server.
        revision: The Hub's commit, if it is pinned.
        prompts: Text put before an input, by its kind (``query``, ``document``) or context.
        matryoshka_dimensions: Shorter vector lengths that the model was trained for.
        shortened_from: The model's full length, if ``dimensions`` is a shorter one.
        kind: ``embedding``, or ``reranker`` for a model that scores pairs of texts.
        architecture: Architecture in the terms of transformers: ``bert``, ``xlm-roberta``, ``qwen3``, …
        license: SPDX identifier, name or URL of the license of the weights.
        non_commercial: Whether the license forbids commercial use.
        uses_prompts: Whether the model was trained with a prompt before at least one kind of text.
    """

    model_id: str
    dimensions: int | None = None
    max_tokens: int | None = None
    pooling: Pooling | None = None
    normalized: bool | None = True
    revision: str | None = None
    prompts: Mapping[str, str] = field(default_factory=dict, hash=False)
    matryoshka_dimensions: tuple[int, ...] = ()
    shortened_from: int | None = None
    kind: ModelKind = "embedding"
    architecture: str | None = None
    license: str | None = None
    non_commercial: bool | None = None
    uses_prompts: bool | None = None

    def __post_init__(self) -> None:
        """Validate the values.

        Raises:
            ConfigurationError: A number is not positive.
        """
        for name in ("dimensions", "max_tokens"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigurationError(
                    f"{self.model_id}: {name} is {value}. Pass a positive number, or None if it is unknown."
                )

    @property
    def has_unknown_prompts(self) -> bool:
        """Whether the model needs prompts that neither its folder, the catalogue nor the settings contain."""
        return bool(self.uses_prompts) and not self.prompts.keys() & {"query", "document"}

    def require_dimensions(self) -> int:
        """Length of a vector.

        Raises:
            ConfigurationError: It is unknown.
        """
        if self.dimensions is None:
            raise ConfigurationError(
                f"The length of the vectors of {self.model_id} is unknown. Learn it from the endpoint with "
                "embedder.learn_dimensions(), or set EMBEDDING_DIMENSIONS."
            )
        return self.dimensions

    def require_max_tokens(self) -> int:
        """Tokens that the model reads of one text.

        Raises:
            ConfigurationError: The number is unknown.
        """
        if self.max_tokens is None:
            raise ConfigurationError(
                f"The number of tokens that {self.model_id} reads is unknown. Set EMBEDDING_MAX_TOKENS, or put the "
                "model's folder into EMBEDSTACK_MODELS_DIR."
            )
        return self.max_tokens

    def shortened(self, dimensions: int) -> Self:
        """The same model with vectors of a shorter length that it was trained for (Matryoshka).

        Raises:
            ConfigurationError: It was not trained for that length; such vectors would silently lose their meaning.
        """
        if dimensions == self.dimensions:
            return self
        if self.dimensions is None or dimensions not in self.matryoshka_dimensions:
            known = (*self.matryoshka_dimensions, *filter(None, [self.dimensions]))
            allowed = ", ".join(map(str, known)) or "an unknown number of"
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
            results, setting = ("scores", "RERANKER") if info.kind == "reranker" else ("vectors", "EMBEDDING")
            raise ModelMismatch(
                f"{source} serves {str(self)[:_QUOTED_CHARACTERS]}, but {expected} is configured: their {results} "
                f"cannot be compared. Set {setting}_MODEL and {setting}_MODEL_REVISION to the served model (`terraform "
                "output -raw dotenv` prints both), or deploy the configured one."
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


# Their former place.
__getattr__ = lazy_attributes(__name__, dict.fromkeys(("KNOWN_MODELS", "known_model"), "embedstack.models.catalogue"))
