"""The cost report: calls from the ledger, instance-hours, idle time, and Cost Explorer's figures beside them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from embedstack.aws.clients import create_client
from embedstack.costs.cost_explorer import BEDROCK, SAGEMAKER, Comparison, compare, read_bills
from embedstack.costs.cost_shares import IdlePolicy, divide_cost, spread_idle
from embedstack.costs.instance_hours import InstanceHours, price_hours, read_fleets, read_instance_hours
from embedstack.costs.money import to_dollars
from embedstack.costs.price_book import PriceBook
from embedstack.costs.records import Group, Total

if TYPE_CHECKING:
    from embedstack.costs.ledger import Ledger
    from embedstack.costs.periods import Period
    from embedstack.settings.settings import Settings

__all__ = ["METRICS_NAMESPACE", "UNTRACKED", "CostReport", "InstanceLine", "MetricsLine", "ReportRow", "make_report"]

#: CloudWatch's namespace of the metrics that this library publishes.
METRICS_NAMESPACE: Final = "EmbedStack"

#: What the report does not contain.
UNTRACKED: Final = (
    "volumes of the instances",
    "provisioned concurrency of serverless endpoints",
    "logs and alarms of CloudWatch",
    "S3, S3 Vectors, Aurora, Lambda and queues",
    "data transfer and taxes",
)

# The report divides the ledger's sums by these, whatever it is grouped by.
_BASE_GROUPS: Final[tuple[Group, ...]] = ("hour", "backend", "endpoint", "model")

_GroupKey = tuple[str | None, ...]


@dataclass(slots=True)
class ReportRow:
    """The calls of one group.

    Attributes:
        group: The value of each name that the report is grouped by.
        counts: The ledger's sums.
        instance_cost: US dollars of instance-hours that the calls took.
        is_estimate: A price of the row is not settled.
    """

    group: Mapping[str, str | None]
    counts: Total = field(default_factory=Total)
    instance_cost: Decimal = Decimal(0)
    is_estimate: bool = False

    @property
    def cost(self) -> Decimal:
        """US dollars, without unpriced calls."""
        return to_dollars(self.counts.cost) + self.instance_cost


@dataclass(frozen=True, slots=True)
class InstanceLine:
    """The instance-hours of a variant.

    Attributes:
        hours: The instance-hours with their price.
        attributed: US dollars that calls of the ledger took.
        idle: US dollars of the rest.
    """

    hours: InstanceHours
    attributed: Decimal
    idle: Decimal


@dataclass(frozen=True, slots=True)
class MetricsLine:
    """What this library's custom metrics cost.

    Attributes:
        metrics: Number of metrics, by name and dimension values.
        cost: US dollars; None if the price is unknown.
        is_estimate: The price is not settled.
    """

    metrics: int
    cost: Decimal | None
    is_estimate: bool


@dataclass(frozen=True, slots=True)
class CostReport:
    """What was spent in a period.

    Attributes:
        period: The range of time.
        made: When the report was made.
        region: Region of the prices.
        group_by: Names that the rows are grouped by.
        policy: Whether idle time is a line of its own or part of the rows.
        rows: The calls by group, most expensive first.
        instances: Instance-hours by endpoint and variant.
        metrics: The library's own metrics; None if they were not counted.
        comparisons: Cost Explorer's figures by day and service; empty if they were not read.
        daily: US dollars by day, of calls and instances.
        lost: Calls that the ledger lost.
        has_ledger: Whether a ledger was read.
    """

    period: "Period"
    made: datetime
    region: str
    group_by: Sequence[Group]
    policy: IdlePolicy
    rows: Sequence[ReportRow]
    instances: Sequence[InstanceLine]
    metrics: MetricsLine | None
    comparisons: Sequence[Comparison]
    daily: Mapping[date, Decimal]
    lost: int
    has_ledger: bool

    @property
    def idle(self) -> Decimal:
        """US dollars of idle instances that are not part of the rows."""
        return sum((line.idle for line in self.instances), Decimal(0))

    @property
    def total(self) -> Decimal:
        """US dollars, without what is unpriced or untracked."""
        own = self.metrics.cost if self.metrics is not None and self.metrics.cost is not None else Decimal(0)
        return sum((row.cost for row in self.rows), self.idle) + own

    @property
    def unpriced_calls(self) -> int:
        """Calls whose price is unknown."""
        return sum(row.counts.unpriced_calls for row in self.rows)

    @property
    def unpriced_instances(self) -> list[InstanceHours]:
        """Instance-hours whose price is unknown."""
        return [line.hours for line in self.instances if line.hours.price is None]

    @property
    def is_estimate(self) -> bool:
        """Whether a price of the report is not settled."""
        return (
            any(row.is_estimate for row in self.rows)
            or any(line.hours.is_estimate for line in self.instances)
            or (self.metrics is not None and self.metrics.is_estimate)
        )


def make_report(
    settings: "Settings",
    ledger: "Ledger | None",
    period: "Period",
    *,
    group_by: Sequence[Group] = ("endpoint", "model"),
    policy: IdlePolicy = "separate",
    endpoints: Sequence[str] | None = None,
    tag: tuple[str, str] | None = None,
    now: datetime | None = None,
) -> CostReport:
    """Read the ledger, CloudWatch and, with a tag, Cost Explorer.

    Args:
        settings: Region and address of AWS.
        ledger: The ledger of calls; None for a report of instance-hours only.
        period: The range of time.
        group_by: Names of :data:`~embedstack.costs.records.GROUPS`.
        policy: ``separate`` shows idle instances as lines of their own; ``spread`` adds them to the calls.
        endpoints: Names of the endpoints; None for all of the region.
        tag: Key and value of the project's cost allocation tag; None to leave Cost Explorer out.
        now: The time; None for the system's.

    Raises:
        ConfigurationError: A group is unknown, or no region is set.
        StoreUnavailable: The ledger cannot be read.
    """
    book = PriceBook.load(settings.costs_prices_file)
    now = now or datetime.now(UTC)
    region = settings.aws_region or create_client("cloudwatch", settings).meta.region_name
    fleets = read_fleets(settings, endpoints)
    hours = price_hours(fleets, read_instance_hours(settings, fleets, period), book, region, period)
    totals = []
    if ledger is not None:
        names = (*_BASE_GROUPS, *(name for name in group_by if name not in _BASE_GROUPS))
        totals = ledger.totals(period.start.timestamp(), period.end.timestamp(), names)
    division = _Division(totals, hours, group_by, book, region)
    comparisons: list[Comparison] = []
    if tag is not None:
        comparisons = compare(read_bills(settings, period, *tag), division.estimates, now)
    rows, instances = division.results(policy)
    return CostReport(
        period=period,
        made=now,
        region=region,
        group_by=group_by,
        policy=policy,
        rows=rows,
        instances=instances,
        metrics=_own_metrics(settings, book, region, period),
        comparisons=comparisons,
        daily=division.daily(period.dates),
        lost=ledger.lost() if ledger is not None else 0,
        has_ledger=ledger is not None,
    )


class _Division:
    """Divides instance-hours among the calls of each hour, and adds everything up."""

    def __init__(
        self, totals: Sequence[Total], hours: Sequence[InstanceHours], group_by: Sequence[Group],
        book: PriceBook, region: str,
    ) -> None:  # fmt: skip
        self._hours = hours
        self._rows: dict[_GroupKey, ReportRow] = {}
        #: US dollars by day and service of Cost Explorer.
        self.estimates: dict[tuple[date, str], Decimal] = defaultdict(Decimal)
        self._shares: dict[tuple[str, _GroupKey], Decimal] = defaultdict(Decimal)
        self._idle: dict[str, Decimal] = defaultdict(Decimal)
        self._settled = _SettledPrices(book, region)
        busy: dict[tuple[str, int], dict[_GroupKey, int]] = defaultdict(lambda: defaultdict(int))
        for total in totals:
            key = tuple(total.group[name] for name in group_by)
            row = self._rows.setdefault(key, ReportRow(dict(zip(group_by, key, strict=True))))
            row.counts.add(total)
            row.is_estimate |= bool(total.cost) and not self._settled.of(total)
            moment = datetime.fromisoformat(total.group["hour"] or "")
            self.estimates[moment.date(), _service(total.group["backend"])] += to_dollars(total.cost)
            if total.shared_calls:
                endpoint, hour = total.group["endpoint"] or "", int(moment.timestamp())
                busy[endpoint, hour][key] += total.microseconds
                if not any(line.fleet.endpoint == endpoint and line.price and hour in line.seconds for line in hours):
                    row.counts.unpriced_calls += total.shared_calls
        for endpoint in {line.fleet.endpoint for line in hours}:
            self._divide(endpoint, busy)

    def _divide(self, endpoint: str, busy: Mapping[tuple[str, int], Mapping[_GroupKey, int]]) -> None:
        lines = [line for line in self._hours if line.fleet.endpoint == endpoint]
        for hour in sorted({hour for line in lines for hour in line.seconds}):
            cost = sum((line.cost(hour) for line in lines), Decimal(0))
            seconds = sum(line.seconds.get(hour, 0) for line in lines)
            shares, idle = divide_cost(cost, seconds, busy.get((endpoint, hour), {}))
            for key, share in shares.items():
                self._shares[endpoint, key] += share
                self._rows[key].is_estimate |= any(line.is_estimate for line in lines)
            self._idle[endpoint] += idle
            self.estimates[datetime.fromtimestamp(hour, UTC).date(), SAGEMAKER] += cost

    def daily(self, days: Sequence[date]) -> dict[date, Decimal]:
        """US dollars by day."""
        sums = dict.fromkeys(days, Decimal(0))
        for (day, _), amount in self.estimates.items():
            sums[day] = sums.get(day, Decimal(0)) + amount
        return sums

    def results(self, policy: IdlePolicy) -> tuple[list[ReportRow], list[InstanceLine]]:
        """The rows and the instances. Idle time of an endpoint without calls cannot be spread, and stays a line."""
        instances = []
        for endpoint in sorted(self._idle):
            shares = {key: share for (name, key), share in self._shares.items() if name == endpoint}
            idle = self._idle[endpoint]
            if policy == "spread" and shares:
                shares, idle = spread_idle(shares, idle), Decimal(0)
            for key, share in shares.items():
                self._rows[key].instance_cost += share
            instances += self._lines(endpoint, idle)
        return sorted(self._rows.values(), key=lambda row: (-row.cost, str(row.group))), instances

    def _lines(self, endpoint: str, idle: Decimal) -> list[InstanceLine]:
        """The endpoint's variants, which share its idle cost by their cost."""
        lines = [line for line in self._hours if line.fleet.endpoint == endpoint]
        costs = [sum((line.cost(hour) for hour in line.seconds), Decimal(0)) for line in lines]
        whole = sum(costs, Decimal(0))
        shares = [idle * cost / whole if whole else Decimal(0) for cost in costs]
        return [
            InstanceLine(line, attributed=cost - share, idle=share)
            for line, cost, share in zip(lines, costs, shares, strict=True)
        ]


