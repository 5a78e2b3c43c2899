"""A collection in Postgres."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from psycopg import sql

from embedstack.errors import ConfigurationError
from embedstack.stores.base import Collection, Mode, check_search, parse_required_filter
from embedstack.stores.collection_info import CollectionInfo
from embedstack.stores.filters import Filter, parse_filter
from embedstack.stores.pgvector.conditions import conditions_sql
from embedstack.stores.pgvector.database import Connection, Database
from embedstack.stores.pgvector.generations import Generation, lock_writable
from embedstack.stores.pgvector.indexing import build_indexes
from embedstack.stores.pgvector.loading import Row, put_rows, to_row
from embedstack.stores.pgvector.searching import Query, search_rows
from embedstack.stores.records import Hit, Record, Stored, check_record, check_sparse, check_vector

if TYPE_CHECKING:
    from embedstack.stores.records import Vector

__all__ = ["PgVectorCollection"]

_BATCH = 2000
_NO_VECTOR = np.empty(0, np.float32)


class PgVectorCollection(Collection):
    """A :class:`~embedstack.stores.base.Collection` in one table."""

    filters_by_index = True

    def __init__(self, database: Database, generation: Generation, *, ef_search: int) -> None:
        """Called by :class:`PgVectorStore`.

        Args:
            database: The database.
            generation: The collection's table and properties.
            ef_search: Number of candidates in an approximate search.
        """
        self.generation = generation
        self._database = database
        self._ef_search = ef_search

    @property
    def info(self) -> CollectionInfo:
        """See :attr:`Collection.info`."""
        return self.generation.info

    def upsert(self, records: Iterable[Record]) -> Stored:
        """Insert or update records by id; see :meth:`Collection.upsert`."""
        stored = Stored()
        source = iter(records)
        while rows := self._rows(islice(source, _BATCH)):
            stored = stored.plus(self._database.run(partial(self._put, rows)))
            self._merge_keywords()
        return stored

    def replace(self, where: Filter, records: Iterable[Record]) -> Stored:
        """Insert or update records and delete other matches in one transaction; see :meth:`Collection.replace`."""
        condition, parameters = self._condition(where)
        rows = self._rows(records)
        delete = sql.SQL("DELETE FROM {} WHERE {} AND id <> ALL(%s)").format(self.generation.table, condition)

        def work(connection: Connection) -> Stored:
            stored = self._put(rows, connection)
            connection.execute(delete, (*parameters, [row[0] for row in rows]))
            return stored

        stored = self._database.run(work)
        self._merge_keywords()
        return stored

    def unchanged(self, hashes: Mapping[str, bytes]) -> set[str]:
        """Ids of the records stored with the same content hash; see :meth:`Collection.unchanged`."""
        query = sql.SQL("SELECT id FROM {} JOIN unnest(%s::text[], %s::bytea[]) AS given (id, content_hash) "
                        "USING (id, content_hash)").format(self.generation.table)  # fmt: skip
        return {row[0] for row in self._fetch(query, [list(hashes), list(hashes.values())])}

    def search(
        self,
        vector: "Vector | Sequence[float] | None",
        k: int = 10,
        *,
        filter: Filter | None = None,  # noqa: A002 - the field's word for it
        threshold: float | None = None,
        mode: Mode = "approximate",
        text: str | None = None,
        sparse: Mapping[int, float] | None = None,
    ) -> list[Hit]:
        """The records nearest to a vector, nearest first; see :meth:`Collection.search`."""
        check_search(mode, k, vector=vector, text=text, sparse=sparse, threshold=threshold)
        if sparse is not None and self.info.sparse_dimensions is None:
            raise ConfigurationError(f"The collection {self.info.name} has no sparse vectors. Omit sparse.")
        if sparse is not None:
            check_sparse(sparse, self.info.sparse_dimensions or 0, "the query")
        query = Query(
            None if vector is None else check_vector(vector, self.info, "the query"), k, mode,
            conditions=parse_filter(filter), threshold=threshold, ef_search=self._ef_search, text=text, sparse=sparse,
        )  # fmt: skip
        rows = self._database.run_outside_transaction(
            lambda connection: search_rows(connection, self.generation, query)
        )
        return [Hit(_record((*row[:5], _NO_VECTOR)), score=row[6], similarity=row[5]) for row in rows]

    def get(self, ids: Iterable[str]) -> dict[str, Record]:
        """The stored records with these ids, by id, with vectors."""
        query = sql.SQL("SELECT {} FROM {} WHERE id = ANY(%s)").format(self._columns, self.generation.table)
        return {row[0]: self._whole_record(row) for row in self._fetch(query, [list(ids)])}

    def scan(self) -> Iterator[Record]:
        """All records, ordered by id. Each batch is a separate query and may see later writes."""
        query = sql.SQL("SELECT {} FROM {} WHERE id > %s ORDER BY id LIMIT %s").format(
            self._columns, self.generation.table
        )
        last = ""
        while rows := self._fetch(query, [last, _BATCH]):
            yield from map(self._whole_record, rows)
            last = rows[-1][0]

    def delete(self, ids: Iterable[str]) -> int:
        """Delete records by id. Returns the number of deleted records."""
        return self._delete(sql.SQL("id = ANY(%s)"), [list(ids)])

    def delete_where(self, where: Filter) -> int:
        """Delete the records that match a non-empty filter. Returns the number of deleted records."""
        return self._delete(*self._condition(where))

    def count(self, where: Filter | None = None) -> int:
        """Number of records, or of those that match a filter."""
        condition, parameters = conditions_sql(parse_filter(where))
        query = sql.SQL("SELECT count(*) FROM {} WHERE {}").format(self.generation.table, condition)
        return int(self._fetch(query, parameters)[0][0])

    def optimize(self, *, live: bool = True, only_missing: bool = False) -> None:
        """Build missing indexes; see :meth:`Collection.optimize`."""
        build_indexes(self._database, self.generation, live=live, only_missing=only_missing)

    def _rows(self, records: Iterable[Record]) -> list[Row]:
        # Of records with the same id, the last is stored.
        rows = {record.id: to_row(record, check_record(record, self.info), self.generation) for record in records}
        return list(rows.values())

    def _put(self, rows: Sequence[Row], connection: Connection) -> Stored:
        lock_writable(connection, self.generation)
        return put_rows(connection, self.generation, rows)

    def _delete(self, condition: sql.Composable, parameters: list[Any]) -> int:
        query = sql.SQL("DELETE FROM {} WHERE {}").format(self.generation.table, condition)

        def work(connection: Connection) -> int:
            lock_writable(connection, self.generation)
            return connection.execute(query, parameters).rowcount

        deleted = self._database.run(work)
        self._merge_keywords()
        return deleted

    def _merge_keywords(self) -> None:
        """Keep the number of batches low that a keyword search reads. Separate, so that a write's locks end sooner."""
        merge = sql.SQL("SELECT {}(%s)").format(sql.Identifier(self.generation.schema, "merge_keywords"))
        self._database.run(lambda connection: connection.execute(merge, (self.generation.id,)))

    def _fetch(self, query: sql.Composed, parameters: list[Any]) -> list[tuple[Any, ...]]:
        return self._database.run(lambda connection: connection.execute(query, parameters, binary=True).fetchall())

    @staticmethod
    def _condition(where: Filter) -> tuple[sql.Composable, list[Any]]:
        return conditions_sql(parse_required_filter(where))

    @property
    def _columns(self) -> sql.Composable:
        names = ["id", "content_hash", "body", "context", "metadata", "embedding"]
        if self.info.sparse_dimensions is not None:
            names.append("sparse")
        return sql.SQL(", ").join(map(sql.Identifier, names))

    def _whole_record(self, row: tuple[Any, ...]) -> Record:
        vector = np.asarray(row[5].to_numpy(), np.float32)
        sparse = row[6] if len(row) > 6 else None
        return _record(
            (*row[:5], vector), dict(zip(sparse.indices(), sparse.values(), strict=True)) if sparse else None
        )


def _record(row: tuple[Any, ...], sparse: Mapping[int, float] | None = None) -> Record:
    record_id, content_hash, text, context, metadata, vector = row
    return Record(record_id, text, vector, metadata, context, bytes(content_hash), sparse)
