"""Semantic search for chunks of documents."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from embedstack.errors import CollectionMismatch, InputError
from embedstack.stores.base import check_hit_count
from embedstack.stores.filters import parse_filter
from embedstack.stores.records import UNFILTERED

if TYPE_CHECKING:
    from embedstack.embedders import Embedder
    from embedstack.rerankers import Reranker
    from embedstack.stores import Collection, CollectionInfo, Filter, Hit, Mode

__all__ = ["DocumentHit", "asearch", "needs_vector", "search"]

# Metadata that is available as attributes of a hit, or internal.
_OWN = ("source", "position", "page", "row", "headings", UNFILTERED)
# Candidates for a reranker: so many times the hits, and at least as many.
_CANDIDATES_PER_HIT, _MIN_CANDIDATES = 4, 20


@dataclass(frozen=True, slots=True)
class DocumentHit:
    """A chunk found by a search.

    Attributes:
        score: The cosine similarity, the BM25 score of a keyword search, or the fused score of a hybrid search. Hits
            are ordered by descending score, unless they were reranked.
        source: The document's key or path.
        position: The chunk's position in the document, from 0.
        page: Page of the file; None for formats without pages.
        row: Row of the file; None for formats without rows.
        headings: The headings above the chunk, outermost first.
        text: The chunk's text.
        metadata: Additional metadata.
        rerank_score: The reranker's score, by which the hits are ordered; None without a reranker.
    """

    score: float
    source: str
    position: int
    page: int | None
    row: int | None
    headings: tuple[str, ...]
    text: str
    metadata: Mapping[str, Any]
    rerank_score: float | None = None


def search(  # noqa: PLR0913 - by keyword, each its own concern
    embedder: "Embedder | None",
    collection: "Collection",
    text: str,
    k: int = 10,
    *,
    filter: "Filter | None" = None,  # noqa: A002 - the field's word for it
    threshold: float | None = None,
    mode: "Mode" = "approximate",
    rerank: "Reranker | None" = None,
    candidates: int | None = None,
) -> list[DocumentHit]:
    """The chunks nearest to a query, or with its words, or the most relevant of these.

    Args:
        embedder: An embedder for the collection's model; :func:`needs_vector` says when it may be None.
        collection: A collection of ingested documents.
        text: The query, within the model's token limit.
        k: Maximum number of hits.
        filter: Conditions that hits must match, such as ``{"source": "manual.pdf"}``; see
            :mod:`embedstack.stores.filters`.
        threshold: Minimum similarity.
        mode: ``approximate``, ``exact``, ``keyword`` or ``hybrid``. Keyword ranks the chunks with words of the query by
            BM25; hybrid fuses the rankings by vector and by keywords.
        rerank: Orders the nearest chunks by their relevance for the query.
        candidates: Chunks that are reranked; defaults to four times ``k``, and at least 20.

    Raises:
        FilterRefused: The filter, ``k`` or ``threshold`` is invalid.
        InputError: The query is empty or exceeds a model's token limit, or ``candidates`` is less than ``k`` or given
            without a reranker.
        CollectionMismatch: The collection has another model, model revision or prompt for queries.
        EmbedStackError: The embedder, the store or the reranker failed.
    """
    query = _Query.check(embedder, collection, text, k, filter, threshold, mode, rerank, candidates)
    vector = embedder.embed_query(text) if embedder is not None and query.needs_vector else None
    nearest = [_document_hit(hit) for hit in collection.search(vector, query.count, **query.options)]
    if rerank is None:
        return nearest
    rankings = rerank.rerank(text, [hit.text for hit in nearest], top_n=k)
    return [replace(nearest[index], rerank_score=score) for index, score in rankings]


async def asearch(  # noqa: PLR0913 - by keyword, each its own concern
    embedder: "Embedder | None",
    collection: "Collection",
    text: str,
    k: int = 10,
    *,
    filter: "Filter | None" = None,  # noqa: A002 - the field's word for it
    threshold: float | None = None,
    mode: "Mode" = "approximate",
    rerank: "Reranker | None" = None,
    candidates: int | None = None,
) -> list[DocumentHit]:
    """Like :func:`search`, without blocking the event loop."""
    query = _Query.check(embedder, collection, text, k, filter, threshold, mode, rerank, candidates)
    vector = await embedder.aembed_query(text) if embedder is not None and query.needs_vector else None
    nearest = [_document_hit(hit) for hit in await collection.asearch(vector, query.count, **query.options)]
    if rerank is None:
        return nearest
    rankings = await rerank.arerank(text, [hit.text for hit in nearest], top_n=k)
    return [replace(nearest[index], rerank_score=score) for index, score in rankings]


@dataclass(frozen=True, slots=True)
class _Query:
    """A validated search.

    Attributes:
        needs_vector: Whether the query is embedded.
        count: Number of chunks to fetch from the store.
        options: Further arguments of ``Collection.search``.
    """

    needs_vector: bool
    count: int
    options: dict[str, Any]

    @classmethod
    def check(  # noqa: PLR0913, PLR0917 - the arguments of a search
        cls,
        embedder: "Embedder | None",
        collection: "Collection",
        text: str,
        k: int,
        filter_: "Filter | None",
        threshold: float | None,
        mode: "Mode",
        rerank: "Reranker | None",
        candidates: int | None,
    ) -> "_Query":
        """Check a search before the query is embedded, which may take minutes if the endpoint is scaled to zero."""
        check_hit_count(k)
        count = _candidate_count(k, rerank, candidates)
        if not text.strip():
            raise InputError("The query is empty. Pass a text to search for.")
        parse_filter(filter_)
        is_embedded = needs_vector(mode, threshold)
        if is_embedded:
            if embedder is None:
                raise InputError(f"A search with mode={mode!r} or a threshold embeds the query. Pass an embedder.")
            _require_same_space(collection.info, embedder)
        words = text if mode in ("hybrid", "keyword") else None
        return cls(is_embedded, count, {"filter": filter_, "threshold": threshold, "mode": mode, "text": words})


def needs_vector(mode: "Mode", threshold: float | None) -> bool:
    """Whether a search embeds the query. A keyword search does so only to compare its hits with a threshold."""
    return mode != "keyword" or threshold is not None


def _require_same_space(info: "CollectionInfo", embedder: "Embedder") -> None:
    """Check that the vectors of queries can be compared with those of a collection."""
    model = embedder.info
    if info.model_id != model.model_id or model.dimensions not in (None, info.dimensions):
        raise CollectionMismatch(
            f"The collection {info.name} holds vectors of {info.model_id} with {info.dimensions} dimensions, but the "
            f"query's model is {model.model_id} with {model.dimensions}. Search with the collection's model."
        )
    if info.revision and model.revision and info.revision != model.revision:
        raise CollectionMismatch(
            f"The collection {info.name} holds vectors of {info.model_id} at revision {info.revision}, but the query's "
            f"revision is {model.revision} (EMBEDDING_MODEL_REVISION). Search with the collection's revision."
        )
    prompt = embedder.prompts.get("query", "")
    if info.query_prompt not in (None, prompt):
        raise CollectionMismatch(
            f"The collection {info.name} was built for queries with the prompt {info.query_prompt!r}, but the query's "
            f"prompt is {prompt!r}. Set EMBEDDING_QUERY_PROMPT to the collection's prompt, or re-embed the collection."
        )


def _candidate_count(k: int, rerank: "Reranker | None", candidates: int | None) -> int:
    """The number of chunks to fetch from the store."""
    if rerank is None:
        if candidates is not None:
            raise InputError("candidates is the number of chunks to rerank. Pass a reranker too.")
        return k
    if candidates is None:
        return max(_CANDIDATES_PER_HIT * k, _MIN_CANDIDATES)
    if candidates < k:
        raise InputError(f"candidates is {candidates}, less than the {k} hits to return. Rerank at least as many.")
    return candidates


def _document_hit(hit: "Hit") -> DocumentHit:
    metadata = hit.record.metadata
    page, row = metadata.get("page"), metadata.get("row")
    return DocumentHit(
        score=hit.score,
        source=str(metadata.get("source", hit.record.id)),
        position=int(metadata.get("position", 0)),
        page=None if page is None else int(page),
        row=None if row is None else int(row),
        headings=tuple(metadata.get("headings", ())),
        text=hit.record.text,
        metadata={name: value for name, value in metadata.items() if name not in _OWN},
    )
