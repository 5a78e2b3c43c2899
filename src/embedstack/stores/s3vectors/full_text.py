"""Full-text search of an index: its configuration, and whether it serves queries.

See https://docs.aws.amazon.com/AmazonS3/latest/userguide/s3-vectors-configuring-full-text-search.html. It requires the
index mode ENHANCED, which indexes in vector buckets of before September 30, 2026 do not have by default, and which
other servers of this API do not know.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from embedstack.calls.call_context import Call
from embedstack.calls.clock import SystemClock
from embedstack.errors import ConfigurationError, DeadlineExceeded, StoreError, StoreUnavailable
from embedstack.stores.s3vectors.layout import TEXT

if TYPE_CHECKING:
    from embedstack.calls.clock import Clock
    from embedstack.stores.collection_info import CollectionInfo
    from embedstack.stores.s3vectors.service import Service

__all__ = ["ENHANCED", "FullText", "text_search_configuration"]

ENHANCED = "ENHANCED"
#: Languages with an analyzer (API reference, "TextSearchConfiguration"). Others use the standard analyzer.
_LANGUAGES = frozenset({"de", "en", "es", "fr", "it", "ja", "ko", "nl", "pt", "zh"})
#: A search waits so many seconds for an index that is being built, or until the call's deadline.
_BUILD_SECONDS = 30.0
_POLL_SECONDS = 0.5


def text_search_configuration(info: "CollectionInfo") -> dict[str, str]:
    """The ``TextSearchConfiguration`` of a collection's texts."""
    language = {"language": info.language} if info.language in _LANGUAGES else {}
    return {"metadataKey": TEXT, **language}


@dataclass(frozen=True, slots=True)
class _State:
    #: None on servers without index modes.
    mode: str | None
    #: None without a full-text index of the collection's texts.
    status: Literal["ACTIVE", "BUILDING"] | None


class FullText:
    """The full-text search of one index. Its state is read when it is first needed."""

    def __init__(self, service: "Service", info: "CollectionInfo", index: str, clock: "Clock | None" = None) -> None:
        """Prepare the search. No request is sent.

        Args:
            service: Calls S3 Vectors.
            info: The collection.
            index: The name of its index.
            clock: Measures the wait for an index that is being built.
        """
        self._service = service
        self._info = info
        self._index = index
        self._clock = clock or SystemClock()
        self._active: _State | None = None
        self._filters_by_prefix: bool | None = None

    @property
    def filters_by_prefix(self) -> bool:
        """Whether queries support ``$startsWith``, which the mode ENHANCED does."""
        if self._filters_by_prefix is None:
            self._filters_by_prefix = self._state().mode == ENHANCED
        return self._filters_by_prefix

    def configure(self) -> None:
        """Make the collection's texts searchable, unless they are or the server does not support it.

        An index in CLASSIC mode is changed to ENHANCED, which costs nothing and takes effect in place
        (https://docs.aws.amazon.com/AmazonS3/latest/userguide/s3-vectors-index-mode.html).

        Raises:
            StoreError, StoreUnavailable, ConfigurationError: The request failed.
        """
        state = self._state()
        if state.mode is None or state.status is not None:
            return
        if state.mode != ENHANCED:
            self._call("update_index_mode", indexMode=ENHANCED)
        added = {"textSearchConfigurations": [text_search_configuration(self._info)]}
        try:
            self._call("update_metadata_configuration", add=added)
        except StoreError:
            # Another process may have added it meanwhile.
            if self._state().status is None:
                raise

    def require_active(self) -> None:
        """Wait until the full-text index serves queries.

        Raises:
            ConfigurationError: The server does not support full-text search, or the index has none.
            StoreUnavailable: It was not built within the call's deadline, or within 30 s.
        """
        name = self._info.name
        call = Call.current().until(_BUILD_SECONDS, self._clock)
        while (state := self._state()).status != "ACTIVE":
            if state.mode is None:
                raise ConfigurationError(
                    f"The server of the collection {name} has no full-text search: its indexes have no mode ENHANCED. "
                    "Search with mode='approximate', or use Postgres."
                )
            if state.status is None:
                raise ConfigurationError(
                    f"The collection {name} has no full-text index yet. Open it once for writing, with "
                    "store.open(info) or by ingesting a document; or search with mode='approximate'."
                )
            try:
                call.pause(_POLL_SECONDS, self._clock)
            except DeadlineExceeded:
                raise StoreUnavailable(
                    f"The full-text index of the collection {name} is being built. Search again later, or with "
                    "mode='approximate'."
                ) from None

    def _state(self) -> _State:
        if self._active is not None:
            return self._active
        index = self._call("get_index")["index"]
        configurations = (index.get("metadataConfiguration") or {}).get("textSearchConfigurations") or []
        statuses = (one.get("status", "ACTIVE") for one in configurations if one["metadataKey"] == TEXT)
        state = _State(index.get("indexMode"), next(statuses, None))
        if state.status == "ACTIVE" or state.mode is None:
            self._active = state
        return state

    def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        return self._service.call(operation, indexName=self._index, **parameters)
