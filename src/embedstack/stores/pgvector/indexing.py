"""The indexes that make searches fast. They are built after a load: an index that grows row by row takes far longer."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from psycopg import sql

from embedstack.stores.pgvector.database import Connection
from embedstack.stores.pgvector.generations import Generation

__all__ = ["build_indexes"]

# pgvector's default is 16 and 64. Twice the candidates at building time find more neighbours in clustered data for a
# build that takes about half as long again.
_HNSW = "m = 16, ef_construction = 128"
# "emb" in hexadecimal, as in the migrations' lock; the other half of the key is the generation.
_LOCK = 0x656D62
_POLL_SECONDS = 0.2
_OPERATOR_CLASSES = {"cosine": "cosine_ops", "euclidean": "l2_ops"}


def build_indexes(connection: Connection, generation: Generation, *, live: bool) -> None:
    """Build what is not there yet, and gather the planner's statistics.

    Args:
        connection: In autocommit mode; of its own where ``live``, since an index is then built in several transactions.
        generation: Whose.
        live: Let others read and write meanwhile; the build takes about twice as long.
    """
    with _alone(connection, generation):
        _build(connection, generation, sql.SQL("CONCURRENTLY" if live else ""))
        connection.execute(sql.SQL("ANALYZE {}").format(generation.table))


def _build(connection: Connection, generation: Generation, concurrently: sql.SQL) -> None:
    info = generation.info
    wanted = {
        "metadata": sql.SQL("USING gin (metadata jsonb_path_ops)"),
        "context": sql.SQL("(context)"),
        "embedding": sql.SQL("USING hnsw (embedding {}) WITH ({})").format(
            sql.SQL(f"{generation.vector_type}_{_OPERATOR_CLASSES[info.distance]}"), sql.SQL(_HNSW)
        ),
    }
    if info.text_search is not None:
        wanted["words"] = sql.SQL("USING gin (words)")
    if info.sparse_dimensions is not None:
        wanted["sparse"] = sql.SQL("USING hnsw (sparse sparsevec_ip_ops) WITH ({})").format(sql.SQL(_HNSW))
    for purpose, definition in wanted.items():
        name = generation.index(purpose)
        valid = _is_valid(connection, generation, f"records_{generation.id}_{purpose}")
        if valid is False:
            # A concurrent build that was interrupted leaves an index that is kept up to date and never used.
            connection.execute(
                sql.SQL("DROP INDEX {} {}").format(
                    concurrently, sql.Identifier(generation.schema, f"records_{generation.id}_{purpose}")
                )
            )
        if not valid:
            connection.execute(
                sql.SQL("CREATE INDEX {} {} ON {} {}").format(concurrently, name, generation.table, definition)
            )


@contextmanager
def _alone(connection: Connection, generation: Generation) -> Iterator[None]:
    """One build at a time. Asked for again and again: who waits inside Postgres is waited for by a concurrent build."""
    lock = (_LOCK, generation.id)
    while True:
        row = connection.execute("SELECT pg_try_advisory_lock(%s::int, %s::int)", lock).fetchone()
        if row and row[0]:
            break
        time.sleep(_POLL_SECONDS)
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("SELECT pg_advisory_unlock(%s::int, %s::int)", lock)


def _is_valid(connection: Connection, generation: Generation, index: str) -> bool | None:
    """Whether an index can be used; None where there is none."""
    row = connection.execute(
        "SELECT indisvalid FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid "
        "JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE nspname = %s AND relname = %s",
        (generation.schema, index),
    ).fetchone()
    return row[0] if row else None
