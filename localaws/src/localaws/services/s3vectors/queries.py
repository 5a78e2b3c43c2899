"""QueryVectors: searches by vector, by full text, and by both.

A full-text search adds up the BM25 scores of its metadata keys. A hybrid search fuses its rankings, one by vector and
one for each text, by Reciprocal Rank Fusion: ``score = Σ 1 / (60 + rank)``, with ranks from 1 (Cormack, Clarke and
Büttcher, 2009). AWS documents neither the constant nor how many results of each ranking are fused; here these are the
paper's constant and ``topK``. Equal scores keep the order of the vector ranking, then of the text rankings.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from localaws.services.s3vectors.errors import InvalidRequest
from localaws.services.s3vectors.filters import parse_filter

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from localaws.services.s3vectors.filters import Predicate
    from localaws.services.s3vectors.records import VectorIndex

__all__ = ["Query", "QueryMatch", "parse_query", "run_query"]

#: Since June 16, 2026 ("Amazon S3 Vectors now supports 10,000 search results per query"), in pages of 100.
_MAX_TOP_K = 10_000
_RANK_CONSTANT = 60


@dataclass(frozen=True, slots=True)
class Query:
    """A validated query.

    Attributes:
        vector: Float32 (dimension,); None for a full-text search.
        texts: Queries by metadata key; empty for a search by vector.
        count: Maximum number of results.
        predicate: Filter on metadata, which applies before the search.
    """

    vector: "NDArray[np.float32] | None"
    texts: dict[str, str]
    count: int
    predicate: "Predicate | None"


class QueryMatch(NamedTuple):
    """A result of a query.

    Attributes:
        key: The vector's key.
        metadata: Its metadata.
        distance: From the query's vector; None if it is not among the nearest.
        bm25_scores: By the metadata keys that match.
        fused: The score of a hybrid search.
    """

    key: str
    metadata: dict[str, Any]
    distance: float | None
    bm25_scores: dict[str, float]
    fused: float | None


def parse_query(request: dict[str, Any], index: "VectorIndex", numbers: "Callable[..., NDArray[np.float32]]") -> Query:
    """Validate the members of QueryVectors that the API's model does not constrain.

    Args:
        request: The members.
        index: The index.
        numbers: Converts lists of numbers to float32.

    Raises:
        InvalidRequest: A member is missing or invalid.
    """
    texts = request.get("queryTexts") or []
    if request.get("queryVector") is None and not texts:
        message = "Must specify queryVector, queryTexts, or both"
        raise InvalidRequest(message, ("queryVector", message))
    if request["topK"] > _MAX_TOP_K:
        constraint = f"Member must be between 1 and {_MAX_TOP_K}, inclusive"
        message = f"Value at '/topK' failed to satisfy constraint: {constraint}"
        raise InvalidRequest(f"1 validation error detected. {message}", ("/topK", message))
    if request.get("queryMode") == "CLASSIC":
        message = "queryMode CLASSIC is not supported for an index in ENHANCED mode"
        raise InvalidRequest(message, ("queryMode", message))
    by_key = {text["metadataKey"]: text["text"] for text in texts}
    if len(by_key) < len(texts):
        message = "Each entry of queryTexts must target a distinct metadata key"
        raise InvalidRequest(message, ("queryTexts", message))
    document = request.get("filter")
    predicate = None if document is None else parse_filter(document, index.non_filterable_keys)
    vector = None
    if request.get("queryVector") is not None:
        vector = numbers([request["queryVector"].get("float32") or []])[0]
        _check_vector(vector, index)
    return Query(vector, by_key, request["topK"], predicate)


def run_query(query: Query, index: "VectorIndex") -> list[QueryMatch]:
    """The results, best first. The caller holds the index's lock.

    Raises:
        InvalidRequest: A metadata key is not searchable, or its full-text index is being built.
    """
    distances: dict[str, float] = {}
    if query.vector is not None:
        nearest = index.vectors.search(query.vector, query.count, query.predicate)
        distances = {neighbour.key: neighbour.distance for neighbour in nearest}
    if not query.texts:
        return [_match(index, key, distance, {}, None) for key, distance in distances.items()]
    # A full-text search adds up scores, for which it needs all of them.
    count = query.count if query.vector is not None or len(query.texts) == 1 else len(index.vectors)
    scores = {name: _text_scores(index, query, name, count) for name in query.texts}
    if query.vector is None:
        totals: dict[str, float] = {}
        for ranking in scores.values():
            for key, score in ranking.items():
                totals[key] = totals.get(key, 0.0) + score
    else:
        totals = _fused([distances, *scores.values()])
    best = sorted(totals, key=lambda key: -totals[key])[: query.count]
    return [
        _match(
            index,
            key,
            distances.get(key),
            {name: ranking[key] for name, ranking in scores.items() if key in ranking},
            None if query.vector is None else totals[key],
        )
        for key in best
    ]


def _text_scores(index: "VectorIndex", query: Query, metadata_key: str, count: int) -> dict[str, float]:
    predicate = query.predicate
    accepts = None if predicate is None else lambda key: predicate(index.vectors.metadata(key))
    return index.full_text.search(metadata_key, query.texts[metadata_key], count, accepts)


def _fused(rankings: list[dict[str, float]]) -> dict[str, float]:
    """RRF scores by key; the keys of each ranking are in its order."""
    fused: dict[str, float] = {}
    for ranking in rankings:
        for rank, key in enumerate(ranking, start=1):
            fused[key] = fused.get(key, 0.0) + 1 / (_RANK_CONSTANT + rank)
    return fused


def _match(
    index: "VectorIndex", key: str, distance: float | None, bm25_scores: dict[str, float], fused: float | None
) -> QueryMatch:
    return QueryMatch(key, index.vectors.metadata(key), distance, bm25_scores, fused)


def _check_vector(vector: "NDArray[np.float32]", index: "VectorIndex") -> None:
    if len(vector) != index.dimension:
        problem = f"vector must have length {index.dimension}, but has length {len(vector)}"
    elif not np.isfinite(vector).all():
        problem = "vector contains NaNs or Infs"
    elif index.distance_metric == "cosine" and not vector.any():
        problem = "cosine distance does not support vectors with zero norm"
    else:
        return
    message = "Query vector contains invalid values or is invalid for this index"
    raise InvalidRequest(message, ("vector", f"Invalid input: {problem}"))
