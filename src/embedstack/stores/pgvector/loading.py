"""Bulk writes: one upsert of a batch of rows."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pgvector import HalfVector, SparseVector, Vector
from psycopg import sql
from psycopg.types.json import Jsonb

from embedstack.stores.pgvector.database import Connection
from embedstack.stores.pgvector.generations import Generation
from embedstack.stores.records import Record, Stored

__all__ = ["Row", "put_rows", "to_row"]

#: Id, content hash, text, context, metadata as JSON, vector, and the sparse vector if the collection has them.
Row = tuple[Any, ...]

_COLUMNS = ("id", "content_hash", "body", "context", "metadata", "embedding")


def to_row(record: Record, metadata: str, generation: Generation) -> Row:
    """A validated record as a row.

    Args:
        record: The record.
        metadata: Its metadata as JSON.
        generation: The generation to write to.
    """
    info = generation.info
    vector = np.asarray(record.vector, np.float32)
    embedding = Vector(vector) if generation.vector_type == "vector" else HalfVector(vector)
    # The metadata is JSON already.
    json_metadata = Jsonb(metadata, dumps=str)
    row = (record.id, record.content_hash, record.text, record.context or info.context, json_metadata, embedding)
    if info.sparse_dimensions is None:
        return row
    return (*row, SparseVector(dict(record.sparse), info.sparse_dimensions) if record.sparse else None)


def put_rows(connection: Connection, generation: Generation, rows: Sequence[Row]) -> Stored:
    """Insert or update rows with distinct ids. Unchanged rows are not written."""
    columns = (*_COLUMNS, "sparse") if generation.info.sparse_dimensions is not None else _COLUMNS
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    types = ["text", "bytea", "text", "text", "jsonb", generation.vector_type, "sparsevec"][: len(columns)]
    # Arrays, and no temporary table: behind a pooler, it would appear in the sessions of other clients.
    given = sql.SQL("unnest({}) AS given ({})").format(
        sql.SQL(", ").join(sql.SQL(f"%b::{name}[]") for name in types), names
    )
    compared = [name for name in columns if name not in ("id", "body", "embedding")]
    counts = connection.execute(
        # Ordered by id, so that concurrent batches with the same ids do not deadlock. The system column xmax is 0 in
        # rows that this statement inserted.
        sql.SQL(
            "WITH stored AS (INSERT INTO {table} AS old ({names}) SELECT {names} FROM {given} ORDER BY id "
            "ON CONFLICT (id) DO UPDATE SET ({names}) = ROW ({excluded}) "
            "WHERE ({old}) IS DISTINCT FROM ({new}) RETURNING (xmax = 0) AS is_new) "
            "SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new) FROM stored"
        ).format(
            table=generation.table, names=names, given=given,
            excluded=_qualified("excluded", columns),
            old=_qualified("old", compared), new=_qualified("excluded", compared),
        ),
        [list(values) for values in zip(*rows, strict=True)] or [[]] * len(columns),
    ).fetchone()  # fmt: skip
    inserted, updated = counts or (0, 0)
    return Stored(inserted, updated, len(rows) - inserted - updated)


def _qualified(table: str, columns: Sequence[str]) -> sql.Composable:
    return sql.SQL(", ").join(sql.Identifier(table, column) for column in columns)
