"""Reading a model's JSON files."""

import json
from typing import TYPE_CHECKING, Any

from embedstack.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_json", "read_object", "read_optional_object"]


def read_json(path: "Path") -> Any:
    """Read a JSON file.

    Raises:
        ConfigurationError: The file cannot be read, or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path} cannot be read as JSON: {error}. Download it again.") from error


def read_object(path: "Path") -> dict[str, Any]:
    """Read a file with a JSON object.

    Raises:
        ConfigurationError: The file cannot be read, or is not a JSON object.
    """
    document = read_json(path)
    if not isinstance(document, dict):
        raise ConfigurationError(f"{path} is JSON, but not an object. Download it again.")
    return document


def read_optional_object(path: "Path") -> dict[str, Any]:
    """Read a file with a JSON object; an empty one if the file does not exist.

    Raises:
        ConfigurationError: The file cannot be read, or is not a JSON object.
    """
    return read_object(path) if path.is_file() else {}
