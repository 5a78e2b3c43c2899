"""The rows that say which table holds a collection, and what its vectors are."""

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from psycopg import sql
from psycopg.rows import dict_row

from embedstack.errors import CollectionNotFound, CollectionReplaced
from embedstack.stores.collection_info import CollectionInfo
from embedstack.stores.pgvector.database import Connection

__all__ = ["Generation", "State", "find_generation", "insert_generation", "lock_writable"]

State = Literal["building", "active", "replaced"]

_FACTS = tuple(field.name for field in fields(CollectionInfo) if field.name != "name")


@dataclass(frozen=True, slots=True)
class Generation:
    """One table of records, and what its vectors are.

    Attributes:
        id: Its number.
        schema: Where its table is.
        info: The collection that it is, was or is to be.
    """

    id: int
    schema: str
    info: CollectionInfo

    @property
    def table(self) -> sql.Identifier:
        """Its table."""
        return sql.Identifier(self.schema, f"records_{self.id}")

    def index(self, purpose: str) -> sql.Identifier:
        """The name of one of its indexes, without the schema: Postgres puts an index beside its table."""
        return sql.Identifier(f"records_{self.id}_{purpose}")

    @property
    def vector_type(self) -> str:
        """Vectors as float32 can be indexed up to 2,000 dimensions, as float16 up to 4,000 (pgvector's README)."""
        return "vector" if self.info.dimensions <= 2000 else "halfvec"


def find_generation(connection: Connection, schema: str, name: str, state: State) -> Generation | None:
    """The generation of a collection that is in that state, or None."""
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(
            sql.SQL("SELECT * FROM {} WHERE collection = %s AND state = %s").format(
                sql.Identifier(schema, "generations")
            ),
            (name, state),
        ).fetchone()
    return _generation(schema, row) if row else None


def insert_generation(connection: Connection, schema: str, info: CollectionInfo, state: State) -> Generation:
    """Write the row of a new generation."""
    facts = asdict(info)
    row = connection.execute(
        sql.SQL("INSERT INTO {} (collection, state, {}) VALUES (%s, %s, {}) RETURNING id").format(
            sql.Identifier(schema, "generations"),
            sql.SQL(", ").join(map(sql.Identifier, _FACTS)),
            sql.SQL(", ").join(sql.Placeholder() * len(_FACTS)),
        ),
        (info.name, state, *(facts[name] for name in _FACTS)),
    ).fetchone()
    assert row is not None  # noqa: S101 - for the type checker: an insert that returns
    return Generation(row[0], schema, info)


def lock_writable(connection: Connection, generation: Generation) -> None:
    """Hold off a switch until the end of this transaction.

    Raises:
        CollectionReplaced: The switch has been; what is written now would be lost.
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
        raise CollectionReplaced(
            f"The collection {name} was switched to another generation since it was opened: open it again, with the "
            "model that it has now."
        )


def _generation(schema: str, row: dict[str, Any]) -> Generation:
    return Generation(row["id"], schema, CollectionInfo(row["collection"], **{name: row[name] for name in _FACTS}))
