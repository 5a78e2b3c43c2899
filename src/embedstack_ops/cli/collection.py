"""``embedstack collections``: list the collections of the vector store, or delete one."""

import json
import sys

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from embedstack.errors import ConfigurationError
from embedstack.settings.settings import load_settings
from embedstack.stores import load_store
from embedstack_ops.cli.command import exit_on_error
from embedstack_ops.cli.target import targeted, uses_aws

_EXAMPLES = """\b
Examples:
  embedstack collections list
  embedstack collections drop documents
"""


@click.group(epilog=_EXAMPLES)
def main() -> None:
    """List or delete collections of the configured store (VECTOR_STORE, DATABASE_URL, VECTOR_BUCKET)."""


@main.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print the collections as JSON.")
@click.option("--region", help="AWS region.  [default: from the environment]")
@exit_on_error
@targeted(uses_aws)
def list_collections(region: str | None, as_json: bool) -> None:
    """Print each collection with its model and the number of its vectors."""
    facts = []
    with load_store(load_settings(aws_region=region)) as store:
        for info in store.collections():
            count = store.open(info, create=False).count()
            facts.append({
                "name": info.name, "records": count, "model": info.model_id, "dimensions": info.dimensions,
                "chunks": info.chunker, "prompt": info.prompt, "query_prompt": info.query_prompt,
            })  # fmt: skip
    if as_json:
        click.echo(json.dumps(facts))
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("Collection", "Records", "Model", "Dimensions", "Chunks"):
        table.add_column(heading, overflow="fold", justify="right" if heading in ("Records", "Dimensions") else "left")
    for fact in facts:
        cells = (fact["name"], f"{fact['records']:,}", fact["model"], fact["dimensions"], fact["chunks"] or "")
        table.add_row(*(escape(str(cell)) for cell in cells))
    Console(highlight=False).print(table if facts else "The store has no collections.")


@main.command()
@click.argument("name")
@click.option("--region", help="AWS region.  [default: from the environment]")
@click.option("--yes", is_flag=True, help="Delete without asking.")
@exit_on_error
@targeted(uses_aws)
def drop(name: str, region: str | None, yes: bool) -> None:
    """Delete the collection NAME and all its vectors."""
    with load_store(load_settings(aws_region=region)) as store:
        info = store.describe(name)
        if not yes:
            count = store.open(info, create=False).count()
            if not sys.stdin.isatty():
                raise ConfigurationError(
                    f"{name} with {count:,} vectors is not deleted: standard input is not a terminal, so the deletion "
                    "cannot be confirmed. Pass --yes."
                )
            click.confirm(f"Delete {name} with {count:,} vectors of {info.model_id}?", abort=True)
        store.drop(name)
    click.echo(f"Deleted {name}.")
