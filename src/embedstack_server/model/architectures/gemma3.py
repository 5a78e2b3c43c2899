"""Gemma 3's text model as an encoder, such as EmbeddingGemma (https://arxiv.org/abs/2503.19786).

Most layers attend to a window of near tokens, every sixth to the whole text. EmbeddingGemma attends in both directions.
"""

import logging
from dataclasses import dataclass

from embedstack.errors import ConfigurationError
from embedstack_server.model.architectures.config_file import ConfigFile, UnsupportedArchitecture
from embedstack_server.model.architectures.encoder_config import EncoderConfig
from embedstack_server.model.architectures.rope import Rope, read_rope

__all__ = ["MODEL_TYPES", "Gemma3Config"]

_logger = logging.getLogger(__name__)

#: Values of ``model_type`` of this family.
MODEL_TYPES = ("gemma3_text",)
_FULL, _SLIDING = "full_attention", "sliding_attention"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gemma3Config(EncoderConfig):
    """The configuration of Gemma 3's text model.

    Attributes:
        heads: Attention heads per layer.
        key_heads: Heads of keys and values per layer, each of which serves a group of query heads.
        head_size: Length of a head's vector.
        inner_size: Length of a token's vector between the feed-forward layers.
        attention_scale: Factor of the attention scores.
        attention_bias: Whether the attention's linear layers have a bias.
        rms_norm_eps: Added to a mean square before taking the square root.
        activation: Activation of the feed-forward layers' gate.
        bidirectional: Whether tokens attend to following tokens.
        radius: Largest distance of two tokens in a local layer.
        is_local: For each layer, whether a token attends only to tokens nearby.
        global_rope: Rotary positions of the other layers.
        local_rope: Rotary positions of the local layers.
    """

    heads: int
    key_heads: int
    head_size: int
    inner_size: int
    attention_scale: float
    attention_bias: bool
    rms_norm_eps: float
    activation: str
    bidirectional: bool
    radius: int
    is_local: tuple[bool, ...]
    global_rope: Rope
    local_rope: Rope

    @property
    def attention_bytes(self) -> int:
        """See :attr:`EncoderConfig.attention_bytes`."""
        return 13

    @classmethod
    def read(cls, file: ConfigFile) -> "Gemma3Config":
        """Read ``config.json``.

        Raises:
            UnsupportedArchitecture: The variant is not supported.
            ConfigurationError: A setting is missing or invalid.
        """
        file.require("attn_logit_softcapping")
        bidirectional = file.flag("use_bidirectional_attention", default=False)
        layers, head_size = file.positive("num_hidden_layers"), file.positive("head_dim")
        heads, key_heads = file.positive("num_attention_heads"), file.positive("num_key_value_heads")
        if heads % key_heads:
            raise ConfigurationError(
                f"{file.path}: {heads} attention heads are not divisible by {key_heads} heads of keys and values."
            )
        return cls(
            architecture=str(file.content["model_type"]),
            word_embeddings="embed_tokens.weight",
            hidden_size=file.positive("hidden_size"),
            layers=layers,
            heads=heads,
            key_heads=key_heads,
            head_size=head_size,
            inner_size=file.positive("intermediate_size"),
            max_positions=file.positive("max_position_embeddings"),
            vocabulary_size=file.positive("vocab_size"),
            attention_scale=file.number("query_pre_attn_scalar") ** -0.5,
            attention_bias=file.flag("attention_bias", default=False),
            rms_norm_eps=file.epsilon("rms_norm_eps", 1e-6),
            activation=file.activation("hidden_activation", "gelu_pytorch_tanh"),
            bidirectional=bidirectional,
            radius=_radius(file, bidirectional),
            is_local=_is_local(file, layers),
            global_rope=read_rope(file, head_size, layer_type=_FULL),
            local_rope=read_rope(
                file, head_size, layer_type=_SLIDING, base_name="rope_local_base_freq", scaling_name=None
            ),
        )


def _radius(file: ConfigFile, bidirectional: bool) -> int:
    size = file.positive("sliding_window")
    if not bidirectional:
        return size - 1
    if size % 2:
        # As in transformers, which halves the value when it reads a file. Some of its versions wrote the half.
        _logger.warning(
            "%s: sliding_window is %d, an odd number. If the model was saved by transformers before 5.24, this may be "
            "half of the original model's window. Compare it with the original config.json.", file.path, size,
        )  # fmt: skip
    return size // 2


def _is_local(file: ConfigFile, layers: int) -> tuple[bool, ...]:
    kinds = file.get("layer_types", None)
    if kinds is None:
        pattern = file.positive("sliding_window_pattern") if "sliding_window_pattern" in file.content else 6
        return tuple((number + 1) % pattern != 0 for number in range(layers))
    if not isinstance(kinds, list) or len(kinds) != layers:
        raise ConfigurationError(f"{file.path}: layer_types must name the kind of each of the {layers} layers.")
    if unknown := set(map(str, kinds)) - {_FULL, _SLIDING}:
        raise UnsupportedArchitecture(
            f"{file.path}: layer_types has {', '.join(sorted(unknown))}. Supported are {_FULL} and {_SLIDING}."
        )
    return tuple(kind == _SLIDING for kind in kinds)
