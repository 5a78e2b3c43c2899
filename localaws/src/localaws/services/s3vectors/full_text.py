"""Full-text search of one vector index: its searchable metadata keys, and the state of each.

Limits and states: the API's model. AWS does not publish the texts of these errors, nor how long it builds an index.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from localaws.core.clock import SimulatedTime
from localaws.services.s3vectors.errors import InvalidRequest, S3VectorsError
from localaws.services.s3vectors.text_index import TextIndex

__all__ = ["FullTextSearch"]

_MAX_KEYS = 10
# How long existing vectors are backfilled, in simulated seconds.
_BUILD_SECONDS, _BUILD_SECONDS_PER_VECTOR = 2.0, 0.001


@dataclass(frozen=True, slots=True)
class _Field:
    texts: TextIndex
    #: The simulated time from which it serves queries.
    active_from: datetime


class FullTextSearch:
    """The searchable metadata keys of a vector index. Not safe for threads: the vector index has a lock."""

    def __init__(self, time: SimulatedTime) -> None:
        """Start without searchable keys.

        Args:
            time: The clock of the backfill.
        """
        self._time = time
        self._fields: dict[str, _Field] = {}

    def describe(self) -> list[dict[str, str]]:
        """The ``textSearchConfigurations`` of GetIndex."""
        return [
            {
                "metadataKey": key,
                **({"language": field.texts.language} if field.texts.language else {}),
                "status": "ACTIVE" if self._is_active(field) else "BUILDING",
            }
            for key, field in self._fields.items()
        ]

    def add(
        self, configurations: Sequence[Mapping[str, Any]], vectors: Iterable[tuple[str, Mapping[str, Any]]] = ()
    ) -> None:
        """Make metadata keys searchable. Building takes a while if there are vectors.

        Args:
            configurations: ``textSearchConfigurations`` of a request.
            vectors: Keys and metadata of the stored vectors.

        Raises:
            S3VectorsError: A key is repeated or searchable already, or there are more than ten.
        """
        keys = [configuration["metadataKey"] for configuration in configurations]
        if len(set(keys)) < len(keys):
            raise _invalid("Each metadata key can have only one text search configuration")
        if existing := sorted(self._fields.keys() & keys):
            message = f"A text search configuration for the metadata key '{existing[0]}' already exists"
            raise S3VectorsError("ConflictException", message)
        if len(self._fields) + len(keys) > _MAX_KEYS:
            raise _invalid(f"A vector index can have at most {_MAX_KEYS} text search configurations")
        stored = list(vectors)
        build = _BUILD_SECONDS + _BUILD_SECONDS_PER_VECTOR * len(stored) if stored else 0.0
        for configuration in configurations:
            field = _Field(TextIndex(configuration.get("language")), self._time.now() + timedelta(seconds=build))
            self._fields[configuration["metadataKey"]] = field
            for key, metadata in stored:
                _put(field, configuration["metadataKey"], key, metadata)

    def remove(self, metadata_keys: Sequence[str]) -> None:
        """Make metadata keys unsearchable.

        Raises:
            S3VectorsError: A key is not searchable.
        """
        for metadata_key in metadata_keys:
            self._require(metadata_key)
        for metadata_key in metadata_keys:
            self._fields.pop(metadata_key, None)

    def put(self, key: str, metadata: Mapping[str, Any]) -> None:
        """Index a vector's texts, instead of its former ones."""
        for metadata_key, field in self._fields.items():
            _put(field, metadata_key, key, metadata)

    def delete(self, key: str) -> None:
        """Remove a vector's texts; a missing key is ignored."""
        for field in self._fields.values():
            field.texts.delete(key)

    def search(
        self, metadata_key: str, query: str, count: int, accepts: Callable[[str], bool] | None
    ) -> dict[str, float]:
        """The BM25 scores of the vectors whose text matches, highest first.

        Raises:
            S3VectorsError: The key is not searchable, or its index is being built.
        """
        field = self._require(metadata_key)
        if not self._is_active(field):
            raise _invalid(f"The text search configuration for the metadata key '{metadata_key}' is BUILDING")
        return field.texts.search(query, count, accepts)

    def _is_active(self, field: _Field) -> bool:
        return self._time.now() >= field.active_from

    def _require(self, metadata_key: str) -> _Field:
        field = self._fields.get(metadata_key)
        if field is None:
            raise _invalid(f"The metadata key '{metadata_key}' has no text search configuration")
        return field


def _put(field: _Field, metadata_key: str, key: str, metadata: Mapping[str, Any]) -> None:
    text = metadata.get(metadata_key)
    if isinstance(text, str):
        field.texts.put(key, text)
    else:
        field.texts.delete(key)


def _invalid(message: str) -> InvalidRequest:
    return InvalidRequest(message, ("metadataKey", message))
