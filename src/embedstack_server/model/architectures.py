"""The supported encoder architectures and their differences.

All are variants of BERT (Devlin et al., 2018, https://arxiv.org/abs/1810.04805): embeddings, then layers of attention
and feed-forward, each followed by a layer norm. They differ in the names of their tensors, in how positions are counted
and in whether they have token types. MPNet adds a relative position bias to the attention scores.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from embedstack.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ACTIVATIONS", "EncoderConfig", "LayerNames", "UnsupportedArchitecture"]

ACTIVATIONS = ("gelu", "gelu_new", "gelu_pytorch_tanh", "relu")


class UnsupportedArchitecture(ConfigurationError):
    """The built-in engine does not support the model's architecture."""


@dataclass(frozen=True, slots=True)
class LayerNames:
    """An architecture's names for the tensors of one layer, without ``.weight`` and ``.bias``."""

    layer: str = "encoder.layer.{}."
    query: str = "attention.self.query"
    key: str = "attention.self.key"
    value: str = "attention.self.value"
    attention_output: str = "attention.output.dense"
    attention_norm: str = "attention.output.LayerNorm"
    inner: str = "intermediate.dense"
    outer: str = "output.dense"
    outer_norm: str = "output.LayerNorm"


@dataclass(frozen=True, slots=True)
class _Architecture:
    """The properties of one ``model_type``.

    Attributes:
        names: Names of the layers' tensors.
        token_types: Whether a vector per segment is part of the embeddings.
        counts_from_padding: Whether a text's positions start after ``pad_token_id`` and skip padding tokens.
        relative_positions: Whether the attention scores have a bias by the distance of two tokens.
        aliases: BERT's names of settings, and the names in this architecture's ``config.json``.
    """

    names: LayerNames = LayerNames()
    token_types: bool = True
    counts_from_padding: bool = False
    relative_positions: bool = False
    aliases: tuple[tuple[str, str], ...] = ()


