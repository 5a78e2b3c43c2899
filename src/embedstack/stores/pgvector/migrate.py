"""The schema's versions: numbered SQL files, each applied once, in order, by one process at a time."""

import re
from importlib.resources import files

import psycopg
from psycopg import sql

from embedstack.errors import ConfigurationError

__all__ = ["migrate"]

# "emb" and "mig" in hexadecimal, so that no other program's lock on the same database is taken for this one.
_LOCK = (0x656D62, 0x6D6967)
#: Filtered searches need hnsw.iterative_scan (https://github.com/pgvector/pgvector/blob/master/CHANGELOG.md).
_OLDEST_PGVECTOR = (0, 8)


def migrate(connection: "psycopg.Connection[object]", schema: str) -> list[str]:
    """Bring a database up to date.

    Args:
        connection: In autocommit mode.
        schema: Where the tables are.

    Returns:
        The names of the files that were applied.

    Raises:
        ConfigurationError: pgvector is not there and cannot be made, is too old, or the schema is a newer embedstack's.
    """
    with connection.transaction():
        # Held to the end of the transaction: a second process waits here and finds all done.
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
        known = _migrations()
        rows = connection.execute(sql.SQL("SELECT number FROM {}").format(applied)).fetchall()
        done = {row[0] for row in rows}  # type: ignore[index]
        if unknown := done - known.keys():
            raise ConfigurationError(
                f"The schema {schema!r} was changed by a newer embedstack (migration {max(unknown)}): update this one."
            )
        # The files name their tables without a schema.
        connection.execute(
            "SELECT set_config('search_path', quote_ident(%s) || ',' || current_setting('search_path'), true)",
            (schema,),
        )
        fresh = [number for number in sorted(known) if number not in done]
        for number in fresh:
            name, script = known[number]
            connection.execute(script.encode())
            connection.execute(sql.SQL("INSERT INTO {} (number, name) VALUES (%s, %s)").format(applied), (number, name))
    return [known[number][0] for number in fresh]


def _migrations() -> dict[int, tuple[str, str]]:
    found = {}
    for file in files(__package__).joinpath("migrations").iterdir():
        if match := re.fullmatch(r"(\d{4})_\w+\.sql", file.name):
            found[int(match[1])] = (file.name, file.read_text(encoding="utf-8"))
    return found


def _require_pgvector(connection: "psycopg.Connection[object]") -> None:
    version = _pgvector_version(connection)
    if version is None:
        try:
            with connection.transaction():
                connection.execute("CREATE EXTENSION vector")
        except psycopg.Error as error:
            raise ConfigurationError(
                "The database has no pgvector, and this user cannot make it: have CREATE EXTENSION vector run by one "
                f"who may. {error.diag.message_primary or error}"
            ) from error
        version = _pgvector_version(connection)
    if version is None or version < _OLDEST_PGVECTOR:
        raise ConfigurationError(
            f"The database has pgvector {'.'.join(map(str, version or ()))}; filtered searches need 0.8 or newer: "
            "ALTER EXTENSION vector UPDATE."
        )


def _pgvector_version(connection: "psycopg.Connection[object]") -> tuple[int, ...] | None:
    row = connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'vector'").fetchone()
    return tuple(int(part) for part in row[0].split(".")[:2]) if row else None  # type: ignore[index]
