"""What the search function keeps from one invocation to the next."""

import time
from functools import cached_property
from typing import TYPE_CHECKING

from embedstack.calls.call_context import Call
from embedstack.calls.clock import SystemClock
from embedstack.documents.searching import search
from embedstack.errors import CollectionNotFound, CollectionReplaced, ConfigurationError, InputError, StoreUnavailable
from embedstack.factory import load_embedder
from embedstack.settings.settings import Settings, load_settings
from embedstack.stores import Collection, VectorStore, load_store
from handling.package import check_database_ca

if TYPE_CHECKING:
    from embedstack.documents.searching import DocumentHit
    from embedstack.embedders import Embedder
    from handling.requests import SearchQuery

__all__ = ["SearchServices"]

# A collection that was embedded anew under the same name is searched after this long at the latest.
_OPEN_SECONDS = 60.0


class SearchServices:
    """Each part is made with its first use, and tried again with the next search where that fails."""

    def __init__(self) -> None:
        self._opened: tuple[float, Collection] | None = None

    @cached_property
    def settings(self) -> Settings:
        """The environment."""
        return load_settings()

    @cached_property
    def embedder(self) -> "Embedder":
        """The endpoint."""
        return load_embedder(self.settings)

    @cached_property
    def store(self) -> VectorStore:
        """The vector store."""
        check_database_ca()
        return load_store(self.settings)

    @property
    def model_id(self) -> str:
        """The model that questions are embedded with."""
        return self.embedder.info.model_id

    @property
    def collection_name(self) -> str:
        """Where is searched."""
        return self.settings.embedstack_collection

    def search(self, query: "SearchQuery", seconds: float) -> "list[DocumentHit]":
        """The hits of a search.

        Args:
            query: What is asked.
            seconds: How long the endpoint may take, which may be asleep for minutes.

        Raises:
            InputError: The store has no such mode, or the text is longer than the model reads.
            CollectionMismatch: The collection's vectors are another model's.
            CollectionNotFound: Nothing was ingested yet.
            EmbedStackError: The endpoint or the store failed.
        """
        if query.mode != "approximate" and self.settings.vector_store == "s3vectors":
            raise InputError(f"S3 Vectors has no {query.mode} search: leave mode out, or use Postgres.")
        return Call.current().until(seconds, SystemClock()).context().run(self._search_opened, query)

    def _search_opened(self, query: "SearchQuery") -> "list[DocumentHit]":
        try:
            return self._search(query, self._collection())
        except (CollectionNotFound, CollectionReplaced):
            self._opened = None
            return self._search(query, self._collection())
        except (ConfigurationError, StoreUnavailable):
            # The database may have moved, or have a new password, which only a new store learns.
            self.reopen()
            raise

    def reopen(self) -> None:
        """Make the parts anew with their next use."""
        self._opened = None
        for name in ("store", "embedder"):
            part = self.__dict__.pop(name, None)
            if part is not None:
                part.close()

    def _search(self, query: "SearchQuery", collection: Collection) -> "list[DocumentHit]":
        return search(
            self.embedder, collection, query.query, query.k,
            filter=query.filter, threshold=query.threshold, mode=query.mode,
        )  # fmt: skip

    def _collection(self) -> Collection:
        if self._opened is None or time.monotonic() - self._opened[0] > _OPEN_SECONDS:
            info = self.store.describe(self.collection_name)
            self._opened = time.monotonic(), self.store.open(info, create=False)
        return self._opened[1]
