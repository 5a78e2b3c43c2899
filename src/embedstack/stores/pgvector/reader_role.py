"""A database role that may only read collections, for functions that only search."""

from psycopg import sql

from embedstack.stores.pgvector.database import Connection

__all__ = ["grant_reader"]


def grant_reader(connection: Connection, schema: str, role: str, password: str | None) -> None:
    """Create a role if it does not exist, and grant it to read all current and future tables of a schema.

    Args:
        connection: A connection whose role creates the tables.
        schema: The schema of the tables.
        role: The role's name.
        password: Its password; None leaves it as it is.
    """
    name, namespace = sql.Identifier(role), sql.Identifier(schema)
    if connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (role,)).fetchone() is None:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(name))
    if password is not None:
        # Encrypted here: the server may log its statements.
        verifier = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
        connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(name, sql.Literal(verifier)))
    database = sql.Identifier(connection.info.dbname)
    for statement in (
        sql.SQL("ALTER ROLE {role} SET default_transaction_read_only = on"),
        sql.SQL("GRANT CONNECT ON DATABASE {database} TO {role}"),
        sql.SQL("GRANT USAGE ON SCHEMA {schema} TO {role}"),
        sql.SQL("GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}"),
        sql.SQL("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {schema} TO {role}"),
        sql.SQL("ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT ON TABLES TO {role}"),
        sql.SQL("ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT EXECUTE ON FUNCTIONS TO {role}"),
    ):
        connection.execute(statement.format(role=name, database=database, schema=namespace))
