"""Reading the folder of a model with static embeddings: a text's vector is the mean of its tokens' vectors.

Two libraries define such models, with small differences. A folder with ``modules.json`` is computed as by
sentence-transformers' StaticEmbedding, a folder without it as by model2vec.
"""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from embedstack.errors import ConfigurationError
from embedstack.models.json_files import read_object, read_optional_object
from embedstack.models.model_info import ModelKind, Pooling
from embedstack_server.model.model_folder import UNKNOWN_MODEL_ID, find_weights, read_prompts
from embedstack_server.model.sentence_modules import listed_modules
from embedstack_server.model.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from embedstack_server.model.token_heads import TokenHeads

__all__ = ["StaticFolder", "StaticTable", "is_static"]

# Tokens read of one text by a model without a limit: more than a request can contain.
_UNLIMITED = 10_000_000
# model2vec's default for the tokens that it reads of one text.
_MODEL2VEC_LIMIT = 512


def is_static(path: Path) -> bool:
    """Whether a folder has static embeddings.

    Raises:
        ConfigurationError: A file is unreadable.
    """
    if (path / "modules.json").is_file():
        return next(iter(listed_modules(path)), ("", path))[0] == "StaticEmbedding"
    return read_optional_object(path / "config.json").get("model_type") == "model2vec"


@dataclass(frozen=True, eq=False)
class StaticTable:
    """The vectors of tokens.

    Attributes:
        rows: Vectors, float32 (rows, dimensions).
        mapping: The row of each token id, int64 (token ids,); None if it is the token id.
        weights: Factor of each token's vector, float32 (token ids,); None for no factors.
    """

    rows: "NDArray[np.float32]"
    mapping: "NDArray[np.int64] | None" = None
    weights: "NDArray[np.float32] | None" = None

    @classmethod
    def read(cls, path: Path) -> "StaticTable":
        """Read a file of weights, with the names of either library.

        Raises:
            ConfigurationError: A tensor is missing, or its shape or a row number is wrong.
        """
        weights = Weights.open(path)
        name = "embedding.weight" if weights.has("embedding.weight") else "embeddings"
        rows = weights.get(name, 0, 0)
        mapping = weights.integers("mapping", 0) if weights.has("mapping") else None
        if mapping is not None and mapping.size and not 0 <= mapping.min() <= mapping.max() < len(rows):
            raise ConfigurationError(
                f"{path}: mapping has rows {mapping.min()} to {mapping.max()}, but {name} has {len(rows)} rows. "
                "Download the file again."
            )
        count = len(rows if mapping is None else mapping)
        return cls(rows, mapping, weights.get("weights", count) if weights.has("weights") else None)

    @property
    def token_ids(self) -> int:
        """Number of token ids."""
        return len(self.rows if self.mapping is None else self.mapping)

    @cached_property
    def zero_ids(self) -> frozenset[int]:
        """Token ids whose vector is zero."""
        is_zero = np.logical_not(self.rows.any(axis=1))
        if self.mapping is not None:
            is_zero = is_zero[self.mapping]
        if self.weights is not None:
            is_zero = is_zero | (self.weights == 0)
        return frozenset(np.flatnonzero(is_zero).tolist())

    def vectors(self, ids: "Sequence[int]") -> "NDArray[np.float32]":
        """The tokens' vectors, float32 (tokens, dimensions)."""
        numbers = np.asarray(ids, np.int64)
        vectors: NDArray[np.float32] = self.rows[numbers if self.mapping is None else self.mapping[numbers]]
        return vectors if self.weights is None else vectors * self.weights[numbers, np.newaxis]


