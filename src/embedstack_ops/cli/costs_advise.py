"""``embedstack costs advise``: recommendations that lower the bill, with the figures that led to them."""

import json
import time
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape

from embedstack.aws.clients import create_client
from embedstack.costs.ledger import open_ledger
from embedstack.costs.money import format_dollars
from embedstack.costs.price_book import PriceBook
from embedstack.errors import ConfigurationError
from embedstack.settings.budget_values import parse_time_zone
from embedstack.settings.settings import Settings, load_settings
from embedstack_ops.cli.command import exit_on_error
from embedstack_ops.cli.target import targeted, uses_aws
from embedstack_ops.costs.advice.activity import Activity, activity_from_cloudwatch, activity_from_ledger
from embedstack_ops.costs.advice.recommendations import Advice, advise_endpoint, advise_usage
from embedstack_ops.costs.plan import Endpoint
from embedstack_ops.costs.plan_reader import read_plan

__all__ = ["main"]

_COLORS = {"change": "green", "keep": "dim", "fix": "red", "unknown": "yellow"}

_EPILOG = """\b
Examples:
  embedstack costs advise
  terraform -chdir=terraform show -json > state.json
  embedstack costs advise --plan state.json --days 28
  embedstack costs advise --plan state.json --cloudwatch --timezone Europe/Berlin
"""


@click.command(epilog=_EPILOG)
@click.option("--plan", type=click.Path(path_type=Path), help="Output of terraform show -json, for the endpoints.")
@click.option("--cloudwatch", is_flag=True, help="Read requests from CloudWatch instead of the ledger.")
@click.option("--days", type=click.IntRange(1, 90), default=28, show_default=True, help="Days to look back.")
@click.option("--timezone", help="Time zone of schedules.  [default: COSTS_TIME_ZONE]")
@click.option("--region", help="AWS region.  [default: from the environment]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@exit_on_error
@targeted(uses_aws)
def main(
    plan: Path | None, cloudwatch: bool, days: int, timezone: str | None, region: str | None, as_json: bool
) -> None:
    """Recommend cheaper configurations of endpoints, batches and caches, each with its figures and its saving."""
    settings = load_settings(aws_region=region, costs_time_zone=timezone)
    end = time.time()
    start = end - days * 86_400
    endpoints = read_plan(plan, region=settings.aws_region).endpoints if plan else ()
    ledger = open_ledger(settings)
    if ledger is None and not (cloudwatch and endpoints):
        raise ConfigurationError(
            "There is nothing to read. Set COSTS_LEDGER, or pass --cloudwatch with the endpoints of a --plan."
        )
    recorded = activity_from_ledger(ledger, start, end) if ledger is not None else []
    book = PriceBook.load(settings.costs_prices_file)
    zone = parse_time_zone(settings.costs_time_zone)
    advice = advise_usage(recorded, settings.sagemaker_batch_size)
    for endpoint in endpoints:
        if cloudwatch:
            activity = _watched(endpoint, settings, start, end)
        else:
            activity = _merged([each for each in recorded if each.endpoint == endpoint.name])
        advice += advise_endpoint(endpoint, activity, book, timezone=settings.costs_time_zone, zone=zone)
    if as_json:
        click.echo(json.dumps([_as_json(each) for each in advice], indent=2))
    else:
        _print(Console(highlight=False), advice)


def _watched(endpoint: Endpoint, settings: Settings, start: float, end: float) -> Activity | None:
    client = create_client("cloudwatch", settings.model_copy(update={"aws_region": endpoint.region}))
    found = (activity_from_cloudwatch(client, endpoint.name, each.name, start, end) for each in endpoint.variants)
    return _merged([activity for activity in found if activity is not None])


def _merged(activities: list[Activity]) -> Activity | None:
    """The sum of the kinds of calls, or of the variants, of one endpoint."""
    if not activities:
        return None
    hours = {at for activity in activities for at in activity.hours}
    merged = {
        at: Activity("", "", "", {n: a.hours[at] for n, a in enumerate(activities) if at in a.hours}, 0, 0).total
        for at in hours
    }
    first = activities[0]
    return Activity(first.endpoint, first.backend, "", merged, min(hours), first.end)


def _print(console: Console, advice: list[Advice]) -> None:
    if not advice:
        console.print("Nothing to recommend: the ledger has no calls in the complete hours of this time.")
    for each in sorted(advice, key=lambda one: -(one.saving or 0)):
        saving = f"  saves ${format_dollars(each.saving)} a month" if each.saving else ""
        heading = f"{escape(each.endpoint)}: {each.subject}"
        console.print(f"[bold]{heading}[/]  [{_COLORS[each.outcome]}]{each.outcome}[/][green]{saving}[/]")
        console.print(f"  {escape(each.text)}")
        for figure in each.figures:
            console.print(f"  [dim]- {escape(figure)}[/]")
        if each.hcl:
            console.print(escape(each.hcl), style="cyan")


def _as_json(advice: Advice) -> dict[str, Any]:
    return {
        "endpoint": advice.endpoint,
        "subject": advice.subject,
        "outcome": advice.outcome,
        "text": advice.text,
        "figures": list(advice.figures),
        "saving_usd": None if advice.saving is None else f"{advice.saving:.2f}",
        "hcl": advice.hcl,
    }
