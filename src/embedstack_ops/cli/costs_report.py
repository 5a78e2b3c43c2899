"""``embedstack costs report``: what was spent, by model, endpoint, key or day."""

import contextlib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click
from rich.console import Console

from embedstack.costs.ledger import open_ledger
from embedstack.costs.periods import Period
from embedstack.costs.records import GROUPS, Group
from embedstack.costs.report import make_report
from embedstack.errors import ConfigurationError
from embedstack.settings.settings import load_settings
from embedstack_ops.cli.command import exit_on_error
from embedstack_ops.cli.target import targeted
from embedstack_ops.costs.report_export import report_csv, report_json, report_svg
from embedstack_ops.costs.report_table import print_report

if TYPE_CHECKING:
    from embedstack.costs.cost_shares import IdlePolicy

__all__ = ["main"]

_EPILOG = """\b
Examples:
  embedstack costs report
  embedstack costs report --period today --by key,model
  embedstack costs report --from 2026-11-01 --to 2026-11-30 --by day --csv > november.csv
  embedstack costs report --cost-explorer Project=alex --plot costs.svg
"""
_DATE = click.DateTime(["%Y-%m-%d"])


@click.command(epilog=_EPILOG)
@click.option(
    "--period",
    "name",
    type=click.Choice(["today", "yesterday", "month"]),
    default="month",
    show_default=True,
    help="Until now, except for yesterday.",
)
@click.option("--from", "first", type=_DATE, help="First day, in UTC, instead of --period.")
@click.option("--to", "last", type=_DATE, help="Last day, which is part of the report.  [default: today]")
@click.option("--by", default="endpoint,model", show_default=True, help=f"One or more of {', '.join(GROUPS)}.")
@click.option("--endpoint", "endpoints", multiple=True, help="Only instances of this endpoint.  [default: all]")
@click.option("--region", help="AWS region.  [default: AWS_REGION]")
@click.option(
    "--idle",
    "policy",
    type=click.Choice(["separate", "spread"]),
    default="separate",
    show_default=True,
    help="Show the cost of idle instances by itself, or divide it among the calls.",
)
@click.option("--cost-explorer", "tag", metavar="TAG=VALUE", help="Show AWS's figures beside; 0.02 USD a report.")
@click.option("--csv", "output", flag_value="csv", help="Print CSV.")
@click.option("--json", "output", flag_value="json", help="Print JSON.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Write the days as an SVG file.")
@exit_on_error
@targeted()
def main(
    by: str,
    endpoints: tuple[str, ...],
    region: str | None,
    policy: str,
    tag: str | None,
    output: str | None,
    plot: Path | None,
    **dates: Any,
) -> None:
    """Show what was spent: calls from the ledger, and instance-hours from CloudWatch.

    A month has the hours of the calendar. Amounts with ~ are estimates.
    """
    settings = load_settings(aws_region=region)
    now = datetime.now(UTC)
    with contextlib.ExitStack() as stack:
        ledger = open_ledger(settings)
        if ledger is not None:
            stack.callback(ledger.close)
        report = make_report(
            settings,
            ledger,
            _period(now, **dates),
            group_by=_groups(by),
            policy=cast("IdlePolicy", policy),
            endpoints=endpoints or None,
            tag=_tag(tag),
            now=now,
        )
    if plot is not None:
        plot.write_text(report_svg(report), encoding="utf-8")
    if output is None:
        print_report(Console(highlight=False), report)
    else:
        click.echo(report_csv(report) if output == "csv" else report_json(report), nl=False)


def _period(now: datetime, name: str, first: datetime | None, last: datetime | None) -> Period:
    if first is None:
        if last is not None:
            raise ConfigurationError("--to needs --from, the first day.")
        return {"today": Period.today, "yesterday": Period.yesterday, "month": Period.month}[name](now)
    period = Period.days(first.date(), (last or now).date())
    if period.start >= now:
        raise ConfigurationError(f"The period begins on {first:%Y-%m-%d}, after today. Pass an earlier day.")
    return Period(period.start, min(period.end, now))


def _groups(by: str) -> list[Group]:
    names = [name.strip() for name in by.split(",") if name.strip()]
    unknown = [name for name in names if name not in GROUPS]
    if unknown or not names:
        raise ConfigurationError(
            f"Calls cannot be grouped by {unknown[0] if unknown else by!r}. Use {', '.join(GROUPS)}."
        )
    return cast("list[Group]", list(dict.fromkeys(names)))


def _tag(text: str | None) -> tuple[str, str] | None:
    if text is None:
        return None
    key, separator, value = text.partition("=")
    if not separator or not key or not value:
        raise ConfigurationError(f"--cost-explorer is {text!r}. Pass a cost allocation tag, such as Project=alex.")
    return key, value
