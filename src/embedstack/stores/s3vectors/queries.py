"""Queries of an index: by vector, by full text, or by both."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from embedstack.errors import StoreError
from embedstack.stores.records import Hit, Record
from embedstack.stores.s3vectors.layout import TEXT, from_vector

if TYPE_CHECKING:
    from embedstack.stores.base import Mode
    from embedstack.stores.collection_info import CollectionInfo
    from embedstack.stores.records import Vector

__all__ = ["MAX_RESULTS", "SearchQuery", "needed_results"]

#: Results of one query, at most (API reference, "QueryVectors").
MAX_RESULTS = 10_000
#: Results of a hybrid query, at least. AWS does not document how many results of each ranking are fused.
_MIN_FUSED = 50
#: The constant of reciprocal rank fusion (Cormack, Clarke and Büttcher, 2009). AWS does not document its own.
_RANK_CONSTANT = 60
#: Characters of a query's text, at most (API reference, "QueryText").
_MAX_TEXT = 1024


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """One query.

    Attributes:
        info: The collection.
        mode: ``approximate``, ``keyword`` or ``hybrid``.
        vector: Float32 (dimensions,). A keyword search only compares its results with it; None for no comparison.
        text: The query's text; None for ``approximate``.
        filter: The filter of QueryVectors; None for all vectors.
        count: Number of results.
    """

    info: "CollectionInfo"
    mode: "Mode"
    vector: "Vector | None"
    text: str | None
    filter: dict[str, Any] | None
    count: int

    def parameters(self) -> dict[str, Any]:
        """The parameters of QueryVectors."""
        parameters: dict[str, Any] = {"topK": self.count, "returnMetadata": True}
        if self.filter is not None:
            parameters["filter"] = self.filter
        if self.vector is not None and self.mode != "keyword":
            parameters |= {"queryVector": {"float32": self.vector.tolist()}, "returnDistance": True}
        if self.text is not None:
            parameters |= {"queryTexts": [{"metadataKey": TEXT, "text": _shortened(self.text)}], "returnScores": True}
        if self.mode == "hybrid":
            parameters["topK"] = max(self.count, _MIN_FUSED)
        return parameters

    def without_distance(self, results: Iterable[dict[str, Any]]) -> list[str]:
        """Keys of the results whose similarity has to be computed: those that only the full-text search returned."""
        if self.vector is None:
            return []
        return [result["key"] for result in results if _distance(result) is None]

    def hit(self, result: dict[str, Any], stored: Record | None) -> Hit:
        """A result as a hit.

        Args:
            result: A result of QueryVectors.
            stored: The record with its vector, if the result has no distance.

        Raises:
            StoreError: The result has neither distance nor score.
        """
        similarity = self._similarity(result, stored)
        score = similarity if self.mode == "approximate" else self._score(result.get("scores") or {})
        if score is None or not math.isfinite(score):
            raise StoreError("S3 Vectors returned a hit without a distance or score. Search again.")
        return Hit(from_vector(result), score=score, similarity=similarity)

    def _score(self, scores: dict[str, Any]) -> float | None:
        if self.mode == "hybrid":
            return scores.get("fused")
        return sum(float(one["score"]) for one in scores.get("bm25Scores") or [{"score": math.nan}])

    def _similarity(self, result: dict[str, Any], stored: Record | None) -> float | None:
        distance = _distance(result)
        if distance is not None:
            return 1 - distance if self.info.distance == "cosine" else -distance
        if self.vector is None or stored is None:
            return None
        one, other = self.vector.astype(np.float64), stored.vector.astype(np.float64)
        if self.info.distance == "euclidean":
            return -float(np.linalg.norm(one - other))
        return float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))


def needed_results(mode: "Mode", k: int, threshold: float | None) -> int:
    """Results of a query that contain the ``k`` best hits with a minimum similarity.

    - By vector: the first ``k``.
    - Hybrid: the records above the threshold are the first of the ranking by vector, so that ``k`` of them have a fused
      score of at least 1 / (60 + k). Another record with that score has at least half of it from one ranking, so its
      rank there is at most 60 + 2 k. Two rankings have 2 * (60 + 2 k) such records.
    - By keywords: all, because their scores say nothing of similarity.

    Args:
        mode: The mode of the search.
        k: Number of hits.
        threshold: Minimum similarity; None for any.
    """
    if threshold is None or mode == "approximate":
        return k
    return MAX_RESULTS if mode == "keyword" else min(2 * (_RANK_CONSTANT + 2 * k), MAX_RESULTS)


def _distance(result: dict[str, Any]) -> float | None:
    distance = result.get("distance", (result.get("scores") or {}).get("vectorDistance"))
    return None if distance is None else float(distance)


def _shortened(text: str) -> str:
    """A query's text within the limit, cut after a word if possible. It must not be empty."""
    if len(text) > _MAX_TEXT:
        words, _, _ = text[: _MAX_TEXT + 1].rpartition(" ")
        text = words.strip() or text[:_MAX_TEXT]
    return text or " "
