"""Qwen3 as an encoder.

Qwen3 (Yang et al., 2025, https://arxiv.org/abs/2505.09388) is a language model, in which a token attends to itself and
its predecessors. Embedding models of this family take the vector of the last token (Zhang et al., 2025,
https://arxiv.org/abs/2506.05176). Some variants were trained to attend in both directions.
"""

from dataclasses import dataclass

from embedstack.errors import ConfigurationError
from embedstack_server.model.architectures.config_file import ConfigFile, UnsupportedArchitecture
from embedstack_server.model.architectures.encoder_config import EncoderConfig
from embedstack_server.model.architectures.rope import Rope, read_rope

__all__ = ["MODEL_TYPES", "Qwen3Config"]

#: Values of ``model_type`` of this family.
MODEL_TYPES = ("qwen3",)

# transformers' default; the released models' heads are longer than hidden_size / num_attention_heads.
_HEAD_SIZE = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Qwen3Config(EncoderConfig):
    """The configuration of Qwen3.

    Attributes:
        heads: Heads of the queries per layer.
        key_value_heads: Heads of the keys and values per layer, each for a group of consecutive query heads.
        head_size: Length of a head's vector.
        inner_size: Length of a token's vector between the feed-forward layers, after the gate.
        rope: Rotary positions.
        norm_eps: Added to a mean square before taking the square root.
        activation: Activation of the feed-forward layers.
        attention_bias: Whether the attention's linear layers have a bias.
        causal: Whether a token attends only to itself and its predecessors.
    """

    heads: int
    key_value_heads: int
    head_size: int
    inner_size: int
    rope: Rope
    norm_eps: float
    activation: str
    attention_bias: bool
    causal: bool

    @property
    def attention_bytes(self) -> int:
        """See :attr:`EncoderConfig.attention_bytes`."""
        return 9 if self.causal else 0

    @classmethod
    def read(cls, file: ConfigFile) -> "Qwen3Config":
        """Read ``config.json``.

        Raises:
            UnsupportedArchitecture: The variant is not supported.
            ConfigurationError: A setting is missing or invalid.
        """
        file.require("use_sliding_window", False)
        if "sliding_attention" in file.get("layer_types", ()):
            raise UnsupportedArchitecture(f"{file.path}: local attention in layer_types is not supported for qwen3.")
        heads, key_value_heads = file.positive("num_attention_heads"), file.positive("num_key_value_heads")
        if heads % key_value_heads:
            raise ConfigurationError(
                f"{file.path}: num_attention_heads {heads} is not divisible by num_key_value_heads {key_value_heads}."
            )
        head_size = _HEAD_SIZE if file.get("head_dim", None) is None else file.positive("head_dim")
        if head_size % 2:
            raise ConfigurationError(f"{file.path}: head_dim {head_size} is odd; rotary positions need pairs.")
        return cls(
            architecture="qwen3",
            word_embeddings="embed_tokens.weight",
            hidden_size=file.positive("hidden_size"),
            layers=file.positive("num_hidden_layers"),
            heads=heads,
            key_value_heads=key_value_heads,
            head_size=head_size,
            inner_size=file.positive("intermediate_size"),
            max_positions=file.positive("max_position_embeddings"),
            vocabulary_size=file.positive("vocab_size"),
            rope=read_rope(file, head_size),
            norm_eps=file.epsilon("rms_norm_eps"),
            activation=file.activation("hidden_act"),
            attention_bias=file.flag("attention_bias", default=False),
            causal=_is_causal(file),
        )


def _is_causal(file: ConfigFile) -> bool:
    """By ``is_causal``, which transformers reads, or by ``use_bidirectional_attention``, which TEI reads."""
    causal = file.flag("is_causal", default=True)
    bidirectional = file.flag("use_bidirectional_attention", default=not causal)
    if "is_causal" in file.content and causal == bidirectional:
        raise ConfigurationError(
            f"{file.path}: is_causal contradicts use_bidirectional_attention. Remove the setting that is wrong."
        )
    return not bidirectional
