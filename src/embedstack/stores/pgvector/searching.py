"""SQL statements for searches."""

import heapq
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pgvector import HalfVector, SparseVector, Vector
from psycopg import sql

from embedstack.stores.base import Mode
from embedstack.stores.filters import Condition
from embedstack.stores.pgvector.conditions import conditions_sql
from embedstack.stores.pgvector.database import Connection
from embedstack.stores.pgvector.generations import Generation
from embedstack.stores.pgvector.keywords import KeywordQuery, KeywordRanking

if TYPE_CHECKING:
    from psycopg import Cursor

__all__ = ["Query", "search_rows"]

#: Weights of the keyword ranking in a fusion, where other rankings weigh 1. An embedding model knows little about an
#: identifier. Measured by benchmarks/retrieval.py; docs/guides/vector-stores.md has the figures.
_KEYWORD_WEIGHT, _IDENTIFIER_WEIGHT = 1.0, 19.0
#: pgvector's maximum of hnsw.ef_search.
_MAX_EF_SEARCH = 1000
#: Candidates of each ranking that is fused: this many times k, and at least this many.
_FUSED_DEPTH = 4
_MIN_FUSED = 50
#: Documents that are compared with a filter at first, per hit, and the growth of that number while hits are missing.
_FILTERED_DEPTH = 4
_GROWTH = 16

_OPERATORS = {"cosine": sql.SQL("<=>"), "euclidean": sql.SQL("<->")}
# Similarity from distance. For euclidean collections it only gives the order.
_SIMILARITIES = {"cosine": sql.SQL("1 - ({})"), "euclidean": sql.SQL("-({})")}
_RECORD = sql.SQL("id, content_hash, body, context, metadata")


@dataclass(frozen=True, slots=True)
class Query:
    """A search query.

    Attributes:
        vector: The validated vector; None for a keyword search without similarities.
        k: Maximum number of hits.
        mode: The search mode.
        conditions: Conditions that hits must match.
        threshold: Minimum similarity.
        text: The query's text, for a hybrid or keyword search.
        sparse: The query's sparse vector, for a hybrid search.
        ef_search: Number of candidates in the index.
    """

    vector: Any
    k: int
    mode: Mode
    conditions: tuple[Condition, ...] = ()
    threshold: float | None = None
    text: str | None = None
    sparse: Mapping[int, float] | None = None
    ef_search: int = 64


def search_rows(connection: Connection, generation: Generation, query: Query) -> Sequence[tuple[Any, ...]]:
    """Rows of id, content hash, text, context, metadata, similarity and score, best first.

    Args:
        connection: A connection in autocommit mode.
        generation: The generation to search.
        query: The query.
    """
    # The pipeline sends statements that do not depend on each other in one round trip. In one snapshot, the statistics,
    # the postings and the records fit together.
    with connection.pipeline(), connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        search = _Search(connection, generation, query)
        if query.mode == "hybrid":
            return search.fused()
        return search.by_keywords() if query.mode == "keyword" else search.nearest()