@dataclass(frozen=True, slots=True)
class StaticFolder:
    """A folder with static embeddings, parsed and validated; see :class:`~embedstack_server.model.served_model`.

    Attributes:
        kind: What the model computes.
        path: The folder.
        model_id: The model's name, for responses and logs.
        weights: File of the vectors.
        table: The vectors.
        tokenizer: File of the tokenizer's definition.
        normalize: Whether vectors have unit length.
        max_tokens: Tokens read of one text.
        max_chars: Characters read of one text; None for no limit.
        unknown_id: Id of the unknown token if it is left out; None if it counts.
        prompts: Texts to prepend to an input, by prompt name.
        default_prompt_name: Prompt of requests that name none.
    """

    kind: ClassVar[ModelKind] = "embedding"

    path: Path
    model_id: str
    weights: Path
    table: StaticTable
    tokenizer: Path
    normalize: bool
    max_tokens: int
    max_chars: int | None = None
    unknown_id: int | None = None
    prompts: dict[str, str] = field(default_factory=dict)
    default_prompt_name: str | None = None

    @property
    def dimensions(self) -> int:
        """Length of a text's vector."""
        return int(self.table.rows.shape[1])

    @property
    def pooling(self) -> Pooling:
        """How token vectors are combined into one vector."""
        return "mean"

    @property
    def matryoshka_dimensions(self) -> tuple[int, ...]:
        """Empty: no file says to which lengths a vector may be truncated."""
        return ()

    @property
    def matryoshka_layer_norm(self) -> bool:
        """False: a vector is not changed before it is truncated."""
        return False

    @property
    def pools_prompt(self) -> bool:
        """True: the tokens of a prompt are part of the mean."""
        return True

    @property
    def heads(self) -> "TokenHeads | None":
        """None: these models have no token heads."""
        return None

    @classmethod
    def read(cls, path: Path, model_id: str | None = None) -> "StaticFolder":
        """Read and validate a folder.

        Raises:
            ConfigurationError: A file is missing or unreadable, or the model is not supported.
        """
        config = read_optional_object(path / "config.json")
        model_id = model_id or str(config.get("_name_or_path") or UNKNOWN_MODEL_ID)
        if (path / "modules.json").is_file():
            return cls._of_sentence_transformers(path, model_id)
        return cls._of_model2vec(path, model_id, config)

    @classmethod
    def _of_sentence_transformers(cls, path: Path, model_id: str) -> "StaticFolder":
        (_, folder), *others = listed_modules(path)
        if unsupported := [kind for kind, _ in others if kind != "Normalize"]:
            raise ConfigurationError(
                f"{path}: the module {unsupported[0]} after static embeddings is not supported, only Normalize."
            )
        truncate_dim = read_optional_object(path / "config_sentence_transformers.json").get("truncate_dim")
        if truncate_dim is not None:
            raise ConfigurationError(
                f"{path}: truncate_dim in config_sentence_transformers.json cuts vectors to {truncate_dim} numbers, "
                "which is not supported. Remove it."
            )
        # The library sets no limit, but applies the one in the tokenizer's file.
        truncation = _tokenizer_file(folder).get("truncation") or {}
        prompts, default_prompt_name = read_prompts(path)
        weights = find_weights(folder)
        return cls(
            path=path,
            model_id=model_id,
            weights=weights,
            table=StaticTable.read(weights),
            tokenizer=folder / "tokenizer.json",
            normalize=bool(others),
            max_tokens=int(truncation.get("max_length") or _UNLIMITED),
            prompts=prompts,
            default_prompt_name=default_prompt_name,
        )

    @classmethod
    def _of_model2vec(cls, path: Path, model_id: str, config: dict[str, Any]) -> "StaticFolder":
        file = path / "config.json"
        limit, normalize = config.get("max_length", _MODEL2VEC_LIMIT), config.get("normalize", False)
        if not isinstance(normalize, bool) or not (limit is None or (isinstance(limit, int) and limit > 0)):
            raise ConfigurationError(
                f"{file}: max_length is {limit!r} and normalize is {normalize!r}; they must be a positive integer or "
                "null, and true or false."
            )
        vocabulary, unknown_id = _vocabulary(_tokenizer_file(path))
        weights = find_weights(path)
        return cls(
            path=path,
            model_id=model_id,
            weights=weights,
            table=StaticTable.read(weights),
            tokenizer=path / "tokenizer.json",
            normalize=normalize,
            max_tokens=limit or _UNLIMITED,
            # The library cuts a text before it is tokenized.
            max_chars=limit and limit * int(median(map(len, vocabulary))),
            unknown_id=unknown_id,
        )


def _tokenizer_file(folder: Path) -> dict[str, Any]:
    if not (folder / "tokenizer.json").is_file():
        raise ConfigurationError(f"{folder} has no tokenizer.json, which static embeddings need. Download it.")
    return read_object(folder / "tokenizer.json")


def _vocabulary(tokenizer: dict[str, Any]) -> tuple[dict[str, int], int | None]:
    """The ids of all tokens, and the id of the unknown token."""
    model = tokenizer["model"]
    vocabulary = model["vocab"]
    if isinstance(vocabulary, list):  # Unigram's tokens with their scores
        vocabulary = {token: number for number, (token, _) in enumerate(vocabulary)}
    vocabulary = {**vocabulary, **{token["content"]: token["id"] for token in tokenizer.get("added_tokens") or ()}}
    return vocabulary, model["unk_id"] if "unk_id" in model else vocabulary.get(model.get("unk_token"))
