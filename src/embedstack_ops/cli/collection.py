"""Look at the collections of the vector store, and drop one."""

import sys

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from embedstack.errors import ConfigurationError
from embedstack.settings.settings import load_settings
from embedstack.stores import load_store
from embedstack_ops.cli.command_line import exit_on_error
from embedstack_ops.cli.target import targeted, uses_aws

_EXAMPLES = """\b
Examples:
  embedstack collections list
  embedstack collections drop documents
"""


@click.group(epilog=_EXAMPLES)
def main() -> None:
    """What the configured store (VECTOR_STORE, DATABASE_URL, VECTOR_BUCKET) holds."""


@main.command("list")
@click.option("--region", help="AWS region; that of the environment otherwise.")
@exit_on_error
@targeted(uses_aws)
def list_collections(region: str | None) -> None:
    """Print each collection with the model that its vectors come from, and how many there are."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("Collection", "Records", "Model", "Dimensions", "Chunks"):
        table.add_column(heading, overflow="fold", justify="right" if heading in ("Records", "Dimensions") else "left")
    with load_store(load_settings(aws_region=region)) as store:
        for info in store.collections():
            count = store.open(info, create=False).count()
            facts = (info.name, f"{count:,}", info.model_id, str(info.dimensions), info.chunker or "")
            table.add_row(*map(escape, facts))
    Console(highlight=False).print(table if table.rows else "The store holds no collection.")


@main.command()
@click.argument("name")
@click.option("--region", help="AWS region; that of the environment otherwise.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@exit_on_error
@targeted(uses_aws)
def drop(name: str, region: str | None, yes: bool) -> None:
    """Delete the collection NAME with all that it holds."""
    with load_store(load_settings(aws_region=region)) as store:
        info = store.describe(name)
        if not yes:
            count = store.open(info, create=False).count()
            if not sys.stdin.isatty():
                raise ConfigurationError(
                    f"{name} with {count:,} vectors is not deleted: standard input is not a terminal, so nobody can "
                    "confirm it. Pass --yes."
                )
            click.confirm(f"Delete {name} with {count:,} vectors of {info.model_id}?", abort=True)
        store.drop(name)
    click.echo(f"{name} is deleted.")
