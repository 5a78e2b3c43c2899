"""AWS's own figures: Cost Explorer, beside the ledger's estimate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal

from embedstack.aws.clients import create_client
from embedstack.costs.periods import Period

if TYPE_CHECKING:
    from embedstack.settings.settings import Settings

__all__ = ["BEDROCK", "SAGEMAKER", "SERVICES", "Bill", "Comparison", "Verdict", "compare", "read_bills"]

#: AWS's names of the services in Cost Explorer.
SAGEMAKER: Final = "Amazon SageMaker"
BEDROCK: Final = "Amazon Bedrock"
SERVICES: Final = (SAGEMAKER, BEDROCK)

#: Cost Explorer completes a day only later. Before, a difference means nothing.
SETTLING_HOURS: Final = 48
# Differences below both are rounding.
_TOLERATED_SHARE = Decimal("0.05")
_TOLERATED_USD = Decimal("0.01")

Verdict = Literal["incomplete", "too early", "agrees", "differs"]


@dataclass(slots=True)
class Bill:
    """What Cost Explorer has for a service on a day.

    Attributes:
        day: The day, in UTC.
        service: AWS's name of the service.
        tagged: US dollars with the project's tag.
        untagged: US dollars without a value of the tag. Calls of Bedrock without an inference profile cannot have one.
        usage: US dollars by usage type, with any tag.
    """

    day: date
    service: str
    tagged: Decimal = Decimal(0)
    untagged: Decimal = Decimal(0)
    usage: dict[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The estimate and AWS's figure of a service on a day.

    Attributes:
        day: The day, in UTC.
        service: AWS's name of the service.
        estimate: US dollars by the ledger and the instance-hours.
        billed: US dollars by Cost Explorer: of SageMaker those with the project's tag, of Bedrock those of all usage
            types.
        untagged: US dollars without a tag.
        usage: US dollars by usage type.
        verdict: ``incomplete`` today, ``too early`` until 48 hours after the day; then ``agrees`` or ``differs``.
    """

    day: date
    service: str
    estimate: Decimal
    billed: Decimal
    untagged: Decimal
    usage: Mapping[str, Decimal]
    verdict: Verdict

    @property
    def difference(self) -> Decimal:
        """AWS's figure minus the estimate, in US dollars."""
        return self.billed - self.estimate


def read_bills(settings: "Settings", period: Period, tag: str, value: str) -> list[Bill]:
    """Daily costs from Cost Explorer. Each of its requests costs 0.01 US dollars; there is one per service and page.

    Args:
        settings: Region and address of AWS.
        period: The days.
        tag: Key of a cost allocation tag that has been activated.
        value: Its value.
    """
    # Cost Explorer's address is in us-east-1, whatever the region.
    client = create_client("ce", settings)
    return [bill for service in SERVICES for bill in _read_service(client, period, service, tag, value)]


def _read_service(client: Any, period: Period, service: str, tag: str, value: str) -> list[Bill]:
    dates = period.dates
    request: dict[str, Any] = {
        "TimePeriod": {"Start": dates[0].isoformat(), "End": (dates[-1] + timedelta(days=1)).isoformat()},
        "Granularity": "DAILY",
        "Metrics": ["UnblendedCost"],
        "Filter": {"Dimensions": {"Key": "SERVICE", "Values": [service]}},
        "GroupBy": [{"Type": "TAG", "Key": tag}, {"Type": "DIMENSION", "Key": "USAGE_TYPE"}],
    }
    bills = {day: Bill(day, service) for day in dates}
    while True:
        response = client.get_cost_and_usage(**request)
        for result in response["ResultsByTime"]:
            bill = bills[date.fromisoformat(result["TimePeriod"]["Start"])]
            for group in result["Groups"]:
                _add(bill, group, f"{tag}${value}", f"{tag}$")
        if not response.get("NextPageToken"):
            return list(bills.values())
        request["NextPageToken"] = response["NextPageToken"]


def _add(bill: Bill, group: Mapping[str, Any], tagged: str, untagged: str) -> None:
    amount = Decimal(group["Metrics"]["UnblendedCost"]["Amount"])
    label, usage_type = group["Keys"]
    if label == tagged:
        bill.tagged += amount
    elif label == untagged:
        bill.untagged += amount
    bill.usage[usage_type] = bill.usage.get(usage_type, Decimal(0)) + amount


def compare(bills: Sequence[Bill], estimates: Mapping[tuple[date, str], Decimal], now: datetime) -> list[Comparison]:
    """Compare bills with estimates.

    Args:
        bills: The result of :func:`read_bills`.
        estimates: US dollars by day and service.
        now: The time, with a time zone.
    """
    return [
        Comparison(
            day=bill.day,
            service=bill.service,
            estimate=estimates.get((bill.day, bill.service), Decimal(0)),
            billed=(billed := _billed(bill)),
            untagged=bill.untagged,
            usage=bill.usage,
            verdict=_verdict(bill.day, billed, estimates.get((bill.day, bill.service), Decimal(0)), now),
        )
        for bill in sorted(bills, key=lambda bill: (bill.day, bill.service))
    ]


def _billed(bill: Bill) -> Decimal:
    # InvokeModel without an application inference profile cannot be tagged, so that a tag would miss it.
    return sum(bill.usage.values(), Decimal(0)) if bill.service == BEDROCK else bill.tagged


def _verdict(day: date, billed: Decimal, estimate: Decimal, now: datetime) -> Verdict:
    end = Period.days(day, day).end
    if now < end:
        return "incomplete"
    if now < end + timedelta(hours=SETTLING_HOURS):
        return "too early"
    difference = abs(billed - estimate)
    agrees = difference <= _TOLERATED_USD or difference <= _TOLERATED_SHARE * max(billed, estimate)
    return "agrees" if agrees else "differs"
