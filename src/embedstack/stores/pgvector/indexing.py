"""Indexes for searches. They are built after a load: inserting row by row into an index takes far longer."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from psycopg import sql

from embedstack.stores.pgvector.database import Connection, Database
from embedstack.stores.pgvector.generations import Generation

__all__ = ["build_indexes"]

# pgvector's defaults are 16 and 64. Twice the candidates give better recall on clustered data; the build takes about
# 1.5 times as long.
_HNSW = "m = 16, ef_construction = 128"
# "emb" in hexadecimal, as in the lock of migrations; the second half of the key is the generation.
_LOCK = 0x656D62
_POLL_SECONDS = 0.2
_OPERATOR_CLASSES = {"cosine": "cosine_ops", "euclidean": "l2_ops"}


def build_indexes(database: Database, generation: Generation, *, live: bool, only_missing: bool = False) -> None:
    """Build missing indexes, remove dead rows, and update the planner's statistics.

    Args:
        database: The database.
        generation: The generation to index.
        live: Allow concurrent reads and writes; the build takes about twice as long.
        only_missing: Return immediately if all indexes exist or another process is building them.
    """
    if only_missing and database.run(lambda connection: _are_valid(connection, generation)):
        return
    with (
        database.separate_connection() as locking,
        _build_lock(locking, generation, wait=not only_missing) as is_locked,
    ):
        if is_locked:
            database.run_outside_transaction(lambda connection: _optimize(connection, generation, live=live))


def _optimize(connection: Connection, generation: Generation, *, live: bool) -> None:
    _build(connection, generation, sql.SQL("CONCURRENTLY" if live else ""))
    compact = sql.Identifier(generation.schema, "compact_keywords")
    connection.execute(sql.SQL("SELECT {}(%s)").format(compact), (generation.id,))
    connection.execute(sql.SQL("ANALYZE {}").format(generation.table))
    for name in ("documents", "postings"):
        # Merging batches leaves several dead rows per live one, which keyword searches would have to skip.
        connection.execute(sql.SQL("VACUUM (ANALYZE) {}").format(generation.keyword_table(name)))


def _definitions(generation: Generation) -> dict[str, sql.Composable]:
    info = generation.info
    definitions: dict[str, sql.Composable] = {
        "metadata": sql.SQL("USING gin (metadata jsonb_path_ops)"),
        "context": sql.SQL("(context)"),
        "embedding": sql.SQL("USING hnsw (embedding {}) WITH ({})").format(
            sql.SQL(f"{generation.vector_type}_{_OPERATOR_CLASSES[info.distance]}"), sql.SQL(_HNSW)
        ),
    }
    if info.sparse_dimensions is not None:
        definitions["sparse"] = sql.SQL("USING hnsw (sparse sparsevec_ip_ops) WITH ({})").format(sql.SQL(_HNSW))
    return definitions


def _build(connection: Connection, generation: Generation, concurrently: sql.SQL) -> None:
    for purpose, definition in _definitions(generation).items():
        name = generation.index(purpose)
        valid = _validity(connection, generation).get(purpose)
        if valid is False:
            # An interrupted concurrent build leaves an invalid index, which is updated but never used.
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
def _build_lock(connection: Connection, generation: Generation, *, wait: bool) -> Iterator[bool]:
    """A lock for one build at a time, held by a separate transaction: poolers give each transaction another session.

    It is polled, because CONCURRENTLY waits for transactions with a snapshot, as those that are blocked on it. The one
    that holds it has none between its statements, since a statement without parameters leaves no portal open.
    """
    statement = sql.SQL("SELECT pg_try_advisory_xact_lock({}, {}::int)").format(_LOCK, generation.id)
    while True:
        with connection.transaction():
            row = connection.execute(statement).fetchone()
            if row and row[0]:
                yield True
                return
        if not wait:
            yield False
            return
        time.sleep(_POLL_SECONDS)


def _are_valid(connection: Connection, generation: Generation) -> bool:
    validity = _validity(connection, generation)
    return all(validity.get(purpose) for purpose in _definitions(generation))


def _validity(connection: Connection, generation: Generation) -> dict[str, bool]:
    """Whether each existing index is valid, by purpose."""
    prefix = f"records_{generation.id}_"
    rows = connection.execute(
        "SELECT relname, indisvalid FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid "
        "JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE nspname = %s AND starts_with(relname, %s)",
        (generation.schema, prefix),
    ).fetchall()
    return {name.removeprefix(prefix): valid for name, valid in rows}
