"""The limits of a vector's metadata.

Sizes and types: user guide, "Limitations and restrictions". AWS does not document how bytes are counted, or that arrays
hold only strings or numbers; both, and the messages, were measured by users of the service (langchain.js' S3 Vectors
integration, 2026-09).
"""

from collections.abc import Collection, Mapping
from typing import Any

__all__ = ["metadata_problem", "metadata_size"]

_MAX_BYTES = 40 * 1024
_MAX_FILTERABLE_BYTES = 2 * 1024
_MAX_KEYS = 50


def metadata_problem(metadata: Any, non_filterable: Collection[str]) -> str | None:
    """AWS's message for invalid metadata; None for valid metadata.

    Args:
        metadata: A JSON value.
        non_filterable: The index's non-filterable metadata keys.
    """
    if not isinstance(metadata, dict):
        return "Metadata must be an object"
    if len(metadata) > _MAX_KEYS:
        return f"Metadata object must have at most {_MAX_KEYS} keys"
    for value in metadata.values():
        if problem := _value_problem(value):
            return problem
    if metadata_size(metadata) > _MAX_BYTES:
        return f"Metadata object must have at most {_MAX_BYTES} bytes"
    filterable = {key: value for key, value in metadata.items() if key not in non_filterable}
    if metadata_size(filterable) > _MAX_FILTERABLE_BYTES:
        return f"Filterable metadata must have at most {_MAX_FILTERABLE_BYTES} bytes"
    return None


def metadata_size(metadata: Mapping[str, Any]) -> int:
    """Size in bytes as the service counts it: 4, plus for each entry 8 and the sizes of its key and value."""
    return 4 + sum(8 + len(key.encode()) + _value_size(value) for key, value in metadata.items())


def _value_size(value: Any) -> int:
    if isinstance(value, list):
        return sum(4 + _value_size(item) for item in value)
    if isinstance(value, str):
        return len(value.encode())
    return 0 if isinstance(value, bool) else 4


def _value_problem(value: Any) -> str | None:
    if not isinstance(value, (str, int, float, list)):
        return "Metadata values must be strings, numbers, booleans, or arrays"
    if not isinstance(value, list):
        return None
    if not value:
        return "Empty arrays are not allowed in metadata"
    are_strings = all(isinstance(item, str) for item in value)
    are_numbers = all(isinstance(item, (int, float)) and not isinstance(item, bool) for item in value)
    return None if are_strings or are_numbers else "Metadata array values must be strings or numbers"
