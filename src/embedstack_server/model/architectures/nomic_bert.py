"""NomicBERT: BERT with rotary positions.

Nomic Embed v1 and v1.5 (https://arxiv.org/abs/2402.01613) have feed-forward layers with a gate. In v2
(https://arxiv.org/abs/2502.07972), each token passes through some of the experts in every other layer.
"""

from dataclasses import dataclass, replace

from embedstack.errors import ConfigurationError
from embedstack_server.model.architectures.config_file import ConfigFile, UnsupportedArchitecture
from embedstack_server.model.architectures.encoder_config import EncoderConfig

__all__ = ["MODEL_TYPES", "DynamicScaling", "Experts", "NomicBertConfig"]

#: Values of ``model_type`` of this family.
MODEL_TYPES = ("nomic_bert",)

# transformers' names of settings, and those of the models' own code.
_OWN_NAMES = {
    "hidden_size": "n_embd", "num_attention_heads": "n_head", "num_hidden_layers": "n_layer",
    "intermediate_size": "n_inner", "layer_norm_eps": "layer_norm_epsilon",
}  # fmt: skip
# Settings of the models' own code that would change the computation.
_REQUIRED: dict[str, tuple[object, ...]] = {
    "prenorm": (False,), "parallel_block": (False,), "use_rms_norm": (False,), "causal": (False,),
    "rotary_emb_fraction": (1,), "rotary_emb_interleaved": (False,), "rotary_emb_scale_base": (),
    "scale_attn_by_inverse_layer_idx": (False,), "scale_attn_weights": (True,), "expert_choice_router": (False,),
    "moe_normalize_expert_weights": (False,), "num_shared_experts": (0,), "ffn_div": (1,),
}  # fmt: skip
# Longest text of the models with scaled positions, whose max_position_embeddings is that of the training texts.
_LONGEST_SCALED = 8192


@dataclass(frozen=True, slots=True)
class Experts:
    """The mixture of experts.

    Attributes:
        count: Number of experts.
        chosen: Number of experts that a token passes through.
        every: A layer has experts if its number modulo this number is 1.
    """

    count: int
    chosen: int
    every: int


