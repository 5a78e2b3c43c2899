"""``embedstack costs prices``: shows, checks and refreshes the prices."""

import json
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import boto3
import click
from rich.console import Console
from rich.table import Table

from embedstack.costs.price_book import Price, PriceBook
from embedstack.costs.price_file import PriceKey
from embedstack.costs.sources import OLD_AFTER_DAYS
from embedstack.errors import ConfigurationError
from embedstack.settings.settings import load_settings
from embedstack_ops.cli.command import exit_on_error
from embedstack_ops.costs.price_checks import check_prices
from embedstack_ops.costs.price_refresh import is_refreshable, read_price_list, write_price_file

__all__ = ["main"]

#: The Price List API has endpoints in few regions.
_PRICING_REGION = "us-east-1"
_DEFAULT_FILE = Path("prices.yaml")
_EPILOG = """\b
Examples:
  embedstack costs prices --region us-east-1 --product sagemaker/hosting
  embedstack costs prices --check
  embedstack costs prices --refresh --region eu-central-1 --product sagemaker/hosting/ml.g5.xlarge

Exit codes: 0 success, 1 --check found a suspicious price, 2 wrong usage, or AWS has no such price.
"""


@click.command(epilog=_EPILOG)
@click.option("--region", help="Only prices of this region. With --refresh: the region to read.  [default: all]")
@click.option("--product", "products", multiple=True, help="Only products whose key contains this text; repeatable.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with the sources.")
@click.option("--check", is_flag=True, help="Compare SageMaker's prices with EC2's.")
@click.option("--refresh", is_flag=True, help="Read the prices from AWS's Price List API and write a price file.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The price file that --refresh writes.  [default: COSTS_PRICES_FILE, else prices.yaml]",
)
@exit_on_error
def main(
    region: str | None, products: tuple[str, ...], as_json: bool, check: bool, refresh: bool, output: Path | None
) -> None:
    """Show the list prices of AWS with their age, and whether two sources agree on them.

    A price that is not settled is an estimate. Prices of COSTS_PRICES_FILE take precedence over the packaged ones.
    """
    today = datetime.now(UTC).date()
    settings = load_settings()
    if refresh:
        file = output or settings.costs_prices_file or _DEFAULT_FILE
        _refresh(file, region or settings.aws_region, products, today)
        book = PriceBook.load(file)
    else:
        book = PriceBook.load()
    if check:
        problems = list(check_prices(book))
        for problem in problems:
            click.echo(problem)
        click.echo(f"{len(problems)} suspicious prices.")
        sys.exit(1 if problems else 0)
    rows = [
        (key, price)
        for key, price in book.rows(region)
        if not products or any(product in key.product for product in products)
    ]
    if not rows:
        raise ConfigurationError(
            f"There is no price with these filters. Regions with prices: {', '.join(book.regions())}."
        )
    if as_json:
        click.echo(json.dumps([_as_json(key, price, today) for key, price in rows], indent=2))
    else:
        _print_table(rows, today)


def _refresh(file: Path, region: str | None, products: tuple[str, ...], today: date) -> None:
    if region is None:
        raise ConfigurationError("No region is configured. Pass --region, or set AWS_REGION.")
    chosen = products or tuple(key.product for key, _ in PriceBook.load().rows(region) if is_refreshable(key.product))
    if not chosen:
        raise ConfigurationError(
            f"There are no prices of {region} to refresh. Pass --product, such as sagemaker/hosting/ml.g5.xlarge."
        )
    client = boto3.client("pricing", region_name=_PRICING_REGION)
    prices = read_price_list(client, region, chosen, today)
    write_price_file(file, prices, today)
    click.echo(
        f"Wrote {len(prices)} prices of {region} to {file}. To use them, set COSTS_PRICES_FILE={file}.", err=True
    )


def _as_json(key: PriceKey, price: Price, today: date) -> dict[str, Any]:
    return {
        "region": key.region,
        "product": key.product,
        "usd": None if price.same_as else f"{price.amount:f}",
        "same_as": price.same_as,
        "per": price.unit,
        "settled": price.settled,
        "age_days": price.age(today),
        "effective": str(price.effective) if price.effective else None,
        "published": str(price.published) if price.published else None,
        "sources": [
            {
                "title": source.title,
                "url": source.url or None,
                "date": str(source.published) if source.published else None,
                "usd": f"{source.amount:f}",
            }
            for source in price.sources
        ],
    }


def _print_table(rows: list[tuple[PriceKey, Price]], today: date) -> None:
    table = Table("region", "product", "USD", "per", "settled", "age")
    table.columns[2].justify = table.columns[5].justify = "right"
    for key, price in rows:
        dated = any(source.published for source in price.sources)
        table.add_row(
            key.region,
            key.product,
            f"as {price.same_as}" if price.same_as else f"{price.amount:f}",
            price.unit,
            "yes" if price.settled else "estimate",
            f"{price.age(today)} days" if dated else "undated",
        )
    # A terminal's width would cut the keys of models; piped output has no width.
    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(table)
    old = [price.age(today) for _, price in rows if price.is_old(today)]
    if old:
        click.secho(
            f"warning: {len(old)} prices are older than {OLD_AFTER_DAYS} days, the oldest {max(old)} days. Read them "
            "from AWS: embedstack costs prices --refresh",
            fg="yellow",
            err=True,
        )
