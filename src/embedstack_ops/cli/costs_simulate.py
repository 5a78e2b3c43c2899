"""``embedstack costs simulate``: money and waiting time of a plan's endpoints under traffic."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from embedstack.costs.price_book import PriceBook
from embedstack.errors import ConfigurationError
from embedstack.settings.settings import load_settings
from embedstack_ops.cli.command import exit_on_error
from embedstack_ops.cli.costs_plan import plan_var_file, stated_prices
from embedstack_ops.costs.plan_reader import read_plan
from embedstack_ops.simulation.comparison import Outcome, Target, cheapest, compare
from embedstack_ops.simulation.configurations import Bedrock, Configuration, Instances, Serverless, invocations_tracking
from embedstack_ops.simulation.generated_traffic import Bursts, Tokens, Traffic, generate
from embedstack_ops.simulation.plan_configurations import plan_configurations
from embedstack_ops.simulation.service_times import ServiceProfile, read_profile
from embedstack_ops.simulation.trace_files import read_trace
from embedstack_ops.simulation.traces import Trace

__all__ = ["main"]

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_EPILOG = """\b
Examples:
  terraform show -json plan.out > plan.json
  embedstack costs simulate --plan plan.json --trace requests.csv
  embedstack costs simulate --var-file terraform/environments/realtime-bge-m3.tfvars --rate 2
  embedstack costs simulate --serverless 3072:20 --instances ml.g5.xlarge:1-5:600 --rate 5 --days 7
  embedstack costs simulate --plan plan.json --bedrock amazon.titan-embed-text-v2:0 --rate 2 --latency-target 0.5
