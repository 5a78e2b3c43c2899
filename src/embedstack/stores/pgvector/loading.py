"""Writing many records at once: a binary COPY into a temporary table, and from there into the collection's."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pgvector import HalfVector, SparseVector, Vector
from psycopg import sql
from psycopg.types.json import Jsonb

from embedstack.stores.pgvector.database import Connection
from embedstack.stores.pgvector.generations import Generation
from embedstack.stores.records import Record, Stored

__all__ = ["Row", "copy_rows", "to_row"]

#: Id, content hash, text, context, metadata as JSON, vector, and the sparse vector where the collection has them.
Row = tuple[Any, ...]

_COLUMNS = ("id", "content_hash", "body", "context", "metadata", "embedding")


def to_row(record: Record, metadata: str, generation: Generation) -> Row:
    """A checked record as a row."""
    info = generation.info
    vector = np.asarray(record.vector, np.float32)
    embedding = Vector(vector) if generation.vector_type == "vector" else HalfVector(vector)
    # It is JSON already: the check made it.
    document = Jsonb(metadata, dumps=str)
    row = (record.id, record.content_hash, record.text, record.context or info.context, document, embedding)
    if info.sparse_dimensions is None:
        return row
    return (*row, SparseVector(dict(record.sparse), info.sparse_dimensions) if record.sparse else None)


def copy_rows(connection: Connection, generation: Generation, rows: Sequence[Row]) -> Stored:
    """Put rows of different ids; those that are there as they are stay as they are."""
    columns = (*_COLUMNS, "sparse") if generation.info.sparse_dimensions is not None else _COLUMNS
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    waiting = sql.Identifier(f"waiting_{generation.id}")
    # One per connection, empty after each transaction: a table for each batch would bloat Postgres' catalogue.
    connection.execute(
        sql.SQL(
            "CREATE TEMPORARY TABLE IF NOT EXISTS {} ON COMMIT DELETE ROWS AS SELECT {} FROM {} WITH NO DATA"
        ).format(waiting, names, generation.table)
    )
    types = ["text", "bytea", "text", "text", "jsonb", generation.vector_type, "sparsevec"][: len(columns)]
    with (
        connection.cursor() as cursor,
        cursor.copy(sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(waiting, names)) as copy,
    ):
        copy.set_types(types)
        for row in rows:
            copy.write_row(row)
    compared = [name for name in columns if name not in ("id", "body", "embedding")]
    counts = connection.execute(
        # In the order of ids, so that two batches with the same ones wait for each other and never deadlock. The system
        # column xmax is 0 in a row that this statement inserted.
        sql.SQL(
            "WITH stored AS (INSERT INTO {table} AS old ({names}) SELECT {names} FROM {waiting} ORDER BY id "
            "ON CONFLICT (id) DO UPDATE SET ({names}) = ROW ({excluded}) "
            "WHERE ({old}) IS DISTINCT FROM ({new}) RETURNING (xmax = 0) AS fresh) "
            "SELECT count(*) FILTER (WHERE fresh), count(*) FILTER (WHERE NOT fresh) FROM stored"
        ).format(
            table=generation.table, names=names, waiting=waiting,
            excluded=_qualified("excluded", columns),
            old=_qualified("old", compared), new=_qualified("excluded", compared),
        )
    ).fetchone()  # fmt: skip
    inserted, updated = counts or (0, 0)
    return Stored(inserted, updated, len(rows) - inserted - updated)


def _qualified(table: str, columns: Sequence[str]) -> sql.Composable:
    return sql.SQL(", ").join(sql.Identifier(table, column) for column in columns)
