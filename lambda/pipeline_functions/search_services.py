"""Clients and models that the search function keeps between invocations."""

import time
from functools import cached_property
from typing import TYPE_CHECKING

from embedstack.calls.call_context import Call
from embedstack.calls.clock import SystemClock
from embedstack.documents.searching import needs_vector, search
from embedstack.errors import CollectionNotFound, CollectionReplaced, ConfigurationError, InputError, StoreUnavailable
from embedstack.factory import load_embedder
from embedstack.rerankers import load_reranker
from embedstack.settings.settings import Settings, load_settings
from embedstack.stores import Collection, VectorStore, load_store
from pipeline_functions.package_checks import check_database_ca

if TYPE_CHECKING:
    from embedstack.documents.searching import DocumentHit
    from embedstack.embedders import Embedder
    from embedstack.rerankers import Reranker
    from pipeline_functions.search_requests import SearchQuery

__all__ = ["SearchServices"]

# A collection is reopened after this time, so that a switch to a re-embedded replacement is noticed.
_MAX_OPEN_SECONDS = 60.0


class SearchServices:
    """Creates each service on first use; a failed creation is retried with the next search."""

    def __init__(self) -> None:
        self._opened: tuple[float, Collection] | None = None

    @cached_property
    def settings(self) -> Settings:
        """The settings of the environment."""
        return load_settings()

    @cached_property
    def embedder(self) -> "Embedder":
        """The embedder of the configured endpoint."""
        return load_embedder(self.settings)

    @cached_property
    def reranker(self) -> "Reranker":
        """The configured reranker."""
        return load_reranker(self.settings)

    @cached_property
    def store(self) -> VectorStore:
        """The configured vector store."""
        check_database_ca()
        return load_store(self.settings)

    @property
    def model_id(self) -> str:
        """The model that embeds queries."""
        return self.embedder.info.model_id

    @property
    def collection_name(self) -> str:
        """The collection that is searched."""
        return self.settings.embedstack_collection

    def search(self, query: "SearchQuery", seconds: float) -> "list[DocumentHit]":
        """The hits for a query.

        Args:
            query: The search query.
            seconds: Time limit in seconds. An endpoint that is scaled to zero needs minutes to wake up.

        Raises:
            InputError: The store does not support the mode, no reranker is configured, or the query exceeds a model's
                token limit.
            CollectionMismatch: The collection's vectors come from another model.
            CollectionNotFound: The collection does not exist: nothing was ingested yet.
            EmbedStackError: The endpoint, the reranker or the store failed.
        """
        if query.rerank and not self.settings.has_reranker:
            raise InputError("This function has no reranker. Omit rerank, or set RERANKER_ENDPOINT in its environment.")
        if query.mode == "exact" and self.settings.vector_store == "s3vectors":
            raise InputError("S3 Vectors does not support mode='exact'. Omit mode, or use Postgres.")
        return Call.current().until(seconds, SystemClock()).context().run(self._search_opened, query)

    def _search_opened(self, query: "SearchQuery") -> "list[DocumentHit]":
        try:
            return self._search(query, self._collection())
        except (CollectionNotFound, CollectionReplaced):
            self._opened = None
            return self._search(query, self._collection())
        except (ConfigurationError, StoreUnavailable):
            # The database may have moved or changed its password; only a new store reads the new address.
            self.reopen()
            raise

    def reopen(self) -> None:
        """Re-create the services on next use."""
        self._opened = None
        for name in ("store", "embedder", "reranker"):
            service = self.__dict__.pop(name, None)
            if service is not None:
                service.close()

    def _search(self, query: "SearchQuery", collection: Collection) -> "list[DocumentHit]":
        embedder = self.embedder if needs_vector(query.mode, query.threshold) else None
        return search(
            embedder, collection, query.query, query.k,
            filter=query.filter, threshold=query.threshold, mode=query.mode,
            rerank=self.reranker if query.rerank else None, candidates=query.candidates,
        )  # fmt: skip

    def _collection(self) -> Collection:
        if self._opened is None or time.monotonic() - self._opened[0] > _MAX_OPEN_SECONDS:
            info = self.store.describe(self.collection_name)
            self._opened = time.monotonic(), self.store.open(info, create=False)
        return self._opened[1]
