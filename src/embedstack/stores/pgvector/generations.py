"""Generations of collections: each is a table of records and a row with its properties."""

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from psycopg import sql
from psycopg.rows import dict_row

from embedstack.errors import CollectionNotFound
from embedstack.stores.base import replaced_error
from embedstack.stores.collection_info import CollectionInfo
from embedstack.stores.pgvector.database import Connection
from embedstack.stores.pgvector.languages import text_search_configuration

__all__ = ["Generation", "State", "find_generation", "insert_generation", "lock_writable"]

State = Literal["building", "active", "replaced"]

_PROPERTIES = tuple(field.name for field in fields(CollectionInfo) if field.name != "name")


@dataclass(frozen=True, slots=True)
class Generation:
    """A table of records.

    Attributes:
        id: The generation's number.
        schema: The schema of its table.
        info: The properties of its collection.
    """

    id: int
    schema: str
    info: CollectionInfo

    @property
    def table(self) -> sql.Identifier:
        """The table."""
        return sql.Identifier(self.schema, f"records_{self.id}")

    def index(self, purpose: str) -> sql.Identifier:
        """The name of an index, without the schema: Postgres creates an index in the schema of its table."""
        return sql.Identifier(f"records_{self.id}_{purpose}")

    def keyword_table(self, name: str) -> sql.Identifier:
        """A table of its keyword index: ``documents``, ``batches`` or ``postings``."""
        return sql.Identifier(self.schema, f"keyword_{name}_{self.id}")

    @property
    def vector_type(self) -> str:
        """The column type: pgvector indexes up to 2,000 float32 or 4,000 float16 dimensions (its README)."""
        return "vector" if self.info.dimensions <= 2000 else "halfvec"


def find_generation(connection: Connection, schema: str, name: str, state: State) -> Generation | None:
    """The generation of a collection in a state, or None."""
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(
            sql.SQL("SELECT * FROM {} WHERE collection = %s AND state = %s").format(
                sql.Identifier(schema, "generations")
            ),
            (name, state),
        ).fetchone()
    return _generation(schema, row) if row else None


def insert_generation(connection: Connection, schema: str, info: CollectionInfo, state: State) -> Generation:
    """Insert the row of a new generation."""
    properties = asdict(info)
    row = connection.execute(
        # The cast checks that the server has the text search configuration.
        sql.SQL(
            "INSERT INTO {} (collection, state, text_search, {}) VALUES (%s, %s, %s::regconfig, {}) RETURNING id"
        ).format(
            sql.Identifier(schema, "generations"),
            sql.SQL(", ").join(map(sql.Identifier, _PROPERTIES)),
            sql.SQL(", ").join(sql.Placeholder() * len(_PROPERTIES)),
        ),
        (info.name, state, text_search_configuration(info.language), *(properties[name] for name in _PROPERTIES)),
    ).fetchone()
    assert row is not None  # noqa: S101 - for the type checker: RETURNING gives a row
    return Generation(row[0], schema, info)


def lock_writable(connection: Connection, generation: Generation) -> None:
    """Block a switch until the end of this transaction.

    Raises:
        CollectionReplaced: The collection was switched. Records written now would be lost.
        CollectionNotFound: The collection was dropped.
    """
    row = connection.execute(
        sql.SQL("SELECT state FROM {} WHERE id = %s FOR SHARE").format(
            sql.Identifier(generation.schema, "generations")
        ),
        (generation.id,),
    ).fetchone()
    name = generation.info.name
    if row is None:
        raise CollectionNotFound(f"The collection {name} was dropped since it was opened.")
    if row[0] == "replaced":
        raise replaced_error(name)


def _generation(schema: str, row: dict[str, Any]) -> Generation:
    return Generation(row["id"], schema, CollectionInfo(row["collection"], **{name: row[name] for name in _PROPERTIES}))