class _SettledPrices:
    """Whether the prices of a ledger's sums are settled."""

    def __init__(self, book: PriceBook, region: str) -> None:
        self._book = book
        self._region = region

    def of(self, total: Total) -> bool:
        backend, model = total.group["backend"] or "", total.group["model"]
        if backend == "bedrock":
            products = [f"bedrock/{model}/{unit}" for unit in ("input-tokens", "output-tokens", "query")]
        elif backend.startswith("sagemaker"):
            products = ["sagemaker/serverless/compute", "sagemaker/data-in", "sagemaker/data-out"]
        else:
            return True
        prices = [self._book.find(self._region, product) for product in products]
        return any(prices) and all(price.settled for price in prices if price is not None)


def _service(backend: str | None) -> str:
    return BEDROCK if backend == "bedrock" else SAGEMAKER if (backend or "").startswith("sagemaker") else "other"


def _own_metrics(settings: "Settings", book: PriceBook, region: str, period: "Period") -> MetricsLine:
    pages = create_client("cloudwatch", settings).get_paginator("list_metrics").paginate(Namespace=METRICS_NAMESPACE)
    metrics = sum(len(page["Metrics"]) for page in pages)
    price = book.find(region, "cloudwatch/metric")
    if price is None:
        return MetricsLine(metrics, None if metrics else Decimal(0), is_estimate=bool(metrics))
    return MetricsLine(
        metrics, price.amount * metrics * period.months(), is_estimate=bool(metrics and not price.settled)
    )
