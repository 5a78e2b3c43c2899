"""BGE-M3's sparse and ColBERT outputs: a weight and a vector per token.

The formulas are those of FlagEmbedding 1.4.2's ``BGEM3FlagModel`` (Chen et al., 2024, https://arxiv.org/abs/2402.03216).
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from embedstack.errors import ConfigurationError
from embedstack.models.json_files import read_object, read_optional_object
from embedstack_server.model.weights import Weights, weights_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

__all__ = ["TokenHeads", "colbert_score", "sparse_score"]

# Special tokens without a weight, by their names in the tokenizer's files.
_UNWEIGHTED = ("cls_token", "eos_token", "pad_token", "unk_token")
# Tokens of a passage that are compared in one step. All pairs of two texts of 8,192 tokens would take 256 MiB.
_COMPARED_TOKENS = 512
# The lower bound in torch.nn.functional.normalize.
_SMALLEST_NORM = 1e-12


class TokenHeads:
    """The linear layers after the last hidden state. Thread-safe."""

    def __init__(
        self,
        sparse: "tuple[Vectors, Vectors]",
        colbert: "tuple[Vectors, Vectors]",
        unweighted: frozenset[int],
    ) -> None:
        """Create the heads.

        Args:
            sparse: Weight (1, hidden size) and bias (1,).
            colbert: Weight (dimensions, hidden size) and bias (dimensions,).
            unweighted: Token ids that :meth:`sparse` excludes.
        """
        self._sparse = sparse
        self._colbert = colbert
        self._unweighted = unweighted

    @classmethod
    def read(cls, folder: "Path", hidden_size: int) -> "TokenHeads | None":
        """Read ``sparse_linear`` and ``colbert_linear`` (``.safetensors`` or ``.pt``); None if both are missing.

        Raises:
            ConfigurationError: One of them is missing, or a file is damaged or belongs to another model.
        """
        files = {name: weights_file(folder, name) for name in ("sparse_linear", "colbert_linear")}
        if not any(files.values()):
            return None
        layers = []
        for (name, file), outputs in zip(files.items(), (1, 0), strict=True):
            if file is None:
                raise ConfigurationError(f"{folder} has one of BGE-M3's heads, but no {name}.pt. Download it too.")
            weights = Weights.open(file)
            matrix = weights.get("weight", outputs, hidden_size)
            layers.append((matrix, weights.get("bias", len(matrix))))
        return cls(layers[0], layers[1], _unweighted_ids(folder))

    @property
    def dimensions(self) -> int:
        """Length of a token's vector."""
        return len(self._colbert[1])

    def sparse(self, hidden: "Vectors", ids: "Sequence[int]") -> dict[int, float]:
        """The weight of each distinct token of a text, for lexical matching.

        Args:
            hidden: One text's last hidden state, float32 (tokens, hidden size), without padding.
            ids: Its token ids, special tokens included.

        Returns:
            The largest weight of each token's occurrences, by token id; positive weights only, without special tokens.
        """
        matrix, bias = self._sparse
        weights: dict[int, float] = {}
        for token, weight in zip(ids, (hidden @ matrix[0] + bias).tolist(), strict=True):
            if weight > weights.get(token, 0) and token not in self._unweighted:
                weights[token] = weight
        return weights

    def colbert(self, hidden: "Vectors") -> "Vectors":
        """A unit vector per token, for late interaction.

        Args:
            hidden: One text's last hidden state, float32 (tokens, hidden size), without padding.

        Returns:
            float32 (tokens - 1, dimensions): the first token, which represents the whole text, is excluded.
        """
        matrix, bias = self._colbert
        vectors: Vectors = hidden[1:] @ matrix.T + bias
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), _SMALLEST_NORM)
        return vectors


def sparse_score(query: "Mapping[int, float]", passage: "Mapping[int, float]") -> float:
    """Lexical score: the sum of the products of the weights of shared tokens."""
    return sum(weight * passage[token] for token, weight in query.items() if token in passage)


def colbert_score(query: "Vectors", passage: "Vectors") -> float:
    """MaxSim score: the best cosine with any token of the passage, averaged over the query's tokens.

    Args:
        query: Unit vectors (query tokens, dimensions).
        passage: Unit vectors (passage tokens, dimensions).
    """
    best = np.full(len(query), -np.inf, np.float32)
    for start in range(0, len(passage), _COMPARED_TOKENS):
        np.maximum(best, (query @ passage[start : start + _COMPARED_TOKENS].T).max(axis=1), out=best)
    return float(best.mean())


def _unweighted_ids(folder: "Path") -> frozenset[int]:
    """Ids of the special tokens without a weight, read from the tokenizer's files."""
    named: dict[str, Any] = {}
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        named |= read_optional_object(folder / name)
    contents = {_content(named[role]) for role in _UNWEIGHTED if named.get(role)}
    added = read_object(folder / "tokenizer.json").get("added_tokens") or []
    ids = {str(token["content"]): int(token["id"]) for token in added}
    if not contents or contents - ids.keys():
        raise ConfigurationError(
            f"{folder}: the special tokens that the sparse output must exclude are unknown. tokenizer_config.json and "
            f"special_tokens_map.json name {', '.join(sorted(contents)) or 'none'}; tokenizer.json must contain them. "
            "Download the three files again."
        )
    return frozenset(ids[content] for content in contents)


def _content(token: Any) -> str:
    return str(token["content"] if isinstance(token, dict) else token)
