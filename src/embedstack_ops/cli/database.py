"""``embedstack database``: migrate the Postgres store, or let a role read it."""

import click
import psycopg

from embedstack.errors import ConfigurationError
from embedstack.settings.settings import Settings, load_settings
from embedstack.stores import VectorStore, load_store
from embedstack.stores.database_secret import read_database_secret
from embedstack.stores.pgvector import PgVectorStore
from embedstack_ops.cli.command import exit_on_error
from embedstack_ops.cli.target import targeted, uses_aws

_EXAMPLES = """\b
Examples:
  embedstack database migrate
  embedstack database grant-reader search_function --secret arn:aws:secretsmanager:eu-west-1:123456789012:secret:reader
"""


@click.group(epilog=_EXAMPLES)
def main() -> None:
    """Change the database of the Postgres store (DATABASE_URL, DATABASE_SECRET_ARN). Needs a role that may do so."""


@main.command()
@click.option("--region", help="AWS region.  [default: from the environment]")
@exit_on_error
@targeted(uses_aws)
def migrate(region: str | None) -> None:
    """Create the tables, or change those of an older release."""
    with load_store(load_settings(aws_region=region)) as store:
        applied = _postgres(store).migrate()
    click.echo(f"Applied {', '.join(applied)}." if applied else "The schema is up to date.")


@main.command()
@click.argument("role")
@click.option("--secret", help="ARN of a secret as JSON with the role's password, which is set.")
@click.option("--region", help="AWS region.  [default: from the environment]")
@exit_on_error
@targeted(uses_aws)
def grant_reader(role: str, secret: str | None, region: str | None) -> None:
    """Create the database role ROLE, if it does not exist, and let it read all collections."""
    settings = load_settings(aws_region=region)
    password = None if secret is None else _password(secret, role, settings)
    with load_store(settings) as store:
        _postgres(store).grant_reader(role, password)
    click.echo(f"{role} may read the collections.")


def _postgres(store: VectorStore) -> PgVectorStore:
    if not isinstance(store, PgVectorStore):
        raise ConfigurationError("The configured store is not Postgres. Set VECTOR_STORE=postgres.")
    return store


def _password(secret: str, role: str, settings: Settings) -> str:
    address = psycopg.conninfo.conninfo_to_dict(read_database_secret(secret, settings))
    if address.get("user") != role:
        raise ConfigurationError(
            f"The secret is of the role {address.get('user')!r}, not of {role!r}. Pass that role, or another secret."
        )
    return str(address["password"])
