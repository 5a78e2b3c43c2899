"""Settings of rotary position embeddings, in both spellings of ``config.json``.

transformers 5 writes ``rope_parameters``, with one object per kind of layer if the kinds differ. Earlier versions wrote
``rope_theta``, or a name per kind of layer, and ``rope_scaling``.
"""

import math
from dataclasses import dataclass
from typing import Any

from embedstack.errors import ConfigurationError
from embedstack_server.model.architectures.config_file import ConfigFile, UnsupportedArchitecture

__all__ = ["Rope", "read_rope"]

_TYPES = ("default", "linear", "ntk")


@dataclass(frozen=True, slots=True)
class Rope:
    """The angle per position of pair i is ``base ** (-2 i / head_size) / divisor``.

    Attributes:
        base: Base of the frequencies, ``rope_theta``.
        divisor: Divides all frequencies, to read texts longer than those of the first training.
    """

    base: float
    divisor: float = 1.0


def read_rope(
    file: ConfigFile,
    head_size: int,
    *,
    layer_type: str | None = None,
    base_name: str = "rope_theta",
    scaling_name: str | None = "rope_scaling",
) -> Rope:
    """Read the settings of one kind of layer.

    Args:
        file: The configuration file.
        head_size: Length of the rotated vectors.
        layer_type: The kind's name in ``rope_parameters``; None if all layers have the same settings.
        base_name: Former name of ``rope_theta`` for this kind.
        scaling_name: Former name of the object with the type and factor; None if this kind was never scaled.

    Raises:
        UnsupportedArchitecture: The type of scaling is not supported.
        ConfigurationError: A setting is missing or invalid, or the two spellings contradict each other.
    """
    file.require("partial_rotary_factor", 1)
    new = _settings(file, "rope_parameters")
    if new and layer_type is not None:
        if not isinstance(new.get(layer_type), dict):
            raise ConfigurationError(f"{file.path}: rope_parameters has no object {layer_type}. Download it again.")
        new = _without_null(new[layer_type])
    former = _settings(file, scaling_name) if scaling_name else {}
    if (base := file.get(base_name, None)) is not None:
        former["rope_theta"] = base
    if "rope_theta" not in {**former, **new}:
        raise ConfigurationError(
            f"{file.path} has neither {base_name} nor rope_theta in rope_parameters, the base of the model's rotary "
            "positions. Download it again."
        )
    rope = _rope(file, {**former, **new}, head_size)
    by_former = _rope(file, {**new, **former}, head_size)
    if not (math.isclose(rope.base, by_former.base) and math.isclose(rope.divisor, by_former.divisor)):
        raise ConfigurationError(
            f"{file.path}: rope_parameters contradicts {base_name} or rope_scaling. Remove the settings that are wrong."
        )
    return rope


def _settings(file: ConfigFile, name: str) -> dict[str, Any]:
    value = file.get(name, {})
    if not isinstance(value, dict):
        raise ConfigurationError(f"{file.path}: {name} is {value!r}; it must be an object.")
    return _without_null(value)


def _without_null(settings: dict[str, Any]) -> dict[str, Any]:
    settings = {name: value for name, value in settings.items() if value is not None}
    # The oldest name of rope_type.
    return {**({"rope_type": settings.pop("type")} if "type" in settings else {}), **settings}


def _rope(file: ConfigFile, settings: dict[str, Any], head_size: int) -> Rope:
    inner = ConfigFile(file.path, settings)
    inner.require("partial_rotary_factor", 1)
    inner.require("mixed_b")  # another variant of ntk
    kind, base = inner.get("rope_type", "default"), inner.number("rope_theta")
    match kind:
        case "default":
            return Rope(base)
        case "linear":
            return Rope(base, inner.number("factor"))
        case "ntk":
            # GTE's variant, at every length: a larger base, and all frequencies divided so that the last one is the
            # same as with linear scaling (https://huggingface.co/Alibaba-NLP/new-impl).
            factor = inner.number("factor")
            return Rope(base * factor, factor ** (2 / head_size))
        case _:
            raise UnsupportedArchitecture(
                f"{file.path}: the rotary positions' type {kind!r} is not supported. Supported are {', '.join(_TYPES)}."
            )
