"""``embedstack costs prices``: the price book as a table or JSON."""

import json
from datetime import UTC, datetime

import click
from rich.console import Console
from rich.table import Table

from embedstack.costs.price_book import PriceBook
from embedstack_ops.cli.command import exit_on_error

__all__ = ["main"]

_EPILOG = """\b
Examples:
  embedstack costs prices --region us-east-1
  embedstack costs prices --product ml.g5 --json
"""


@click.command(epilog=_EPILOG)
@click.option("--region", help="Only prices of this region.  [default: all]")
@click.option("--product", default="", help="Only products whose key contains this text.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@exit_on_error
def main(region: str | None, product: str, as_json: bool) -> None:
    """Show the prices with their age and sources."""
    today = datetime.now(UTC).date()
    rows = list(PriceBook.load().rows(region, product))
    if as_json:
        content = [{"region": key.region, "product": key.product, "usd": str(price.amount)} for key, price in rows]
        click.echo(json.dumps(content, indent=2))
        return
    table = Table("region", "product", "USD", "per", "age")
    for key, price in rows:
        table.add_row(key.region, key.product, str(price.amount), price.unit, f"{price.age(today)} days")
    Console().print(table)
