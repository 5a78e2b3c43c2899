"""What metadata a vector may have.

Sizes and kinds are those of the user guide, "Limitations and restrictions". How bytes are counted, and that an array
holds strings or numbers only, AWS does not say; both, and the messages, are what users of the service measured
(langchain.js' S3 Vectors integration, 2026-09).
"""

from collections.abc import Collection, Mapping
from typing import Any

__all__ = ["metadata_problem", "metadata_size"]

_MAX_BYTES = 40 * 1024
_MAX_FILTERABLE_BYTES = 2 * 1024
_MAX_KEYS = 50


def metadata_problem(metadata: Any, not_filterable: Collection[str]) -> str | None:
    """Why a vector cannot have some metadata, in AWS's words; None where it can.

    Args:
        metadata: A JSON value.
        not_filterable: The index's keys that no filter asks for.
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
    filterable = {key: value for key, value in metadata.items() if key not in not_filterable}
    if metadata_size(filterable) > _MAX_FILTERABLE_BYTES:
        return f"Filterable metadata must have at most {_MAX_FILTERABLE_BYTES} bytes"
    return None


def metadata_size(metadata: Mapping[str, Any]) -> int:
    """Bytes as the service counts them: 4, and for each entry 8 with those of its key and of its value."""
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
