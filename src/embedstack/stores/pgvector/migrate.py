"""Schema migrations: numbered SQL files, each applied once, in order, by one process at a time."""

import re
from importlib.resources import files

import psycopg
from psycopg import sql

from embedstack.errors import ConfigurationError

__all__ = ["migrate"]

# "emb" and "mig" in hexadecimal, to avoid the advisory locks of other programs in the same database.
_LOCK = (0x656D62, 0x6D6967)
#: Filtered searches need hnsw.iterative_scan (https://github.com/pgvector/pgvector/blob/master/CHANGELOG.md).
_MIN_PGVECTOR = (0, 8)


def migrate(connection: "psycopg.Connection[object]", schema: str) -> list[str]:
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
        connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
        applied = sql.Identifier(schema, "migrations")
        connection.execute(
            sql.SQL(
                "CREATE TABLE IF NOT EXISTS {} (number integer PRIMARY KEY, name text NOT NULL, "
                "applied_at timestamptz NOT NULL DEFAULT now())"
            ).format(applied)
        )
        migrations = _migrations()
        rows = connection.execute(sql.SQL("SELECT number FROM {}").format(applied)).fetchall()
        done = {row[0] for row in rows}  # type: ignore[index]
        if newer := done - migrations.keys():
            raise ConfigurationError(
                f"The schema {schema!r} was migrated by a newer embedstack (migration {max(newer)}). Update embedstack."
            )
        # The SQL files name tables without a schema.
        connection.execute(
            "SELECT set_config('search_path', quote_ident(%s) || ',' || current_setting('search_path'), true)",
            (schema,),
        )
        outstanding = [number for number in sorted(migrations) if number not in done]
        for number in outstanding:
            name, script = migrations[number]
            connection.execute(script.encode())
            connection.execute(sql.SQL("INSERT INTO {} (number, name) VALUES (%s, %s)").format(applied), (number, name))
    return [migrations[number][0] for number in outstanding]


def _migrations() -> dict[int, tuple[str, str]]:
    migrations = {}
    for file in files(__package__).joinpath("migrations").iterdir():
        if match := re.fullmatch(r"(\d{4})_\w+\.sql", file.name):
            migrations[int(match[1])] = (file.name, file.read_text(encoding="utf-8"))
    return migrations


def _require_pgvector(connection: "psycopg.Connection[object]") -> None:
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
    if version is None or version < _MIN_PGVECTOR:
        raise ConfigurationError(
            f"The database has pgvector {'.'.join(map(str, version or ()))}; filtered searches need 0.8 or newer. Run "
            "ALTER EXTENSION vector UPDATE."
        )


def _pgvector_version(connection: "psycopg.Connection[object]") -> tuple[int, ...] | None:
    row = connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'vector'").fetchone()
    return tuple(int(part) for part in row[0].split(".")[:2]) if row else None  # type: ignore[index]
