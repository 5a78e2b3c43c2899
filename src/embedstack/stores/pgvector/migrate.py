"""Schema migrations: numbered SQL files, each applied once, in order, by one process at a time."""

import re
from importlib.resources import files
from typing import Any, Literal

import psycopg
from psycopg import sql

from embedstack.errors import ConfigurationError

__all__ = ["SchemaState", "migrate", "schema_state"]

#: ``absent``: nothing was stored yet; ``outdated``: migrations are outstanding.
SchemaState = Literal["absent", "outdated", "current"]

# "emb" and "mig" in hexadecimal, to avoid the advisory locks of other programs in the same database.
_LOCK = (0x656D62, 0x6D6967)
#: Filtered searches need hnsw.iterative_scan (https://github.com/pgvector/pgvector/blob/master/CHANGELOG.md).
_MIN_PGVECTOR = (0, 8)


def schema_state(connection: "psycopg.Connection[Any]", schema: str) -> SchemaState:
    """Compare a schema with this release's migrations. Changes nothing, and needs no permission but SELECT.

    Raises:
        ConfigurationError: pgvector is too old, or a newer embedstack migrated the schema.
    """
    version = _pgvector_version(connection)
    if version is None or not _exists(connection, schema):
        return "absent"
    _require_version(version)
    return "outdated" if _outstanding(connection, schema) else "current"


def migrate(connection: "psycopg.Connection[Any]", schema: str) -> list[str]:
    """Apply outstanding migrations.

    Args:
        connection: A connection in autocommit mode.
        schema: The schema of the tables.

    Returns:
        The names of the applied files.

    Raises:
        ConfigurationError: pgvector is missing and cannot be created, or is too old; or a newer embedstack migrated the
            schema.
    """
    with connection.transaction():
        # Held until the end of the transaction. A concurrent process waits here and then has nothing to apply.
        connection.execute("SELECT pg_advisory_xact_lock(%s::int, %s::int)", _LOCK)
        _require_pgvector(connection)
        applied = sql.Identifier(schema, "migrations")
        if not _exists(connection, schema):
            if connection.execute("SELECT FROM pg_namespace WHERE nspname = %s", (schema,)).fetchone() is None:
                # Not IF NOT EXISTS, which needs the permission to create schemas even if this one exists.
                connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
            connection.execute(
                sql.SQL(
                    "CREATE TABLE {} (number integer PRIMARY KEY, name text NOT NULL, "
                    "applied_at timestamptz NOT NULL DEFAULT now())"
                ).format(applied)
            )
        # The SQL files name tables without a schema.
        connection.execute(
            "SELECT set_config('search_path', quote_ident(%s) || ',' || current_setting('search_path'), true)",
            (schema,),
        )
        outstanding = _outstanding(connection, schema)
        for number, (name, script) in outstanding.items():
            connection.execute(script.encode())
            connection.execute(sql.SQL("INSERT INTO {} (number, name) VALUES (%s, %s)").format(applied), (number, name))
    return [name for name, _ in outstanding.values()]


def _exists(connection: "psycopg.Connection[Any]", schema: str) -> bool:
    row = connection.execute(
        "SELECT FROM pg_tables WHERE schemaname = %s AND tablename = 'migrations'", (schema,)
    ).fetchone()
    return row is not None


def _outstanding(connection: "psycopg.Connection[Any]", schema: str) -> dict[int, tuple[str, str]]:
    """Names and SQL of the migrations that were not applied, by number, in order."""
    migrations = _migrations()
    rows = connection.execute(sql.SQL("SELECT number FROM {}").format(sql.Identifier(schema, "migrations"))).fetchall()
    done = {row[0] for row in rows}
    if newer := done - migrations.keys():
        raise ConfigurationError(
            f"The schema {schema!r} was migrated by a newer embedstack (migration {max(newer)}). Update embedstack."
        )
    return {number: migrations[number] for number in sorted(migrations.keys() - done)}


def _migrations() -> dict[int, tuple[str, str]]:
    migrations = {}
    for file in files(__package__).joinpath("migrations").iterdir():
        if match := re.fullmatch(r"(\d{4})_\w+\.sql", file.name):
            migrations[int(match[1])] = (file.name, file.read_text(encoding="utf-8"))
    return migrations


def _require_pgvector(connection: "psycopg.Connection[Any]") -> None:
    version = _pgvector_version(connection)
    if version is None:
        try:
            with connection.transaction():
                connection.execute("CREATE EXTENSION vector")
        except psycopg.Error as error:
            raise ConfigurationError(
                "pgvector is not installed in the database, and this user cannot create it. Have an administrator run "
                f"CREATE EXTENSION vector. {error.diag.message_primary or error}"
            ) from error
        version = _pgvector_version(connection)
    _require_version(version or ())


def _require_version(version: tuple[int, ...]) -> None:
    if version < _MIN_PGVECTOR:
        raise ConfigurationError(
            f"The database has pgvector {'.'.join(map(str, version))}; filtered searches need 0.8 or newer. Run "
            "ALTER EXTENSION vector UPDATE."
        )


def _pgvector_version(connection: "psycopg.Connection[Any]") -> tuple[int, ...] | None:
    row = connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'vector'").fetchone()
    return tuple(int(part) for part in row[0].split(".")[:2]) if row else None
