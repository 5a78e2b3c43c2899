"""SQL statements for searches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pgvector import HalfVector, SparseVector, Vector
from psycopg import sql

from embedstack.stores.base import Mode
from embedstack.stores.filters import Condition
from embedstack.stores.pgvector.conditions import conditions_sql
from embedstack.stores.pgvector.database import Connection
from embedstack.stores.pgvector.generations import Generation
from embedstack.stores.pgvector.languages import text_search_configuration

__all__ = ["Query", "search_rows"]

#: The constant of reciprocal rank fusion (Cormack, Clarke, Buettcher: Reciprocal Rank Fusion outperforms Condorcet and
#: individual Rank Learning Methods, SIGIR 2009).
_RRF = 60
#: pgvector's maximum of hnsw.ef_search.
_MAX_EF_SEARCH = 1000
#: Candidates of each ranking that is fused: this many times k, and at least this many.
_FUSED_DEPTH = 4
_MIN_FUSED = 50

_OPERATORS = {"cosine": sql.SQL("<=>"), "euclidean": sql.SQL("<->")}
# Similarity from distance. For euclidean collections it only gives the order.
_SIMILARITIES = {"cosine": sql.SQL("1 - distance"), "euclidean": sql.SQL("-distance")}
_RECORD = sql.SQL("id, content_hash, body, context, metadata")


@dataclass(frozen=True, slots=True)
class Query:
    """A search query.

    Attributes:
        vector: The validated vector.
        k: Maximum number of hits.
        mode: The search mode.
        conditions: Conditions that hits must match.
        threshold: Minimum similarity.
        text: The query's text, for a hybrid search.
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
        connection: A connection in autocommit mode. Each statement runs in its own transaction.
        generation: The generation to search.
        query: The query.
    """
    search = _hybrid if query.mode == "hybrid" else _nearest
    if query.mode != "exact":
        rows = search(connection, generation, query, exact=False)
        if len(rows) >= query.k:
            return _above(rows, query.threshold)
        # The index stops after hnsw.max_scan_tuples candidates, so a selective filter can leave fewer than k hits. Then
        # all matching records are compared, so that k hits are returned if k records match.
    return _above(search(connection, generation, query, exact=True), query.threshold)


def _above(rows: Sequence[tuple[Any, ...]], threshold: float | None) -> Sequence[tuple[Any, ...]]:
    return rows if threshold is None else [row for row in rows if row[5] >= threshold]


def _nearest(connection: Connection, generation: Generation, query: Query, *, exact: bool) -> Sequence[tuple[Any, ...]]:
    condition, parameters = conditions_sql(query.conditions)
    statement = sql.SQL(
        # Sorted again: an iterative scan with relaxed_order returns rows in approximate order.
        "WITH nearest AS MATERIALIZED (SELECT {record}, embedding {operator} %s AS distance FROM {table} "
        "WHERE {condition} ORDER BY distance LIMIT %s) "
        "SELECT {record}, {similarity}, {similarity} FROM nearest ORDER BY distance, id"
    ).format(
        record=_RECORD,
        operator=_OPERATORS[generation.info.distance],
        table=generation.table,
        condition=condition,
        similarity=_SIMILARITIES[generation.info.distance],
    )
    values = (_vector(generation, query), *parameters, query.k)
    return _fetch(connection, statement, values, ef_search=max(query.ef_search, query.k), exact=exact)


def _fetch(
    connection: Connection, statement: sql.Composed, values: Sequence[Any], *, ef_search: int, exact: bool
) -> Sequence[tuple[Any, ...]]:
    # The pipeline sends begin, settings, statement and commit in one round trip.
    with connection.pipeline(), connection.transaction():
        connection.execute(
            "SELECT set_config('hnsw.ef_search', %s, true), set_config('hnsw.iterative_scan', 'relaxed_order', true), "
            "set_config('enable_indexscan', %s, true)",
            (str(min(ef_search, _MAX_EF_SEARCH)), "off" if exact else "on"),
        )
        # Not prepared: a generic plan does not know the limit and the filter's selectivity, and would not use the
        # index.
        cursor = connection.execute(statement, values, prepare=False, binary=True)
    return cursor.fetchall()


def _vector(generation: Generation, query: Query) -> Any:
    return Vector(query.vector) if generation.vector_type == "vector" else HalfVector(query.vector)


def _hybrid(connection: Connection, generation: Generation, query: Query, *, exact: bool) -> Sequence[tuple[Any, ...]]:
    info, table = generation.info, generation.table
    condition, parameters = conditions_sql(query.conditions)
    depth = max(_MIN_FUSED, _FUSED_DEPTH * query.k)
    vector = _vector(generation, query)
    rankings = [
        sql.SQL("SELECT id, embedding {} %s AS rank_by FROM {} WHERE {} ORDER BY rank_by LIMIT %s").format(
            _OPERATORS[info.distance], table, condition
        )
    ]
    values: list[Any] = [vector, *parameters, depth]
    if query.text is not None:
        # Match any word: few records contain all words of a question.
        rankings.append(
            sql.SQL(
                "SELECT id, -ts_rank_cd(words, words_query) AS rank_by FROM {}, "
                "CAST(replace(CAST(plainto_tsquery({}, %s) AS text), ' & ', ' | ') AS tsquery) AS words_query "
                "WHERE words @@ words_query AND {} ORDER BY rank_by, id LIMIT %s"
            ).format(table, sql.Literal(text_search_configuration(info.language)), condition)
        )
        values += [query.text, *parameters, depth]
    if query.sparse is not None:
        # The negative inner product: 0 for vectors without common positions.
        rankings.append(
            sql.SQL(
                "SELECT id, rank_by FROM (SELECT id, sparse <#> %s AS rank_by FROM {} WHERE sparse IS NOT NULL AND {} "
                "ORDER BY rank_by LIMIT %s) AS nearest WHERE rank_by < 0"
            ).format(table, condition)
        )
        values += [SparseVector(dict(query.sparse), info.sparse_dimensions or 0), *parameters, depth]
    ranked = [
        sql.SQL("(SELECT id, row_number() OVER (ORDER BY rank_by, id) AS rank FROM ({}) AS candidates)").format(ranking)
        for ranking in rankings
    ]
    statement = sql.SQL(
        "WITH fused AS (SELECT id, sum(1.0 / ({rrf} + rank))::float8 AS score FROM ({ranked}) AS ranked GROUP BY id), "
        "scored AS (SELECT {record}, embedding {operator} %s AS distance, score FROM fused JOIN {table} USING (id)) "
        "SELECT {record}, {similarity}, score FROM scored "
        "WHERE %s::float8 IS NULL OR {similarity} >= %s ORDER BY score DESC, distance, id LIMIT %s"
    ).format(
        rrf=sql.Literal(_RRF), ranked=sql.SQL(" UNION ALL ").join(ranked), record=_RECORD, table=table,
        operator=_OPERATORS[info.distance], similarity=_SIMILARITIES[info.distance],
    )  # fmt: skip
    values += [vector, query.threshold, query.threshold, query.k]
    return _fetch(connection, statement, values, ef_search=max(query.ef_search, depth), exact=exact)
