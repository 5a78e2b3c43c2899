"""The modules of a sentence-transformers model that follow its encoder."""

from dataclasses import dataclass
from pathlib import Path

from embedstack.errors import ConfigurationError
from embedstack.models.json_files import read_json, read_object
from embedstack.models.model_folder import POOLING_MODES, pooling_modes
from embedstack.models.model_info import Pooling
from embedstack_server.model.architectures.config_file import UnsupportedArchitecture
from embedstack_server.model.weights import weights_file

__all__ = ["DenseModule", "SentenceModules", "listed_modules"]

_POOLING_MODES = {name: mode for name, mode in POOLING_MODES.items() if mode != "weighted_mean"}
_ACTIVATIONS = ("GELU", "Identity", "ReLU", "Sigmoid", "Tanh")


@dataclass(frozen=True, slots=True)
class DenseModule:
    """A linear layer after pooling.

    Attributes:
        weights: File with ``linear.weight`` and, if it has a bias, ``linear.bias``.
        in_features: Length of the input vector.
        out_features: Length of the output vector.
        bias: Whether it adds a bias.
        activation: Activation after it: the name of a class in ``torch.nn``.
    """

    weights: Path
    in_features: int
    out_features: int
    bias: bool
    activation: str


@dataclass(frozen=True, slots=True)
class SentenceModules:
    """The modules that combine a text's token vectors into one vector.

    Attributes:
        pooling: How token vectors are combined.
        dense: Linear layers after pooling, in order.
        normalize: Whether the model ends with a Normalize module.
        pools_prompt: Whether the tokens of a prompt are pooled, too.
    """

    pooling: Pooling
    dense: tuple[DenseModule, ...]
    normalize: bool
    pools_prompt: bool = True

    @classmethod
    def read(cls, path: Path, hidden_size: int) -> "SentenceModules":
        """Read ``modules.json`` and the configuration of each module that it names.

        Raises:
            ConfigurationError: A file is unreadable.
            UnsupportedArchitecture: A module or the order of modules is not supported.
        """
        pooling: Pooling | None = None
        dense: list[DenseModule] = []
        normalize, pools_prompt = False, True
        for position, (kind, folder) in enumerate(listed_modules(path)):
            match kind:
                case "Transformer" if position == 0:
                    pass
                case "Pooling" if pooling is None:
                    pooling, pools_prompt = _read_pooling(folder / "config.json")
                case "Dense" if pooling is not None and not normalize:
                    dense.append(_read_dense(folder, dense[-1].out_features if dense else hidden_size))
                case "Normalize" if pooling is not None:
                    normalize = True
                case _:
                    raise UnsupportedArchitecture(
                        f"{path}: the module {kind} is not supported in position {position} of modules.json. "
                        "Supported are Transformer, Pooling, any number of Dense, and Normalize, in this order."
                    )
        if pooling is None:
            raise ConfigurationError(
                f"{path}: modules.json has no Pooling module, which is needed for one vector per text."
            )
        return cls(pooling, tuple(dense), normalize, pools_prompt)


def listed_modules(path: Path) -> list[tuple[str, Path]]:
    """The class and folder of each module in ``modules.json``.

    Raises:
        ConfigurationError: The file is unreadable.
    """
    file = path / "modules.json"
    try:
        return [(str(module["type"]).rpartition(".")[2], path / module.get("path", "")) for module in read_json(file)]
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(
            f"{file} is not a list of modules with types: {error!r}. Download it again."
        ) from error


def _read_pooling(path: Path) -> tuple[Pooling, bool]:
    """How token vectors are combined, and whether this includes a prompt's tokens."""
    config = read_object(path)
    chosen = pooling_modes(config)
    if len(chosen) != 1 or chosen[0] not in _POOLING_MODES:
        supported = ", ".join(sorted(set(_POOLING_MODES.values())))
        raise UnsupportedArchitecture(f"{path}: pooling {chosen or 'none'} is not supported, only one of {supported}.")
    return _POOLING_MODES[chosen[0]], config.get("include_prompt") is not False


def _read_dense(folder: Path, in_features: int) -> DenseModule:
    path = folder / "config.json"
    config = read_object(path)
    activation = str(config.get("activation_function") or "Identity").rpartition(".")[2]
    if activation not in _ACTIVATIONS:
        raise UnsupportedArchitecture(
            f"{path}: the activation {activation} is not supported. Supported are {', '.join(_ACTIVATIONS)}."
        )
    keys = {config.get("module_input_name"), config.get("module_output_name")}
    if config.get("use_residual") or not keys <= {None, "sentence_embedding"}:
        raise UnsupportedArchitecture(
            f"{path}: Dense modules with a residual, or with another input or output than sentence_embedding, are not "
            "supported."
        )
    weights = weights_file(folder, "model", "pytorch_model")
    if weights is None:
        raise ConfigurationError(f"{folder} has neither model.safetensors nor pytorch_model.bin. Download one of them.")
    out_features = config.get("out_features")
    if config.get("in_features") != in_features or not isinstance(out_features, int) or out_features < 1:
        raise ConfigurationError(
            f"{path}: in_features is {config.get('in_features')} and out_features is {out_features}, but the preceding "
            f"module's output has {in_features} numbers."
        )
    return DenseModule(weights, in_features, out_features, bool(config.get("bias", True)), activation)
