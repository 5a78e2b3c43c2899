"""Collections in Postgres."""

from contextlib import suppress
from typing import Any, Self

from psycopg import sql
from psycopg.rows import scalar_row

from embedstack.errors import CollectionNotFound, ConfigurationError
from embedstack.stores.base import Collection, VectorStore, require_complete, require_own_collection
from embedstack.stores.collection_info import CollectionInfo
from embedstack.stores.pgvector.collection import PgVectorCollection
from embedstack.stores.pgvector.database import Connection, Database
from embedstack.stores.pgvector.generations import Generation, State, find_generation, insert_generation
from embedstack.stores.pgvector.reader_role import grant_reader, has_reader

__all__ = ["PgVectorStore"]

_MAX_DIMENSIONS = 4000


class PgVectorStore(VectorStore):
    """A :class:`~embedstack.stores.base.VectorStore` on Postgres with pgvector.

    Reading needs a role that may SELECT; see :meth:`grant_reader`. The schema is created or migrated by the first call
    that creates or replaces a collection, or by :meth:`migrate`.
    """

    def __init__(
        self,
        url: str,
        *,
        schema: str = "embedstack",
        max_connections: int = 8,
        patience: float = 30.0,
        ef_search: int = 64,
    ) -> None:
        """Connect and check the schema. Nothing is changed.

        Args:
            url: ``postgresql://…``, also of a pooler such as PgBouncer or RDS Proxy.
            schema: The schema of the tables.
            max_connections: Maximum number of connections.
            patience: Seconds for which a call is retried while the server is unavailable.
            ef_search: Number of candidates in an approximate search. More candidates are slower and improve recall.

        Raises:
            ConfigurationError: The address is invalid, the server rejects the user, or pgvector is missing.
            StoreUnavailable: The server does not respond.
        """
        self._schema = schema
        self._ef_search = ef_search
        self._database = Database(url, schema=schema, max_connections=max_connections, patience=patience)

    def open(self, info: CollectionInfo, *, create: bool = True) -> PgVectorCollection:
        """Open a collection; see :meth:`VectorStore.open`."""

        def work(connection: Connection) -> Generation:
            if create:
                _check_dimensions(info)
                connection.execute(
                    sql.SQL("INSERT INTO {} (name) VALUES (%s) ON CONFLICT DO NOTHING").format(self._collections),
                    (info.name,),
                )
                self._lock(connection, info.name)
            generation = find_generation(connection, self._schema, info.name, "active")
            if generation is None and not create:
                raise _not_found(info.name)
            return self._checked(generation, info) if generation else self._create(connection, info, "active")

        if create:
            self.migrate()
        return self._opened(self._database.run(work))

    def describe(self, name: str) -> CollectionInfo:
        """Describe a collection; see :meth:`VectorStore.describe`."""
        generation = self._database.run(lambda connection: find_generation(connection, self._schema, name, "active"))
        if generation is None:
            raise _not_found(name)
        return generation.info

    def collections(self) -> list[CollectionInfo]:
        """All collections, by name."""
        query = sql.SQL("SELECT name FROM {} ORDER BY name").format(self._collections)

        def work(connection: Connection) -> list[Generation | None]:
            names = [row[0] for row in connection.execute(query).fetchall()]
            return [find_generation(connection, self._schema, name, "active") for name in names]

        try:
            return [generation.info for generation in self._database.run(work) if generation]
        except CollectionNotFound:
            return []  # nothing was stored yet

    def open_replacement(self, info: CollectionInfo) -> PgVectorCollection:
        """Open a collection's replacement; see :meth:`VectorStore.open_replacement`."""
        _check_dimensions(info)
        self.migrate()

        def work(connection: Connection) -> Generation:
            self._lock(connection, info.name)
            generation = find_generation(connection, self._schema, info.name, "building")
            return self._checked(generation, info) if generation else self._create(connection, info, "building")

        return self._opened(self._database.run(work))

    def outstanding(self, replacement: Collection) -> list[str]:
        """Ids of the records that differ; see :meth:`VectorStore.outstanding`."""
        new = require_own_collection(replacement, PgVectorCollection).generation

        def work(connection: Connection) -> list[str]:
            old = find_generation(connection, self._schema, new.info.name, "active")
            if old is None or old.id == new.id:
                return []
            with connection.cursor(row_factory=scalar_row) as cursor:
                return cursor.execute(_differing(sql.SQL("id"), old, new)).fetchall()

        return self._database.run(work)

    def switch(self, replacement: Collection, *, complete: bool = True) -> None:
        """Switch a collection to its replacement; see :meth:`VectorStore.switch`."""
        new = require_own_collection(replacement, PgVectorCollection).generation

        def work(connection: Connection) -> None:
            self._lock(connection, new.info.name)
            # Waits for writers and blocks new ones; see lock_writable.
            states = connection.execute(
                sql.SQL("SELECT id, state FROM {} WHERE collection = %s AND state <> 'replaced' FOR UPDATE").format(
                    self._generations
                ),
                (new.info.name,),
            ).fetchall()
            state = dict(states).get(new.id)
            if state == "active":
                return  # an earlier attempt was committed, but its response was lost
            if state is None:
                raise CollectionNotFound(f"The replacement of {new.info.name} was dropped. Open another one.")
            old = find_generation(connection, self._schema, new.info.name, "active")
            if old is not None and complete:
                require_complete(old.info.name, _count_differing(connection, old, new))
            change = sql.SQL("UPDATE {} SET state = %s, switched_at = now() WHERE id = %s").format(self._generations)
            if old is not None:
                connection.execute(change, ("replaced", old.id))
            connection.execute(change, ("active", new.id))

        self._database.run(work)

    def drop(self, name: str) -> None:
        """Delete a collection with all its records. Does nothing if it does not exist."""

        def work(connection: Connection) -> None:
            self._lock(connection, name, required=False)
            self._drop_generations(connection, name, ["building", "active", "replaced"])
            connection.execute(sql.SQL("DELETE FROM {} WHERE name = %s").format(self._collections), (name,))

        with suppress(CollectionNotFound):  # nothing was stored yet
            self._database.run(work)

    def drop_replaced(self, name: str) -> int:
        """Delete old versions and unfinished replacements; see :meth:`VectorStore.drop_replaced`."""

        def work(connection: Connection) -> int:
            self._lock(connection, name)
            return self._drop_generations(connection, name, ["building", "replaced"])

        return self._database.run(work)

    def migrate(self) -> list[str]:
        """Create the schema, or change that of an older release.

        Needs a role that may do so. Indexing the words of existing collections takes about a minute for 100,000
        records. Writers wait meanwhile.

        Returns:
            The names of the applied migrations; empty if the schema is up to date.

        Raises:
            ConfigurationError: The role may not, or pgvector is missing and cannot be created.
        """
        return self._database.migrate()

    def grant_reader(self, role: str, password: str | None = None) -> None:
        """Let a role read every collection, also those that this store's role creates later.

        Args:
            role: The role's name; created if it does not exist.
            password: Its password, which is sent to the server as a SCRAM verifier; None leaves it as it is.

        Raises:
            ConfigurationError: This store's role may not.
        """
        self.migrate()
        self._database.run(lambda connection: grant_reader(connection, self._schema, role, password))

    def has_reader(self, role: str) -> bool:
        """Whether a role exists and may read the collections; see :meth:`grant_reader`.

        Args:
            role: The role's name.
        """
        return self._database.run(lambda connection: has_reader(connection, self._schema, role))

    def close(self) -> None:
        """Close the connections."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _collections(self) -> sql.Identifier:
        return sql.Identifier(self._schema, "collections")

    @property
    def _generations(self) -> sql.Identifier:
        return sql.Identifier(self._schema, "generations")

    def _opened(self, generation: Generation) -> PgVectorCollection:
        return PgVectorCollection(self._database, generation, ef_search=self._ef_search)

    @staticmethod
    def _checked(generation: Generation, expected: CollectionInfo) -> Generation:
        generation.info.require(expected)
        return generation

    def _lock(self, connection: Connection, name: str, *, required: bool = True) -> None:
        """Lock a collection: one transaction at a time creates, switches or drops its generations."""
        row = connection.execute(
            sql.SQL("SELECT 1 FROM {} WHERE name = %s FOR UPDATE").format(self._collections), (name,)
        ).fetchone()
        if row is None and required:
            raise _not_found(name)

    def _create(self, connection: Connection, info: CollectionInfo, state: State) -> Generation:
        generation = insert_generation(connection, self._schema, info, state)
        optional: list[sql.Composable] = []
        if info.sparse_dimensions is not None:
            optional.append(sql.SQL("sparse sparsevec({})").format(sql.Literal(info.sparse_dimensions)))
        connection.execute(
            sql.SQL(
                'CREATE TABLE {} (id text COLLATE "C" PRIMARY KEY, content_hash bytea NOT NULL, body text NOT NULL, '
                "context text, metadata jsonb NOT NULL, embedding {}({}) NOT NULL{})"
            ).format(
                generation.table, sql.SQL(generation.vector_type), sql.Literal(info.dimensions),
                sql.SQL("").join(sql.SQL(", {}").format(column) for column in optional),
            )
        )  # fmt: skip
        # Keep vectors in the row if they fit: an exact search would otherwise fetch every vector from TOAST.
        connection.execute(sql.SQL("ALTER TABLE {} ALTER COLUMN embedding SET STORAGE MAIN").format(generation.table))
        create_keywords = sql.Identifier(self._schema, "create_keywords")
        connection.execute(sql.SQL("SELECT {}(%s)").format(create_keywords), (generation.id,))
        return generation

    def _drop_generations(self, connection: Connection, name: str, states: list[str]) -> int:
        with connection.cursor(row_factory=scalar_row) as cursor:
            ids: list[Any] = cursor.execute(
                sql.SQL("DELETE FROM {} WHERE collection = %s AND state = ANY(%s) RETURNING id").format(
                    self._generations
                ),
                (name, states),
            ).fetchall()
        for number in ids:
            for prefix in ("records", "keyword_documents", "keyword_batches", "keyword_postings"):
                table = sql.Identifier(self._schema, f"{prefix}_{number}")
                connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(table))
        return len(ids)


def _check_dimensions(info: CollectionInfo) -> None:
    if info.dimensions > _MAX_DIMENSIONS:
        raise ConfigurationError(
            f"pgvector indexes vectors of up to {_MAX_DIMENSIONS} dimensions; {info.model_id} has {info.dimensions}. "
            "If the model supports shorter vectors, set EMBEDDING_DIMENSIONS."
        )


def _differing(columns: sql.SQL, old: Generation, new: Generation) -> sql.Composed:
    return sql.SQL(
        "SELECT {} FROM {} AS old FULL JOIN {} AS new USING (id) "
        "WHERE (old.content_hash, old.metadata) IS DISTINCT FROM (new.content_hash, new.metadata)"
    ).format(columns, old.table, new.table)


def _count_differing(connection: Connection, old: Generation, new: Generation) -> int:
    row = connection.execute(_differing(sql.SQL("count(*)"), old, new)).fetchone()
    return int(row[0]) if row else 0


def _not_found(name: str) -> CollectionNotFound:
    return CollectionNotFound(f"The collection {name!r} does not exist in this database.")
