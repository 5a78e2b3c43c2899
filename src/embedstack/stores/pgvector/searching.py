"""The statements of a search."""

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

__all__ = ["Query", "search_rows"]

#: Reciprocal rank fusion's constant (Cormack, Clarke, Buettcher: Reciprocal Rank Fusion outperforms Condorcet and
#: individual Rank Learning Methods, SIGIR 2009).
_RRF = 60
#: pgvector's highest hnsw.ef_search.
_MAX_EF_SEARCH = 1000
#: Of each ranking that is fused, this many times the hits that are asked for, and so many at least.
_FUSED_DEPTH = 4
_LEAST_FUSED = 50

_OPERATORS = {"cosine": sql.SQL("<=>"), "euclidean": sql.SQL("<->")}
# Similarity from distance: a cosine similarity for the one, and only an order for the other.
_SIMILARITIES = {"cosine": sql.SQL("1 - distance"), "euclidean": sql.SQL("-distance")}
_RECORD = sql.SQL("id, content_hash, body, context, metadata")


@dataclass(frozen=True, slots=True)
class Query:
    """What is searched for.

    Attributes:
        vector: Checked.
        k: Hits at most.
        mode: How to search.
        conditions: What hits fulfil.
        threshold: The least similarity.
        text: Words, for a hybrid search.
        sparse: A sparse vector, for a hybrid search.
        ef_search: Candidates that the index looks at.
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
    """Rows of id, content hash, text, context, metadata, similarity and score, the best first.

    Args:
        connection: In autocommit mode; each statement has a transaction of its own.
        generation: Where to search.
        query: What for.
    """
    find = _hybrid if query.mode == "hybrid" else _nearest
    if query.mode != "exact":
        rows = find(connection, generation, query, exact=False)
        if len(rows) >= query.k:
            return _above(rows, query.threshold)
        # The index gives up after so many candidates (hnsw.max_scan_tuples), and a filter that leaves few records may
        # let through fewer than are asked for. Then all that it leaves are compared, so that k come if there are k.
    return _above(find(connection, generation, query, exact=True), query.threshold)


def _above(rows: Sequence[tuple[Any, ...]], threshold: float | None) -> Sequence[tuple[Any, ...]]:
    return rows if threshold is None else [row for row in rows if row[5] >= threshold]


def _nearest(connection: Connection, generation: Generation, query: Query, *, exact: bool) -> Sequence[tuple[Any, ...]]:
    condition, parameters = conditions_sql(query.conditions)
    statement = sql.SQL(
        # Sorted again: an iterative scan in relaxed order gives its rows nearly in order.
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
    # One round trip: the transaction's begin, its settings, the statement and its end go out together.
    with connection.pipeline(), connection.transaction():
        connection.execute(
            "SELECT set_config('hnsw.ef_search', %s, true), set_config('hnsw.iterative_scan', 'relaxed_order', true), "
            "set_config('enable_indexscan', %s, true)",
            (str(min(ef_search, _MAX_EF_SEARCH)), "off" if exact else "on"),
        )
        # Not prepared: a plan for any parameters knows neither how many rows are asked for nor how many a filter
        # leaves, and would not use the index.
        cursor = connection.execute(statement, values, prepare=False, binary=True)
    return cursor.fetchall()


def _vector(generation: Generation, query: Query) -> Any:
    return Vector(query.vector) if generation.vector_type == "vector" else HalfVector(query.vector)


def _hybrid(connection: Connection, generation: Generation, query: Query, *, exact: bool) -> Sequence[tuple[Any, ...]]:
    info, table = generation.info, generation.table
    condition, parameters = conditions_sql(query.conditions)
    depth = max(_LEAST_FUSED, _FUSED_DEPTH * query.k)
    vector = _vector(generation, query)
    found = [
        sql.SQL("SELECT id, embedding {} %s AS rank_by FROM {} WHERE {} ORDER BY rank_by LIMIT %s").format(
            _OPERATORS[info.distance], table, condition
        )
    ]
    values: list[Any] = [vector, *parameters, depth]
    if query.text is not None:
        # Any of the words: all of them would find next to nothing for a question in a sentence.
        found.append(
            sql.SQL(
                "SELECT id, -ts_rank_cd(words, wanted) AS rank_by FROM {}, "
                "CAST(replace(CAST(plainto_tsquery({}, %s) AS text), ' & ', ' | ') AS tsquery) AS wanted "
                "WHERE words @@ wanted AND {} ORDER BY rank_by, id LIMIT %s"
            ).format(table, sql.Literal(info.text_search), condition)
        )
        values += [query.text, *parameters, depth]
    if query.sparse is not None:
        # The negative inner product: 0 where the two have nothing in common.
        found.append(
            sql.SQL(
                "SELECT id, rank_by FROM (SELECT id, sparse <#> %s AS rank_by FROM {} WHERE sparse IS NOT NULL AND {} "
                "ORDER BY rank_by LIMIT %s) AS nearest WHERE rank_by < 0"
            ).format(table, condition)
        )
        values += [SparseVector(dict(query.sparse), info.sparse_dimensions or 0), *parameters, depth]
    ranked = [
        sql.SQL("(SELECT id, row_number() OVER (ORDER BY rank_by, id) AS rank FROM ({}) AS found)").format(one)
        for one in found
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