class _Search:
    """The statements of one search, in one transaction."""

    def __init__(self, connection: Connection, generation: Generation, query: Query) -> None:
        self._connection = connection
        self._generation = generation
        self._query = query
        self._condition, self._parameters = conditions_sql(query.conditions)
        self._distance: sql.Composable = sql.SQL("NULL::float8")
        self._similarity: sql.Composable = self._distance
        self._vectors: list[Any] = []
        self._documents = generation.keyword_table("documents")
        self._settings: tuple[str, str] | None = None
        if query.vector is not None:
            distance = generation.info.distance
            is_float32 = generation.vector_type == "vector"
            self._vectors = [Vector(query.vector) if is_float32 else HalfVector(query.vector)]
            self._distance = sql.SQL("embedding {} %s").format(_OPERATORS[distance])
            self._similarity = _SIMILARITIES[distance].format(self._distance)

    def nearest(self) -> Sequence[tuple[Any, ...]]:
        """The records with the nearest vectors."""
        query = self._query
        statement = sql.SQL(
            # Sorted again: an iterative scan with relaxed_order returns rows in approximate order.
            "WITH nearest AS MATERIALIZED (SELECT {record}, {distance} AS distance FROM {table} "
            "WHERE {condition} ORDER BY distance LIMIT %s) "
            "SELECT {record}, {similarity}, {similarity} FROM nearest ORDER BY distance, id"
        ).format(
            record=_RECORD, distance=self._distance, table=self._generation.table, condition=self._condition,
            similarity=_SIMILARITIES[self._generation.info.distance].format(sql.SQL("distance")),
        )  # fmt: skip
        values = [*self._vectors, *self._parameters, query.k]
        rows: Sequence[tuple[Any, ...]] = []
        if query.mode != "exact":
            rows = self._execute(statement, values, candidates=query.k).fetchall()
        if len(rows) < query.k:
            # The index stops after hnsw.max_scan_tuples candidates, so a selective filter can leave fewer than k hits.
            # Then all matching records are compared, so that k hits are returned if k records match.
            rows = self._execute(statement, values, candidates=query.k, exact=True).fetchall()
        return [row for row in rows if self._is_above_threshold(row[5])]

    def by_keywords(self) -> Sequence[tuple[Any, ...]]:
        """The records with words of the text, by BM25."""
        keywords = KeywordQuery(self._connection, self._generation, self._query.text or "")
        return self._records(self._best(KeywordRanking(keywords.fetch()), self._query.k))

    def fused(self) -> Sequence[tuple[Any, ...]]:
        """The records of the rankings by vector, keywords and sparse vector, by the weighted mean of their scores.

        Each ranking's scores are scaled to 0 to 1: those of keywords and sparse vectors from 0 to the highest one,
        since 0 means nothing in common, and similarities from the lowest to the highest one of the candidates.
        Reciprocal rank fusion ignores by how much one candidate is better than the next, and was worse than the better
        of its rankings.
        """
        query = self._query
        depth = max(_MIN_FUSED, _FUSED_DEPTH * query.k)
        matches = None
        if query.text is not None:
            matches = KeywordQuery(self._connection, self._generation, query.text).fetch()
        sparse = None if query.sparse is None else self._nearest_sparse(query.sparse, depth)
        nearest = self._nearest_numbers(depth)
        rankings: list[tuple[float, dict[int, float]]] = []
        if matches is not None:
            # Computed here while the server searches the vectors.
            weight = _IDENTIFIER_WEIGHT if _is_identifier(query.text or "") else _KEYWORD_WEIGHT
            rankings.append((weight, _scaled(self._best(KeywordRanking(matches), depth))))
        if sparse is not None:
            products = {number: product for number, product in sparse.fetchall() if product > 0}
            rankings.append((1.0, _scaled(products)))
        similarities = self._similarities(nearest, depth)
        rankings.append((1.0, _scaled(similarities, min(similarities.values(), default=0.0))))
        scores: dict[int, float] = defaultdict(float)
        total = sum(weight for weight, _ in rankings)
        for weight, ranking in rankings:
            for number, score in ranking.items():
                scores[number] += weight / total * score
        return self._records(scores)

    def _nearest_numbers(self, depth: int, *, exact: bool = False) -> "Cursor[Any]":
        """Numbers and similarities of the nearest vectors."""
        statement = sql.SQL(
            "WITH nearest AS MATERIALIZED (SELECT id, {} AS distance FROM {} WHERE {} ORDER BY distance LIMIT %s) "
            "SELECT number, {} FROM nearest JOIN {} USING (id)"
        ).format(
            self._distance, self._generation.table, self._condition,
            _SIMILARITIES[self._generation.info.distance].format(sql.SQL("distance")), self._documents,
        )  # fmt: skip
        return self._execute(statement, [*self._vectors, *self._parameters, depth], candidates=depth, exact=exact)

    def _similarities(self, nearest: "Cursor[Any]", depth: int) -> dict[int, float]:
        rows = nearest.fetchall()
        if len(rows) < self._query.k:
            rows = self._nearest_numbers(depth, exact=True).fetchall()
        return {number: similarity for number, similarity in rows if self._is_above_threshold(similarity)}

    def _nearest_sparse(self, sparse: Mapping[int, float], depth: int) -> "Cursor[Any]":
        """Numbers and inner products of the nearest sparse vectors; 0 without common positions."""
        condition, parameters = self._condition_with_threshold()
        statement = sql.SQL(
            "WITH nearest AS MATERIALIZED (SELECT id, sparse <#> %s AS distance FROM {} "
            "WHERE sparse IS NOT NULL AND {} ORDER BY distance LIMIT %s) "
            "SELECT number, -distance FROM nearest JOIN {} USING (id)"
        ).format(self._generation.table, condition, self._documents)
        vector = SparseVector(dict(sparse), self._generation.info.sparse_dimensions or 0)
        return self._execute(statement, [vector, *parameters, depth], candidates=depth)

    def _best(self, ranking: KeywordRanking, depth: int) -> dict[int, float]:
        """Numbers and scores of the best records that match the conditions; more than ``depth`` if several tie."""
        if not self._query.conditions and self._query.threshold is None:
            return ranking.best(depth)
        condition, parameters = self._condition_with_threshold()
        statement = sql.SQL(
            "SELECT number, score FROM unnest(%s::integer[], %s::float8[]) AS ranked (number, score) "
            "JOIN {} USING (number) JOIN {} USING (id) WHERE {} ORDER BY score DESC, id LIMIT %s"
        ).format(self._documents, self._generation.table, condition)
        count = depth * _FILTERED_DEPTH
        while True:
            best = ranking.best(count)
            values = [list(best), list(best.values()), *parameters, depth]
            rows = self._execute(statement, values, candidates=depth).fetchall()
            if len(rows) >= depth or count >= len(ranking):
                return dict(rows)
            count *= _GROWTH

    def _records(self, scores: Mapping[int, float]) -> Sequence[tuple[Any, ...]]:
        """The records with the highest scores; ties by similarity in a fusion, then by id."""
        if not scores:
            return []
        least = heapq.nlargest(self._query.k, scores.values())[-1]
        best = {number: score for number, score in scores.items() if score >= least}
        statement = sql.SQL(
            "SELECT {}, {} AS similarity, score FROM unnest(%s::integer[], %s::float8[]) AS ranked (number, score) "
            "JOIN {} USING (number) JOIN {} USING (id) ORDER BY score DESC, {}id LIMIT %s"
        ).format(
            _RECORD, self._similarity, self._documents, self._generation.table,
            sql.SQL("similarity DESC, " if self._query.mode == "hybrid" else ""),
        )  # fmt: skip
        values = [*self._vectors, list(best), list(best.values()), self._query.k]
        return self._execute(statement, values, candidates=self._query.k).fetchall()

    def _condition_with_threshold(self) -> tuple[sql.Composable, list[Any]]:
        if self._query.threshold is None:
            return self._condition, self._parameters
        condition = sql.SQL("{} AND {} >= %s").format(self._condition, self._similarity)
        return condition, [*self._parameters, *self._vectors, self._query.threshold]

    def _is_above_threshold(self, similarity: float) -> bool:
        return self._query.threshold is None or similarity >= self._query.threshold

    def _execute(
        self, statement: sql.Composed, values: Sequence[Any], *, candidates: int, exact: bool = False
    ) -> "Cursor[Any]":
        settings = (str(min(max(self._query.ef_search, candidates), _MAX_EF_SEARCH)), "off" if exact else "on")
        if settings != self._settings:
            self._settings = settings
            self._connection.execute(
                "SELECT set_config('hnsw.ef_search', %s, true), "
                "set_config('hnsw.iterative_scan', 'relaxed_order', true), set_config('enable_indexscan', %s, true)",
                settings,
            )
        return self._connection.execute(statement, values, binary=True)


def _scaled(scores: Mapping[int, float], lowest: float = 0.0) -> dict[int, float]:
    """Scores on a scale from ``lowest``, which becomes 0, to the highest score, which becomes 1."""
    span = max(scores.values(), default=0.0) - lowest
    return {number: (score - lowest) / span if span > 0 else 1.0 for number, score in scores.items()}


def _is_identifier(text: str) -> bool:
    """Whether a query is one word with digits or punctuation inside, such as ``ERR_CONN_42`` or ``foo.bar``."""
    words = text.split()
    return len(words) == 1 and not words[0].strip("\"'.,:;!?()[]{}").isalpha()
