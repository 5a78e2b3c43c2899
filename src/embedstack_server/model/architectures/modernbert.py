"""ModernBERT and mmBERT.

ModernBERT (Warner et al., 2024, https://arxiv.org/abs/2412.13663) normalizes before attention and feed-forward, rotates
queries and keys by their positions, and gates its feed-forward layers. Most layers attend only to tokens nearby.
"""

from dataclasses import dataclass

from embedstack.errors import ConfigurationError
from embedstack_server.model.architectures.config_file import ConfigFile
from embedstack_server.model.architectures.encoder_config import EncoderConfig
from embedstack_server.model.architectures.rope import Rope, read_rope

__all__ = ["MODEL_TYPES", "ModernBertConfig"]

#: Values of ``model_type`` of this family; mmBERT has ModernBERT's.
MODEL_TYPES = ("modernbert",)

_GLOBAL, _LOCAL = "full_attention", "sliding_attention"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModernBertConfig(EncoderConfig):
    """The configuration of ModernBERT.

    Attributes:
        heads: Attention heads per layer.
        inner_size: Length of a token's vector between the feed-forward layers, after the gate.
        is_local: For each layer, whether a token attends only to tokens nearby.
        radius: Largest distance of two tokens in a local layer.
        global_rope: Rotary positions of the other layers.
        local_rope: Rotary positions of the local layers.
        norm_eps: Added to a variance before taking the square root.
        activation: Activation of the feed-forward layers.
        norm_bias: Whether layer norms have a bias.
        attention_bias: Whether the attention's linear layers have a bias.
        mlp_bias: Whether the feed-forward layers have a bias.
    """

    heads: int
    inner_size: int
    is_local: tuple[bool, ...]
    radius: int
    global_rope: Rope
    local_rope: Rope
    norm_eps: float
    activation: str
    norm_bias: bool
    attention_bias: bool
    mlp_bias: bool

    @property
    def attention_bytes(self) -> int:
        """See :attr:`EncoderConfig.attention_bytes`."""
        return 9

    @classmethod
    def read(cls, file: ConfigFile) -> "ModernBertConfig":
        """Read ``config.json``.

        Raises:
            UnsupportedArchitecture: The variant is not supported.
            ConfigurationError: A setting is missing or invalid.
        """
        hidden_size, heads = file.positive("hidden_size"), file.positive("num_attention_heads")
        if hidden_size % (2 * heads):
            raise ConfigurationError(
                f"{file.path}: hidden_size {hidden_size} is not divisible into {heads} attention heads of even length."
            )
        head_size = hidden_size // heads
        layers = file.positive("num_hidden_layers")
        return cls(
            architecture="modernbert",
            word_embeddings="embeddings.tok_embeddings.weight",
            hidden_size=hidden_size,
            layers=layers,
            heads=heads,
            inner_size=file.positive("intermediate_size"),
            max_positions=file.positive("max_position_embeddings"),
            vocabulary_size=file.positive("vocab_size"),
            is_local=_is_local(file, layers),
            # local_attention is the whole window; it extends by half of it to either side.
            radius=file.positive("local_attention") // 2,
            global_rope=read_rope(file, head_size, layer_type=_GLOBAL, base_name="global_rope_theta"),
            local_rope=read_rope(file, head_size, layer_type=_LOCAL, base_name="local_rope_theta"),
            norm_eps=file.epsilon("norm_eps"),
            activation=file.activation("hidden_activation"),
            norm_bias=file.flag("norm_bias", default=False),
            attention_bias=file.flag("attention_bias", default=False),
            mlp_bias=file.flag("mlp_bias", default=False),
        )


def _is_local(file: ConfigFile, layers: int) -> tuple[bool, ...]:
    """By ``layer_types``, or by its former spelling ``global_attn_every_n_layers``."""
    types, every = file.get("layer_types", None), file.get("global_attn_every_n_layers", None)
    if types is None and every is None:
        raise ConfigurationError(
            f"{file.path} has neither layer_types nor global_attn_every_n_layers. Download it again."
        )
    by_number = None
    if every is not None:
        every = file.positive("global_attn_every_n_layers")
        by_number = tuple(layer % every != 0 for layer in range(layers))
    if types is None:
        return by_number or ()
    if not isinstance(types, list) or len(types) != layers or not {*types} <= {_GLOBAL, _LOCAL}:
        raise ConfigurationError(
            f"{file.path}: layer_types must be a list of {layers} names, each {_GLOBAL} or {_LOCAL}."
        )
    by_name = tuple(name == _LOCAL for name in types)
    if by_number not in (None, by_name):
        raise ConfigurationError(
            f"{file.path}: layer_types contradicts global_attn_every_n_layers. Remove the setting that is wrong."
        )
    return by_name
