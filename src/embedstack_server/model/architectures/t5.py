"""The encoder of T5 (https://arxiv.org/abs/1910.10683), as in sentence-t5 and GTR."""

from dataclasses import dataclass

from embedstack_server.model.architectures.config_file import ACTIVATIONS, ConfigFile, UnsupportedArchitecture
from embedstack_server.model.architectures.encoder_config import EncoderConfig

__all__ = ["MODEL_TYPES", "T5Config"]

#: Values of ``model_type`` of this family.
MODEL_TYPES = ("t5",)

# Positions are relative and have no table; no model of the family was trained with longer texts.
_LONGEST = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class T5Config(EncoderConfig):
    """The configuration of T5's encoder.

    Attributes:
        heads: Attention heads per layer.
        head_size: Length of a head's vector.
        inner_size: Length of a token's vector between the feed-forward layers.
        rms_norm_eps: Added to a mean square before taking the square root.
        activation: Activation of the feed-forward layers.
        gated: Whether the feed-forward layers have a gate.
        buckets: Number of ranges of distances that have an attention bias of their own.
        largest_distance: Distance from which on all distances are in the last range.
    """

    heads: int
    head_size: int
    inner_size: int
    rms_norm_eps: float
    activation: str
    gated: bool
    buckets: int
    largest_distance: int

    @property
    def attention_bytes(self) -> int:
        """See :attr:`EncoderConfig.attention_bytes`."""
        return 9 * self.heads

    @classmethod
    def read(cls, file: ConfigFile) -> "T5Config":
        """Read ``config.json``.

        Raises:
            UnsupportedArchitecture: The variant is not supported.
            ConfigurationError: A setting is missing or invalid.
        """
        file.require("is_decoder", False)
        activation, gated = _activation(file)
        buckets = file.positive("relative_attention_num_buckets")
        if buckets % 4:
            raise UnsupportedArchitecture(
                f"{file.path}: relative_attention_num_buckets {buckets} is not supported, only multiples of 4."
            )
        return cls(
            architecture="t5",
            word_embeddings="shared.weight",
            hidden_size=file.positive("d_model"),
            layers=file.positive("num_layers"),
            heads=file.positive("num_heads"),
            head_size=file.positive("d_kv"),
            inner_size=file.positive("d_ff"),
            max_positions=_LONGEST,
            vocabulary_size=file.positive("vocab_size"),
            rms_norm_eps=file.epsilon("layer_norm_epsilon", 1e-6),
            activation=activation,
            gated=gated,
            buckets=buckets,
            # Files of the first models do not have it.
            largest_distance=int(file.number("relative_attention_max_distance", 128)),
        )


def _activation(file: ConfigFile) -> tuple[str, bool]:
    """The activation, and whether it is that of a gate."""
    value = str(file.get("feed_forward_proj", "relu"))
    name = value.removeprefix("gated-")
    gated = name != value
    if gated and name == "gelu":
        name = "gelu_new"  # as in transformers, for the models that were converted before it had this name
    if name not in ACTIVATIONS:
        raise UnsupportedArchitecture(f"{file.path}: feed_forward_proj {value!r} is not supported.")
    return name, gated
