"""``embedstack health``: check endpoints and Bedrock models with real vectors, and tell of outages and recoveries."""

import json
import sys
import time
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.markup import escape

from embedstack.health.monitor import load_monitor
from embedstack.health.status import exit_code
from embedstack.health.storage import open_storage, read_history
from embedstack.settings.settings import Settings, load_settings
from embedstack_ops.cli.checkout import applied_endpoints
from embedstack_ops.cli.command import exit_on_error
from embedstack_ops.cli.target import targeted

_EXAMPLES = """\b
Examples:
  embedstack health
  embedstack health --endpoint alex-embedding-endpoint --json
  embedstack health --watch --interval 300
  embedstack health --history 24
  embedstack health --acknowledge alex-old-endpoint
"""

_COLOURS = {
    "healthy": "green",
    "degraded": "yellow",
    "starting": "cyan",
    "asleep": "cyan",
    "not checked": "yellow",
    "throttled": "yellow",
}


@click.command(epilog=_EXAMPLES)
@click.option(
    "--endpoint",
    "endpoints",
    multiple=True,
    help="Endpoint or Bedrock model to check; may be repeated.  [default: HEALTH_…, else the applied endpoints]",
)
@click.option("--once/--watch", default=True, show_default=True, help="Check once, or until interrupted.")
@click.option(
    "--interval",
    type=click.FloatRange(min=10),
    default=300,
    show_default=True,
    help="Seconds between checks of --watch.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the status as JSON, one line for each check.")
@click.option(
    "--history", "hours", type=click.FloatRange(min=0), help="Print the checks of the last hours, and check nothing."
)
@click.option("--acknowledge", metavar="NAME", help="Take note that a target is gone, and check nothing.")
@click.option("--region", help="AWS region.  [default: from the environment]")
@exit_on_error
@targeted()
def main(
    endpoints: tuple[str, ...],
    *,
    once: bool,
    interval: float,
    as_json: bool,
    hours: float | None,
    acknowledge: str | None,
    region: str | None,
) -> None:
    """Probe endpoints and Bedrock models, and compare their vectors with reference vectors.

    Exits with 0 if all are healthy, asleep or starting, with 1 if one has a problem, with 2 if nothing could be
    checked, and with 3 if all are healthy but a notification could not be sent; the next check sends it again.
    """
    settings = load_settings(aws_region=region)
    console = Console(highlight=False)
    if hours is not None:
        _print_history(console, settings, hours, as_json=as_json)
        return
    monitor = load_monitor(settings, endpoints=endpoints or _applied(settings))
    if acknowledge is not None:
        monitor.acknowledge(acknowledge)
        console.print(f"{acknowledge} is acknowledged as gone.")
        return
    while True:
        started = time.monotonic()
        status = monitor.run()
        _print(console, status, as_json=as_json)
        if once:
            sys.exit(exit_code(status))
        time.sleep(max(0.0, interval - (time.monotonic() - started)))


def _applied(settings: Settings) -> tuple[str, ...]:
    """The embedding endpoints that Terraform applied, if the settings name no target."""
    if any(settings.health_targets.values()):
        return ()
    return tuple(sorted(entry["name"] for entry in applied_endpoints().values()))


def _print(console: Console, status: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(status))
        return
    for target in status["targets"]:
        colour = _COLOURS.get(target["state"], "red")
        latency = "" if target["latency_ms"] is None else f"  {target['latency_ms']:,.0f} ms"
        reason = f"  {escape(target['reason'])}" if target["reason"] else ""
        console.print(
            f"[{colour}]{target['state']:<12}[/] [bold]{escape(target['name'])}[/]{latency}{reason}", soft_wrap=True
        )
        for note in target["notes"]:
            console.print(f"             [dim]{escape(note)}[/]", soft_wrap=True)
    if status["undelivered"]:
        console.print(f"[red]{status['undelivered']} notifications could not be sent; the next check sends them.[/]")


def _print_history(console: Console, settings: Settings, hours: float, *, as_json: bool) -> None:
    now = time.time()
    for entry in read_history(open_storage(settings), now - hours * 3600, now):
        if as_json:
            click.echo(json.dumps(entry))
            continue
        at = datetime.fromtimestamp(entry["at"], UTC).strftime("%Y-%m-%d %H:%M:%S")
        latency = "" if entry["latency_ms"] is None else f"{entry['latency_ms']:,.0f} ms"
        console.print(
            f"{at}  {entry['state']:<12} {escape(entry['target'])}  {latency}  {escape(entry['reason'])}",
            soft_wrap=True,
        )