_ROBERTA = _Architecture(counts_from_padding=True)
_ARCHITECTURES = {
    "bert": _Architecture(),
    "camembert": _ROBERTA,
    "distilbert": _Architecture(
        LayerNames(
            "transformer.layer.{}.", "attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin",
            "sa_layer_norm", "ffn.lin1", "ffn.lin2", "output_layer_norm",
        ),
        token_types=False,
        aliases=(
            ("hidden_size", "dim"), ("num_hidden_layers", "n_layers"), ("num_attention_heads", "n_heads"),
            ("intermediate_size", "hidden_dim"), ("hidden_act", "activation"),
        ),
    ),
    "electra": _Architecture(),
    "mpnet": _Architecture(
        LayerNames(
            query="attention.attn.q", key="attention.attn.k", value="attention.attn.v",
            attention_output="attention.attn.o", attention_norm="attention.LayerNorm",
        ),
        token_types=False, counts_from_padding=True, relative_positions=True,
    ),
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class EncoderConfig:
    """The configuration that an encoder's graph is built from.

    Attributes:
        architecture: ``model_type`` in ``config.json``.
        names: Names of the layers' tensors.
        hidden_size: Length of a token's vector.
        layers: Number of layers.
        heads: Attention heads per layer.
        inner_size: Length of a token's vector between the two feed-forward layers.
        max_positions: Maximum number of tokens.
        padding_id: Padding's token id, after which positions are counted; None if positions are counted from 0.
        layer_norm_eps: Added to a variance before taking the square root.
        activation: Activation between the two feed-forward layers, one of ``ACTIVATIONS``.
        token_types: Whether a vector per segment is part of the embeddings.
        relative_positions: Whether the attention scores have a bias by the distance of two tokens.
        vocabulary_size: Number of token ids; 0 if ``config.json`` does not declare it.
    """

    architecture: str
    names: LayerNames
    hidden_size: int
    layers: int
    heads: int
    inner_size: int
    max_positions: int
    padding_id: int | None
    layer_norm_eps: float
    activation: str
    token_types: bool
    relative_positions: bool
    vocabulary_size: int

    @property
    def position_rows(self) -> int:
        """Rows of the position table, including the unused ones up to the padding's."""
        return self.max_positions + (0 if self.padding_id is None else self.padding_id + 1)

    @classmethod
    def read(cls, path: "Path", config: dict[str, Any]) -> "EncoderConfig":
        """Read the content of ``config.json``.

        Args:
            path: The file, for error messages.
            config: The file's content.

        Raises:
            UnsupportedArchitecture: The architecture, or its variant, is not supported.
            ConfigurationError: A setting is missing or invalid.
        """
        name = config.get("model_type")
        architecture = _ARCHITECTURES.get(str(name))
        if architecture is None:
            raise UnsupportedArchitecture(
                f"{path}: the architecture {name!r} is not supported. "
                f"Supported are {', '.join(sorted(_ARCHITECTURES))}."
            )
        numbers = _Numbers(path, config, dict(architecture.aliases))
        numbers.refuse_variants()
        rows = numbers.positive("max_position_embeddings")
        padding_id = numbers.padding_id() if architecture.counts_from_padding else None
        encoder = cls(
            architecture=str(name),
            names=architecture.names,
            hidden_size=numbers.positive("hidden_size"),
            layers=numbers.positive("num_hidden_layers"),
            heads=numbers.positive("num_attention_heads"),
            inner_size=numbers.positive("intermediate_size"),
            max_positions=rows if padding_id is None else rows - padding_id - 1,
            padding_id=padding_id,
            layer_norm_eps=numbers.epsilon(fixed=name == "distilbert"),
            activation=numbers.activation(),
            token_types=architecture.token_types,
            relative_positions=architecture.relative_positions,
            vocabulary_size=numbers.positive("vocab_size") if "vocab_size" in config else 0,
        )
        if encoder.hidden_size % encoder.heads:
            raise ConfigurationError(
                f"{path}: hidden_size {encoder.hidden_size} is not divisible by {encoder.heads} attention heads."
            )
        return encoder


@dataclass(frozen=True, slots=True)
class _Numbers:
    """Checked access to ``config.json``."""

    path: "Path"
    config: dict[str, Any]
    aliases: dict[str, str]

    def refuse_variants(self) -> None:
        """Reject settings that change the computation but not a tensor's name or shape."""
        positions = self.config.get("position_embedding_type") or "absolute"
        if positions != "absolute":
            raise UnsupportedArchitecture(
                f"{self.path}: position_embedding_type {positions!r} is not supported, only 'absolute'."
            )
        if self.config.get("is_decoder"):
            raise UnsupportedArchitecture(f"{self.path}: the model is a decoder. Only encoders are supported.")

    def positive(self, name: str) -> int:
        value = self._get(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ConfigurationError(f"{self.path}: {self._name(name)} is {value!r}; it must be a positive integer.")
        return value

    def padding_id(self) -> int:
        value = self.config.get("pad_token_id", 1)
        if not isinstance(value, int) or value < 0 or value + 1 >= self.positive("max_position_embeddings"):
            raise ConfigurationError(f"{self.path}: pad_token_id {value!r} leaves no positions for a text.")
        return value

    def epsilon(self, *, fixed: bool) -> float:
        # DistilBERT defines it in its code instead of its configuration.
        value = 1e-12 if fixed else self._get("layer_norm_eps")
        if not isinstance(value, int | float) or not 0 < value < 1:
            raise ConfigurationError(f"{self.path}: layer_norm_eps is {value!r}; it must lie between 0 and 1.")
        return float(value)

    def activation(self) -> str:
        value = self.config.get(self._name("hidden_act"), "gelu")
        if value not in ACTIVATIONS:
            raise ConfigurationError(
                f"{self.path}: the activation {value!r} is not supported. Supported are {', '.join(ACTIVATIONS)}."
            )
        return str(value)

    def _get(self, name: str) -> Any:
        try:
            return self.config[self._name(name)]
        except KeyError:
            raise ConfigurationError(f"{self.path} has no {self._name(name)}.") from None

    def _name(self, name: str) -> str:
        return self.aliases.get(name, name)
