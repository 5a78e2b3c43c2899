"""Reading a model's JSON files."""

import json
from typing import TYPE_CHECKING, Any

from embedstack.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_json", "read_object", "read_optional_object"]


def read_json(path: "Path") -> Any:
    """A file's JSON.

    Raises:
        ConfigurationError: The file cannot be read, or is no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be read as JSON: {error}. Fetch it again.") from error


def read_object(path: "Path") -> dict[str, Any]:
    """A file's JSON object.

    Raises:
        ConfigurationError: The file cannot be read, or is no JSON object.
    """
    document = read_json(path)
    if not isinstance(document, dict):
        raise ConfigurationError(f"{path} is JSON, but not an object. Fetch it again.")
    return document


def read_optional_object(path: "Path") -> dict[str, Any]:
    """A file's JSON object; an empty one where there is no file.

    Raises:
        ConfigurationError: The file cannot be read, or is no JSON object.
    """
    return read_object(path) if path.is_file() else {}
