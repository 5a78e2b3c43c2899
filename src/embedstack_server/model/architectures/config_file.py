"""Checked access to ``config.json``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from embedstack.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ACTIVATIONS", "ConfigFile", "UnsupportedArchitecture"]

#: Activations that a graph can contain, by transformers' names.
ACTIVATIONS = ("gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu")


class UnsupportedArchitecture(ConfigurationError):
    """The built-in engine does not support the model's architecture or modules; sentence-transformers may."""


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """The content of ``config.json``, whose members are checked when they are read.

    Attributes:
        path: The file, for error messages.
        content: The file's content.
        aliases: The architecture's names of members that have another name in most architectures.
    """

    path: "Path"
    content: dict[str, Any]
    aliases: Mapping[str, str] = field(default_factory=dict)

    def positive(self, name: str, default: int | None = None) -> int:
        """A positive integer.

        Raises:
            ConfigurationError: It is missing without a default, or no positive integer.
        """
        value = self.required(name) if default is None else self.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ConfigurationError(f"{self.path}: {self.name(name)} is {value!r}; it must be a positive integer.")
        return value

    def epsilon(self, name: str, default: float | None = None) -> float:
        """A number between 0 and 1 that is added to a variance.

        Raises:
            ConfigurationError: It is missing without a default, or out of range.
        """
        value = self.required(name) if default is None else self.get(name, default)
        if not isinstance(value, int | float) or not 0 < value < 1:
            raise ConfigurationError(f"{self.path}: {self.name(name)} is {value!r}; it must lie between 0 and 1.")
        return float(value)

    def number(self, name: str, default: float | None = None) -> float:
        """A positive number.

        Raises:
            ConfigurationError: It is missing without a default, or no positive number.
        """
        value = self.required(name) if default is None else self.get(name, default)
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < float("inf"):
            raise ConfigurationError(f"{self.path}: {self.name(name)} is {value!r}; it must be a positive number.")
        return float(value)

    def flag(self, name: str, *, default: bool) -> bool:
        """A boolean.

        Raises:
            ConfigurationError: It is no boolean.
        """
        value = self.get(name, default)
        if not isinstance(value, bool):
            raise ConfigurationError(f"{self.path}: {self.name(name)} is {value!r}; it must be true or false.")
        return value

    def activation(self, name: str, default: str = "gelu") -> str:
        """An activation, one of :data:`ACTIVATIONS`.

        Raises:
            ConfigurationError: The activation is not supported.
        """
        value = self.get(name, default)
        if value not in ACTIVATIONS:
            raise ConfigurationError(
                f"{self.path}: the activation {value!r} is not supported. Supported are {', '.join(ACTIVATIONS)}."
            )
        return str(value)

    def require(self, name: str, *accepted: Any) -> None:
        """Reject a member that would change the computation, unless it is absent, null or has one of these values.

        Raises:
            UnsupportedArchitecture: It has another value.
        """
        value = self.get(name, None)
        if value is not None and value not in accepted:
            raise UnsupportedArchitecture(
                f"{self.path}: {self.name(name)} {value!r} is not supported"
                + (f", only {' or '.join(map(repr, accepted))}." if accepted else ".")
            )

    def get(self, name: str, default: Any) -> Any:
        """A member, or the default if it is absent or null."""
        value = self.content.get(self.name(name))
        return default if value is None else value

    def required(self, name: str) -> Any:
        """A member that must exist.

        Raises:
            ConfigurationError: It is absent.
        """
        try:
            return self.content[self.name(name)]
        except KeyError:
            raise ConfigurationError(f"{self.path} has no {self.name(name)}.") from None

    def name(self, name: str) -> str:
        """The architecture's name of a member."""
        return self.aliases.get(name, name)