@dataclass(frozen=True, slots=True)
class DynamicScaling:
    """Rotary positions of texts that are longer than the training texts: their base grows with their length.

    Attributes:
        factor: Strength of the growth.
        trained_positions: Number of tokens up to which nothing changes.
    """

    factor: float
    trained_positions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NomicBertConfig(EncoderConfig):
    """The configuration of NomicBERT.

    Attributes:
        heads: Attention heads per layer.
        inner_size: Length of a token's vector between the feed-forward layers, for each expert.
        token_types: Whether a vector per segment is part of the embeddings.
        layer_norm_eps: Added to a variance before taking the square root.
        activation: Activation of the feed-forward layers.
        gated: Whether the feed-forward layers have a gate.
        attention_bias: Whether the attention's linear layers have a bias.
        inner_bias: Whether the first feed-forward layer has a bias.
        outer_bias: Whether the second feed-forward layer has a bias.
        rope_base: Base of the rotary positions' frequencies.
        scaling: Scaling of rotary positions; None for no scaling.
        experts: The mixture of experts; None without one.
    """

    heads: int
    inner_size: int
    token_types: bool
    layer_norm_eps: float
    activation: str
    gated: bool
    attention_bias: bool
    inner_bias: bool
    outer_bias: bool
    rope_base: float
    scaling: DynamicScaling | None
    experts: Experts | None

    @property
    def matryoshka_layer_norm(self) -> bool:
        """True for v1.5 (model card of nomic-ai/nomic-embed-text-v1.5); v2 truncates a vector as it is."""
        return self.gated

    @classmethod
    def read(cls, file: ConfigFile) -> "NomicBertConfig":
        """Read ``config.json``.

        Raises:
            UnsupportedArchitecture: The variant is not supported.
            ConfigurationError: A setting is missing or invalid.
        """
        for name, accepted in _REQUIRED.items():
            file.require(name, *accepted)
        if "n_embd" in file.content:
            file = replace(file, aliases=_OWN_NAMES)
        hidden_size, heads = file.positive("hidden_size"), file.positive("num_attention_heads")
        if hidden_size % (2 * heads) or file.get("head_dim", hidden_size // heads) != hidden_size // heads:
            raise ConfigurationError(
                f"{file.path}: hidden_size {hidden_size} is not divisible into {heads} attention heads of even length."
            )
        activation, gated = _activation(file)
        base, scaling = _rotary(file)
        return cls(
            architecture="nomic_bert",
            word_embeddings="embeddings.word_embeddings.weight",
            hidden_size=hidden_size,
            layers=file.positive("num_hidden_layers"),
            heads=heads,
            inner_size=file.positive("intermediate_size"),
            max_positions=_max_positions(file, scaling),
            vocabulary_size=file.positive("vocab_size"),
            token_types=file.get("type_vocab_size", 0) != 0,
            layer_norm_eps=file.epsilon("layer_norm_eps"),
            activation=activation,
            gated=gated,
            attention_bias=file.flag("qkv_proj_bias", default=False),
            inner_bias=file.flag("mlp_fc1_bias", default=False),
            outer_bias=file.flag("mlp_fc2_bias", default=False),
            rope_base=base,
            scaling=scaling,
            experts=_experts(file),
        )


def _activation(file: ConfigFile) -> tuple[str, bool]:
    """The activation, and whether it is that of a gate."""
    name = file.get("activation_function", None)
    if name is None:  # transformers' configuration, whose feed-forward layers are always gated
        return file.activation("hidden_act", "silu"), True
    if name not in ("gelu", "swiglu"):
        raise UnsupportedArchitecture(f"{file.path}: activation_function {name!r} is not supported.")
    return ("silu", True) if name == "swiglu" else ("gelu", False)


def _max_positions(file: ConfigFile, scaling: DynamicScaling | None) -> int:
    if file.get("n_positions", None) is not None:
        return file.positive("n_positions")
    positions = file.positive("max_position_embeddings")
    return max(positions, _LONGEST_SCALED) if scaling else positions


def _rotary(file: ConfigFile) -> tuple[float, DynamicScaling | None]:
    """The base and the scaling, in the spelling of the models' own code, of transformers, or both."""
    spellings = []
    if file.get("rotary_emb_base", None) is not None:
        own = file.get("rotary_scaling_factor", None)
        trained = file.positive("max_trained_positions") if "max_trained_positions" in file.content else 2048
        scaling = None if own is None else DynamicScaling(file.number("rotary_scaling_factor"), trained)
        spellings.append((file.number("rotary_emb_base"), scaling))
    parameters = file.get("rope_parameters", None)
    if isinstance(parameters, dict):
        inner = ConfigFile(file.path, parameters)
        inner.require("rope_type", "default", "dynamic")
        inner.require("partial_rotary_factor", 1)
        is_dynamic = parameters.get("rope_type") == "dynamic"
        trained = file.positive("max_position_embeddings") if is_dynamic else 0
        scaling = DynamicScaling(inner.number("factor"), trained) if is_dynamic else None
        spellings.append((inner.number("rope_theta"), scaling))
    if not spellings:
        raise ConfigurationError(
            f"{file.path} has neither rotary_emb_base nor rope_parameters, the base of the model's rotary positions. "
            "Download it again."
        )
    if spellings[0] != spellings[-1]:
        raise ConfigurationError(
            f"{file.path}: rope_parameters contradicts rotary_emb_base or rotary_scaling_factor. Remove the settings "
            "that are wrong."
        )
    return spellings[0]


def _experts(file: ConfigFile) -> Experts | None:
    every = file.get("moe_every_n_layers", 0)
    if every in (0, -1) or not file.get("num_experts", 0):
        return None
    count, chosen = file.positive("num_experts"), file.positive("moe_top_k")
    if chosen > count:
        raise ConfigurationError(f"{file.path}: moe_top_k is {chosen}, but there are {count} experts.")
    if _activation(file)[1]:
        raise UnsupportedArchitecture(f"{file.path}: experts with a gate are not supported.")
    return Experts(count, chosen, file.positive("moe_every_n_layers"))
