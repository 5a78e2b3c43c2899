"""The supported encoder architectures: their configurations, and which of them a model has."""

from typing import TYPE_CHECKING, Any

from embedstack_server.model.architectures import bert
from embedstack_server.model.architectures.config_file import ConfigFile, UnsupportedArchitecture
from embedstack_server.model.architectures.encoder_config import EncoderConfig

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["SUPPORTED", "EncoderConfig", "UnsupportedArchitecture", "read_config"]

_READERS: "dict[str, Callable[[ConfigFile], EncoderConfig]]" = {
    **dict.fromkeys(bert.MODEL_TYPES, bert.BertConfig.read),
}
#: Values of ``model_type`` that the built-in engine supports.
SUPPORTED = tuple(sorted(_READERS))


def read_config(path: "Path", content: dict[str, Any]) -> EncoderConfig:
    """Read the content of ``config.json``.

    Args:
        path: The file, for error messages.
        content: The file's content.

    Raises:
        UnsupportedArchitecture: The architecture, or its variant, is not supported.
        ConfigurationError: A setting is missing or invalid.
    """
    name = content.get("model_type")
    read = _READERS.get(str(name))
    if read is None:
        raise UnsupportedArchitecture(
            f"{path}: the architecture {name!r} is not supported. Supported are {', '.join(SUPPORTED)}."
        )
    return read(ConfigFile(path, content))
