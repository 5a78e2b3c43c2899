"""Alibaba's GTE encoder, whose checkpoints call it ``new``.

GTE (Zhang et al., 2024, https://arxiv.org/abs/2407.19669) is BERT with rotary positions and gated feed-forward layers.
"""

from dataclasses import dataclass

from embedstack.errors import ConfigurationError
from embedstack_server.model.architectures.config_file import ConfigFile
from embedstack_server.model.architectures.encoder_config import EncoderConfig
from embedstack_server.model.architectures.rope import Rope, read_rope

__all__ = ["MODEL_TYPES", "GteConfig"]

#: Values of ``model_type`` of this family: transformers' name, and the name in checkpoints with code of their own.
MODEL_TYPES = ("gte", "new")


@dataclass(frozen=True, slots=True, kw_only=True)
class GteConfig(EncoderConfig):
    """The configuration of GTE.

    Attributes:
        heads: Attention heads per layer.
        inner_size: Length of a token's vector between the feed-forward layers, after the gate.
        rope: Rotary positions.
        layer_norm_eps: Added to a variance before taking the square root.
        activation: Activation of the feed-forward layers.
    """

    heads: int
    inner_size: int
    rope: Rope
    layer_norm_eps: float
    activation: str

    @classmethod
    def read(cls, file: ConfigFile) -> "GteConfig":
        """Read ``config.json``.

        Raises:
            UnsupportedArchitecture: The variant is not supported.
            ConfigurationError: A setting is missing or invalid.
        """
        file.require("position_embedding_type", "rope")
        file.require("layer_norm_type", "layer_norm")
        for scaled_scores in ("logn_attention_scale", "logn_attention_clip1"):
            file.require(scaled_scores, False)
        hidden_size, heads = file.positive("hidden_size"), file.positive("num_attention_heads")
        if hidden_size % (2 * heads):
            raise ConfigurationError(
                f"{file.path}: hidden_size {hidden_size} is not divisible into {heads} attention heads of even length."
            )
        return cls(
            architecture=str(file.content["model_type"]),
            word_embeddings="embeddings.word_embeddings.weight",
            hidden_size=hidden_size,
            layers=file.positive("num_hidden_layers"),
            heads=heads,
            inner_size=file.positive("intermediate_size"),
            max_positions=file.positive("max_position_embeddings"),
            vocabulary_size=file.positive("vocab_size"),
            rope=read_rope(file, hidden_size // heads),
            layer_norm_eps=file.epsilon("layer_norm_eps"),
            activation=file.activation("hidden_act"),
            token_types=0 if file.get("type_vocab_size", 1) == 0 else file.positive("type_vocab_size", 1),
        )
