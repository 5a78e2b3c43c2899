"""``embedstack costs plan``: the monthly bill of a Terraform plan."""

import json
import sys
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from embedstack.costs.money import format_dollars
from embedstack.costs.price_book import PriceBook
from embedstack.errors import ConfigurationError, UnknownPrice
from embedstack_ops.cli.checkout import TERRAFORM
from embedstack_ops.cli.command import exit_on_error
from embedstack_ops.cli.target import targeted
from embedstack_ops.costs.plan import Plan
from embedstack_ops.costs.plan_pricing import Bill, price_plan
from embedstack_ops.costs.plan_reader import read_plan
from embedstack_ops.costs.schedule_hours import BillingMonth
from embedstack_ops.costs.usage import parse_usage
from embedstack_ops.terraform.driver import TerraformRoot

__all__ = ["main", "plan_var_file", "stated_prices"]

_EPILOG = """\b
Examples:
  terraform show -json FILE.tfplan > plan.json; embedstack costs plan plan.json
  embedstack costs plan --var-file terraform/environments/realtime-bge-m3.tfvars
  embedstack costs plan plan.json --usage requests=1000000 --month 2027-01

Exit codes: 0 success, 2 a price or the capacity of an endpoint is unknown, or wrong usage.
"""


@click.command(epilog=_EPILOG)
@click.argument("plan_file", required=False, type=click.Path(path_type=Path))
@click.option(
    "--var-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Plan terraform/ with this file."
)
@click.option("--usage", "usage_items", multiple=True, help="Usage of the month, as requests=1000000; repeatable.")
@click.option("--month", help="Calendar month, as 2027-01.  [default: an average month of 730 hours]")
@click.option("--region", help="Region of resources whose region the plan does not tell.")
@click.option("--price", "prices", multiple=True, help="A price, as sagemaker/hosting/ml.g5.xlarge=1.6; repeatable.")
@click.option("--region-of-prices", help="With --estimate: region whose prices stand for unknown ones.")
@click.option("--estimate", is_flag=True, help="Estimate unknown prices by those of --region-of-prices.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@targeted(only_if=lambda _, options: options.get("plan_file") is None)
@exit_on_error
def main(  # noqa: PLR0913, PLR0917 - the options
    plan_file: Path | None,
    var_file: Path | None,
    usage_items: tuple[str, ...],
    month: str | None,
    region: str | None,
    prices: tuple[str, ...],
    region_of_prices: str | None,
    estimate: bool,
    as_json: bool,
) -> None:
    """Price a plan or a state, as `terraform show -json` prints it, by month.

    Each endpoint has a range from its least to its largest capacity. What depends on usage is priced with --usage; the
    expected amount is that of a constant rate of requests. `embedstack costs simulate` follows the load over time.
    """
    usage = parse_usage(usage_items)
    if plan_file is not None and var_file is not None:
        raise ConfigurationError("Pass either a plan or --var-file.")
    plan = read_plan(plan_file, region=region) if plan_file is not None else plan_var_file(var_file, region)
    regions = {each.region for each in plan.endpoints} | {each.region for each in plan.resources if each.region}
    book = stated_prices(PriceBook.load(), prices, regions, region_of_prices, estimate=estimate)
    bill = price_plan(plan, book, usage, _month(month))
    if as_json:
        click.echo(json.dumps({**asdict(bill), "low": bill.low, "high": bill.high}, indent=2, default=str))
    else:
        _print(bill)
    if bill.unpriced:
        raise UnknownPrice(f"{len(bill.unpriced)} amounts are missing in the total. {bill.unpriced[0]}")
    if bill.unknown:
        raise ConfigurationError(f"Unknown until apply, and missing in the total: {', '.join(bill.unknown)}.")


def stated_prices(
    book: PriceBook, prices: tuple[str, ...], regions: set[str], other: str | None, *, estimate: bool
) -> PriceBook:
    """The book with the prices of the options --price, --region-of-prices and --estimate.

    Raises:
        ConfigurationError: A price is not valid, or only one of the other two options is passed.
    """
    today = datetime.now(UTC).date()
    for item in prices:
        product, _, text = item.rpartition("=")
        try:
            amount = Decimal(text)
        except InvalidOperation:
            raise ConfigurationError(
                f"--price {item} has no amount. Write it as sagemaker/hosting/ml.g5.xlarge=1.6."
            ) from None
        for region in sorted(regions):
            book = book.with_price(region, product, amount, read=today)
    if estimate != (other is not None):
        raise ConfigurationError("Pass --region-of-prices and --estimate together: the amounts are then estimates.")
    if other is not None:
        if other not in book.regions():
            raise ConfigurationError(f"There are no prices of {other}. Use one of {', '.join(book.regions())}.")
        for region in sorted(regions - {other}):
            book = book.estimated(region, other)
    return book


def plan_var_file(var_file: Path | None, region: str | None) -> Plan:
    """Plan terraform/ with a variable file, and read the plan."""
    root = TerraformRoot(TERRAFORM, var_file)
    with tempfile.TemporaryDirectory() as folder:
        root.init()
        planned = root.plan(Path(folder) / "costs.tfplan")
        shown = Path(folder) / "plan.json"
        shown.write_text(json.dumps(root.show(planned)), encoding="utf-8")
        return read_plan(shown, region=region)


def _month(text: str | None) -> BillingMonth:
    if text is None:
        return BillingMonth.average(datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0))
    try:
        start = datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC)
    except ValueError:
        raise ConfigurationError(f"--month {text} is not a month. Write it as 2027-01.") from None
    return BillingMonth.of(start.year, start.month)


def _print(bill: Bill) -> None:
    table = Table("resource", "region", "charged for", "low", "high", "expected", "depends on")
    for column in table.columns[3:6]:
        column.justify = "right"
    for line in bill.lines:
        mark = "" if line.settled else " ~"
        table.add_row(
            line.name,
            line.region,
            line.what,
            format_dollars(line.low) + mark,
            format_dollars(line.high) + mark,
            "" if line.expected is None else format_dollars(line.expected) + mark,
            line.depends_on,
        )
    table.add_section()
    table.add_row("total, USD per month", "", "", format_dollars(bill.low), format_dollars(bill.high), "", "")
    Console(width=None if sys.stdout.isatty() else 220).print(table)
    if not all(line.settled for line in bill.lines):
        click.echo("~ estimate: its price has fewer than two agreeing sources")
    for title, items in (
        ("Without a price", bill.unpriced),
        ("Unknown until apply", bill.unknown),
        ("Not covered", bill.not_covered),
        ("Assumptions", bill.assumptions),
    ):
        if items:
            click.echo(f"\n{title}:")
            for item in items:
                click.echo(f"  {item}")