"""


@click.command(epilog=_EPILOG)
@click.option("--plan", type=_FILE, help="Output of `terraform show -json` for a plan or a state.")
@click.option("--var-file", type=_FILE, help="Plan terraform/ with this file.")
@click.option("--serverless", multiple=True, metavar="MB:CONCURRENCY", help="A serverless endpoint.")
@click.option(
    "--instances",
    multiple=True,
    metavar="TYPE:MIN-MAX[:TARGET]",
    help="A real-time endpoint; TARGET is the target tracking value, in requests per minute and instance.",
)
@click.option("--bedrock", multiple=True, metavar="MODEL", help="A model on Bedrock.")
@click.option("--trace", "trace_file", type=_FILE, help="Requests as CSV, or an export of CloudWatch as JSON.")
@click.option("--sort", is_flag=True, help="Sort the trace by time.")
@click.option("--rate", type=float, help="Generate traffic: requests per second at the mean of a weekday.")
@click.option("--days", type=float, default=7.0, show_default=True, help="Days of generated traffic.")
@click.option("--diurnal", type=float, default=0.6, show_default=True, help="Amplitude of the day, 0 to 1.")
@click.option("--weekend", type=float, default=0.3, show_default=True, help="Weekend's rate by a weekday's.")
@click.option("--growth", type=float, default=0.0, show_default=True, help="Growth in 30 days, as a share.")
@click.option("--bursts", is_flag=True, help="Add bursts of 20 times the rate, 10 s every 5 minutes.")
@click.option("--tokens", type=float, default=250.0, show_default=True, help="Mean tokens of a generated request.")
@click.option("--profile", "profile_file", type=_FILE, help="Service and start times as YAML or JSON.")
@click.option("--concurrency", type=click.IntRange(1), default=1, show_default=True, help="Requests per instance.")
@click.option("--latency-target", type=float, metavar="SECONDS", help="Find the cheapest one that meets this latency.")
@click.option("--percentile", type=float, default=95.0, show_default=True, help="Percentile of the latency target.")
@click.option("--region", help="AWS region of the prices.  [default: the plan's, or AWS_REGION]")
@click.option("--price", "stated", multiple=True, metavar="PRODUCT=AMOUNT", help="State a price in US dollars.")
@click.option("--region-of-prices", help="With --estimate: the region whose prices estimate unknown ones.")
@click.option("--estimate", is_flag=True, help="Estimate unknown prices by those of --region-of-prices.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of all random numbers.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@exit_on_error
def main(**options: Any) -> None:
    """Simulate endpoints under traffic: money a month, waiting time and throttled requests."""
    trace = _trace(options)
    profile = read_profile(options["profile_file"]) if options["profile_file"] else ServiceProfile()
    region, configurations = _configurations(options)
    prices = stated_prices(
        PriceBook.load(), options["stated"], {region}, options["region_of_prices"], estimate=options["estimate"]
    )
    target = Target(options["latency_target"], options["percentile"]) if options["latency_target"] is not None else None
    seeds = [options["seed"] + offset for offset in range(3)]
    outcomes = compare(configurations, trace, profile, prices, region, target=target, seeds=seeds)
    best = cheapest(outcomes, target) if target else None
    if options["as_json"]:
        click.echo(json.dumps(_as_json(trace, outcomes, best), indent=2))
        return
    _print(trace, outcomes, target, best, region)


def _trace(options: dict[str, Any]) -> Trace:
    if (options["trace_file"] is None) == (options["rate"] is None):
        raise click.UsageError("Pass either --trace or --rate.")
    if options["trace_file"] is not None:
        return read_trace(options["trace_file"], sort=options["sort"], seed=options["seed"])
    traffic = Traffic(
        options["rate"],
        days=options["days"],
        diurnal=options["diurnal"],
        weekend=options["weekend"],
        growth=options["growth"],
        bursts=Bursts() if options["bursts"] else None,
        tokens=Tokens(options["tokens"]),
    )
    return generate(traffic, options["seed"])


def _configurations(options: dict[str, Any]) -> tuple[str, list[Configuration]]:
    planned: list[tuple[str, Configuration]] = []
    if options["plan"] and options["var_file"]:
        raise click.UsageError("Pass either --plan or --var-file.")
    if options["plan"] or options["var_file"]:
        plan = (
            read_plan(options["plan"], region=options["region"])
            if options["plan"]
            else plan_var_file(options["var_file"], options["region"])
        )
        planned = plan_configurations(plan, concurrency=options["concurrency"])
    regions = sorted({region for region, _ in planned})
    if len(regions) > 1:
        raise ConfigurationError(f"The plan has endpoints in {', '.join(regions)}. Simulate one region at a time.")
    region = options["region"] or (regions[0] if regions else load_settings().aws_region)
    if region is None:
        raise click.UsageError("Pass --region or set AWS_REGION.")
    configurations = [configuration for _, configuration in planned]
    configurations += [_serverless(text) for text in options["serverless"]]
    configurations += [_instances(text, options["concurrency"]) for text in options["instances"]]
    configurations += [Bedrock(model, model) for model in options["bedrock"]]
    if not configurations:
        raise click.UsageError("Pass --plan, --var-file, --serverless, --instances or --bedrock.")
    return region, configurations


def _serverless(text: str) -> Serverless:
    memory, _, concurrency = text.partition(":")
    if not memory.isdigit() or not (concurrency or "10").isdigit():
        raise click.BadParameter(f"{text!r} is not MB:CONCURRENCY, such as 2048:10.", param_hint="--serverless")
    return Serverless(f"serverless {text}", memory_mb=int(memory), max_concurrency=int(concurrency or 10))


def _instances(text: str, concurrency: int) -> Instances:
    try:
        instance_type, capacity, *target = text.split(":")
        low, _, high = capacity.partition("-")
        minimum, maximum = int(low), int(high or low)
        tracking = tuple(invocations_tracking(float(value)) for value in target[:1])
    except ValueError as error:
        raise click.BadParameter(
            f"{text!r} is not TYPE:MIN-MAX[:TARGET], such as ml.g5.xlarge:1-5:600.", param_hint="--instances"
        ) from error
    return Instances(text, instance_type, minimum=minimum, maximum=maximum, concurrency=concurrency, tracking=tracking)


def _print(trace: Trace, outcomes: Sequence[Outcome], target: Target | None, best: Outcome | None, region: str) -> None:
    console = Console()
    console.print(
        f"{len(trace):,} requests in {trace.seconds / 3600:,.1f} h ({trace.rate:.3g}/s); prices of {region}; "
        "a month has 730 h"
    )
    table = Table("configuration", "USD a month", "range", "p50 wait", "p95", "p99", "throttled", "instances")
    for outcome in outcomes:
        run = outcome.run
        estimate = "" if outcome.bill.is_settled else " est."
        table.add_row(
            outcome.configuration.name,
            f"{outcome.bill.total:,.2f}{estimate}",
            f"{outcome.money[0]:,.2f} to {outcome.money[1]:,.2f}",
            *(_duration(run.wait_percentile(percent)) for percent in (50, 95, 99)),
            f"{100 * run.throttled_share:.2f} %",
            f"{run.mean_instances:.2f}" if outcome.bounds else "-",
        )
    console.print(table)
    for outcome in outcomes:
        sentences = list(outcome.assumptions)
        if outcome.bounds and outcome.bounds[0] != outcome.bounds[1]:
            low, high = outcome.bounds
            sentences.insert(0, f"Always the smallest or the largest capacity: {low:,.2f} or {high:,.2f} USD a month.")
        if outcome.waits_p95[0] != outcome.waits_p95[1]:
            sentences.append(
                f"p95 wait {_duration(outcome.waits_p95[0])} to {_duration(outcome.waits_p95[1])} over all runs."
            )
        for sentence in sentences:
            console.print(f"{outcome.configuration.name}: {sentence}", markup=False, highlight=False)
    for note in trace.notes:
        console.print(note, markup=False)
    if target is not None:
        goal = f"p{target.percentile:g} latency of {_duration(target.latency_s)}"
        if best is None:
            console.print(f"No configuration meets a {goal} in all runs.")
        else:
            console.print(f"Cheapest that meets a {goal} in all runs: {best.configuration.name}", markup=False)


def _duration(seconds: float) -> str:
    if not 0 <= seconds < float("inf"):
        return "-"
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _as_json(trace: Trace, outcomes: Sequence[Outcome], best: Outcome | None) -> dict[str, Any]:
    return {
        "requests": len(trace),
        "hours": trace.seconds / 3600,
        "notes": list(trace.notes),
        "cheapest": best.configuration.name if best else None,
        "configurations": [
            {
                "name": outcome.configuration.name,
                "usd_per_month": str(outcome.bill.total),
                "usd_range": [str(amount) for amount in outcome.money],
                "usd_bounds": [str(amount) for amount in outcome.bounds] if outcome.bounds else None,
                "settled": outcome.bill.is_settled,
                "lines": [
                    {
                        "product": line.product,
                        "quantity": str(line.quantity),
                        "unit": line.unit,
                        "usd": str(line.amount),
                        "settled": line.settled,
                    }
                    for line in outcome.bill.lines
                ],
                **{f"wait_p{percent}_s": _finite(outcome.run.wait_percentile(percent)) for percent in (50, 95, 99)},
                "wait_p95_range_s": [_finite(value) for value in outcome.waits_p95],
                "latency_p95_s": _finite(outcome.run.latency_percentile(95)),
                "throttled_share": outcome.run.throttled_share,
                "cold_starts": outcome.run.cold_starts,
                "instance_hours": outcome.run.instance_s / 3600,
                "launches": outcome.run.launches,
                "instances": [list(change) for change in outcome.run.capacity],
                "assumptions": list(outcome.assumptions),
            }
            for outcome in outcomes
        ],
    }


def _finite(value: float) -> float | None:
    return value if 0 <= value < float("inf") else None
