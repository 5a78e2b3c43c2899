"""BERT and its variants.

In BERT (Devlin et al., 2018, https://arxiv.org/abs/1810.04805), embeddings are followed by layers of attention and
feed-forward, each with a layer norm after it. The variants differ in the names of their tensors, in how positions are
counted and in whether they have token types. MPNet adds a relative position bias to the attention scores.
"""

from dataclasses import dataclass, replace

from embedstack.errors import ConfigurationError
from embedstack_server.model.architectures.config_file import ConfigFile, UnsupportedArchitecture
from embedstack_server.model.architectures.encoder_config import EncoderConfig

__all__ = ["MODEL_TYPES", "BertConfig", "LayerNames"]


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
        token_types: Whether a vector per token type is part of the embeddings.
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


# transformers' default for all architectures with token types.
_DEFAULT_TOKEN_TYPES = 2
#: Values of ``model_type`` of this family.
MODEL_TYPES = tuple(_ARCHITECTURES)


@dataclass(frozen=True, slots=True, kw_only=True)
class BertConfig(EncoderConfig):
    """The configuration of a variant of BERT.

    Attributes:
        names: Names of the layers' tensors.
        heads: Attention heads per layer.
        inner_size: Length of a token's vector between the two feed-forward layers.
        padding_id: Padding's token id, after which positions are counted; None if positions are counted from 0.
        layer_norm_eps: Added to a variance before taking the square root.
        activation: Activation between the two feed-forward layers.
        relative_positions: Whether the attention scores have a bias by the distance of two tokens.
    """

    names: LayerNames
    heads: int
    inner_size: int
    padding_id: int | None
    layer_norm_eps: float
    activation: str
    relative_positions: bool

    @property
    def position_rows(self) -> int:
        """Rows of the position table, including the unused ones up to the padding's."""
        return self.max_positions + (0 if self.padding_id is None else self.padding_id + 1)

    @property
    def attention_bytes(self) -> int:
        """See :attr:`EncoderConfig.attention_bytes`."""
        return 9 * self.heads if self.relative_positions else 0

    @classmethod
    def read(cls, file: ConfigFile) -> "BertConfig":
        """Read ``config.json``.

        Raises:
            UnsupportedArchitecture: The variant is not supported.
            ConfigurationError: A setting is missing or invalid.
        """
        name = str(file.content["model_type"])
        architecture = _ARCHITECTURES[name]
        file = replace(file, aliases=dict(architecture.aliases))
        file.require("position_embedding_type", "absolute")
        if file.content.get("is_decoder"):
            raise UnsupportedArchitecture(f"{file.path}: the model is a decoder. Only encoders are supported.")
        rows = file.positive("max_position_embeddings")
        padding_id = _padding_id(file, rows) if architecture.counts_from_padding else None
        config = cls(
            architecture=name,
            word_embeddings="embeddings.word_embeddings.weight",
            names=architecture.names,
            hidden_size=file.positive("hidden_size"),
            layers=file.positive("num_hidden_layers"),
            heads=file.positive("num_attention_heads"),
            inner_size=file.positive("intermediate_size"),
            max_positions=rows if padding_id is None else rows - padding_id - 1,
            padding_id=padding_id,
            # DistilBERT defines it in its code instead of its configuration.
            layer_norm_eps=1e-12 if name == "distilbert" else file.epsilon("layer_norm_eps"),
            activation=file.activation("hidden_act"),
            token_types=file.positive("type_vocab_size", _DEFAULT_TOKEN_TYPES) if architecture.token_types else 0,
            relative_positions=architecture.relative_positions,
            vocabulary_size=file.positive("vocab_size") if "vocab_size" in file.content else 0,
        )
        if config.hidden_size % config.heads:
            raise ConfigurationError(
                f"{file.path}: hidden_size {config.hidden_size} is not divisible by {config.heads} attention heads."
            )
        return config


def _padding_id(file: ConfigFile, rows: int) -> int:
    value = file.content.get("pad_token_id", 1)
    if not isinstance(value, int) or value < 0 or value + 1 >= rows:
        raise ConfigurationError(f"{file.path}: pad_token_id {value!r} leaves no positions for a text.")
    return value
