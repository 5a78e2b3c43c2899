"""What BGE-M3 costs a month, and how long requests wait: GPU instances, serverless, Bedrock, and a rented machine.

Simulates a week of traffic at several rates. Writes the figure, and prints the table, of docs/guides/simulate-costs.md.
The service times are assumptions, stated in PROFILES: measure yours and change them.

usage: .venv/bin/python benchmarks/simulation_costs.py [--svg docs/images/simulated-costs.svg]
"""

import argparse
import math
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path

import svg

from embedstack.costs.price_book import PriceBook
from embedstack_ops.simulation.comparison import Outcome, compare
from embedstack_ops.simulation.configurations import (
    Bedrock,
    Configuration,
    Instances,
    Serverless,
    backlog_policy,
    invocations_tracking,
)
from embedstack_ops.simulation.generated_traffic import Tokens, Traffic, generate
from embedstack_ops.simulation.service_times import Range, ServiceProfile

REGION = "us-east-1"
RATES = (0.01, 0.1, 1, 5, 17)
TOKENS = 250
TRACKING = invocations_tracking(600)
WAKE = backlog_policy(300, metric="no_capacity_failures", periods=1)
STARTS = Range(346, 564)
GPU = "ml.g5.xlarge"
#: Each configuration with assumed service times of a request of 250 tokens.
OPTIONS: Sequence[tuple[Configuration, ServiceProfile]] = (
    (
        Instances("GPU, 1 to 5 instances", GPU, maximum=5, concurrency=4, tracking=(TRACKING,)),
        ServiceProfile(0.030, instance_start_s=STARTS),
    ),
    (
        Instances(
            "GPU, 0 to 5 instances", GPU, minimum=0, maximum=5, concurrency=4, tracking=(TRACKING,), steps=(WAKE,),
            release_s=720, publishes_zero=True,
        ),
        ServiceProfile(0.030, instance_start_s=STARTS),
    ),
    (
        Serverless("Serverless, 6 GB", memory_mb=6144, max_concurrency=50),
        ServiceProfile(2.0, cold_start_s=Range(10, 60)),
    ),
    (Bedrock("Bedrock, Titan v2", "amazon.titan-embed-text-v2:0"), ServiceProfile(0.100)),
    (
        Instances("Self-hosted GPU", "rented machine", concurrency=4, hourly_price=Decimal("0.50")),
        ServiceProfile(0.030),
    ),
)  # fmt: skip
COLOURS = ("#2563eb", "#0891b2", "#f59e0b", "#16a34a", "#7c3aed")
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 960, 440, 80, 720, 50, 370


def main() -> None:
    """Simulate, write the figure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--svg", type=Path)
    arguments = parser.parse_args()
    prices = PriceBook.load()
    rows: dict[str, list[Outcome]] = {configuration.name: [] for configuration, _ in OPTIONS}
    for rate in RATES:
        trace = generate(Traffic(rate, days=7, tokens=Tokens(TOKENS)), seed=1)
        for configuration, profile in OPTIONS:
            rows[configuration.name] += compare([configuration], trace, profile, prices, REGION, seeds=(1,))
    print(f"| Requests a month | {' | '.join(rows)} |")
    print("|---|" + "---|" * len(rows))
    for index, rate in enumerate(RATES):
        cells = [_cell(outcomes[index]) for outcomes in rows.values()]
        print(f"| {_requests(rate)} | {' | '.join(cells)} |")
    if arguments.svg:
        label = "US dollars a month by requests a month, for five ways to serve BGE-M3 or Titan v2"
        arguments.svg.write_text(svg.document(WIDTH, HEIGHT, label, _figure(rows)), encoding="utf-8")


def _monthly(rate: float) -> float:
    return rate * 0.8 * 730 * 3_600  # the weekend has 0.3 of a weekday's rate


def _requests(rate: float) -> str:
    return f"{float(f'{_monthly(rate):.2g}'):,.0f}"


def _cell(outcome: Outcome) -> str:
    low, high = (float(amount) for amount in outcome.money)
    money = f"${_money(low)}" if _money(low) == _money(high) else f"${_money(low)} to {_money(high)}"
    wait = outcome.waits_p95[1]
    words = [money, "no request served" if math.isinf(wait) else f"p95 wait {_seconds(wait)}"]
    if outcome.throttled[1] >= 0.0005:
        words.append(f"{100 * outcome.throttled[1]:.1f} % fail")
    return ", ".join(words)


def _money(amount: float) -> str:
    return f"{amount:,.0f}" if amount >= 10 else f"{amount:.2f}"


def _seconds(wait: float) -> str:
    return f"{1000 * wait:.0f} ms" if wait < 1 else f"{wait:.0f} s"


def _figure(rows: dict[str, list[Outcome]]) -> Iterator[str]:
    requests = [math.log10(_monthly(rate)) for rate in RATES]

    def x(power: float) -> float:
        return LEFT + (RIGHT - LEFT) * (power - requests[0]) / (requests[-1] - requests[0])

    def y(power: float) -> float:
        return BOTTOM - (BOTTOM - TOP) * (power + 1) / 5

    yield svg.text(LEFT, 28, "US dollars a month, by requests of 250 tokens a month", size=16, weight=600)
    for exponent in range(-1, 5):
        yield f'<path d="M{LEFT} {y(exponent):.1f}H{RIGHT}" stroke="{svg.GRID}"/>'
        yield svg.text(LEFT - 8, y(exponent) + 4, f"${10.0**exponent:,g}", anchor="end")
    for rate, power in zip(RATES, requests, strict=True):
        yield svg.text(x(power), BOTTOM + 22, _requests(rate), anchor="middle", size=12)
    labels = []
    for (name, outcomes), colour in zip(rows.items(), COLOURS, strict=True):
        amounts = [math.log10(max(float(outcome.bill.total), 0.1)) for outcome in outcomes]
        yield svg.line([(x(power), y(amount)) for power, amount in zip(requests, amounts, strict=True)], colour)
        labels.append((y(amounts[-1]) + 4, f"{name}: ${_money(float(outcomes[-1].bill.total))}", colour))
    height: float = -math.inf
    for wished, content, colour in sorted(labels):
        height = max(wished, height + 17.0)
        yield svg.text(RIGHT + 10, height, content, fill=colour, size=12)
    yield svg.text(
        LEFT, HEIGHT - 16, "Simulated weeks; service times are assumptions (benchmarks/simulation_costs.py)", size=12
    )


if __name__ == "__main__":
    main()
