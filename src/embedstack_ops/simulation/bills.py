"""What a simulated configuration costs, by the price book."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from embedstack.costs.price_book import PriceBook
from embedstack_ops.simulation.configurations import Bedrock, Configuration, Instances, Serverless
from embedstack_ops.simulation.service_times import ServiceProfile
from embedstack_ops.simulation.simulation import Run

__all__ = ["MONTH_HOURS", "Bill", "Line", "bill", "capacity_bounds"]

#: Hours of a month in forecasts.
MONTH_HOURS: Final = 730
_HOUR: Final = 3_600
_GIGABYTE: Final = 1_024**3


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a bill: a quantity in a month of 730 hours, and its price.

    Attributes:
        product: The price book's product.
        quantity: Quantity a month, in the price's unit.
        unit: The unit.
        price: US dollars per unit.
        settled: Whether two dated sources agree on the price.
    """

    product: str
    quantity: Decimal
    unit: str
    price: Decimal
    settled: bool

    @property
    def amount(self) -> Decimal:
        """US dollars a month."""
        return self.quantity * self.price


@dataclass(frozen=True, slots=True)
class Bill:
    """The bill of a month of 730 hours of traffic like the trace's."""

    lines: tuple[Line, ...]

    @property
    def total(self) -> Decimal:
        """US dollars a month."""
        return sum((line.amount for line in self.lines), Decimal(0))

    @property
    def is_settled(self) -> bool:
        """Whether all prices are settled."""
        return all(line.settled for line in self.lines)


def bill(configuration: Configuration, run: Run, profile: ServiceProfile, prices: PriceBook, region: str) -> Bill:
    """Price a simulation.

    The trace stands for the month: its quantities are multiplied by 730 hours divided by its length. An invoice counts
    the hours of its calendar month, 672 to 744.

    Args:
        configuration: The simulated configuration.
        run: The result.
        profile: The service profile, for the bytes of requests and responses.
        prices: The price book.
        region: AWS region.

    Raises:
        UnknownPrice: The book does not have one of the prices.
    """
    months = Decimal(MONTH_HOURS * _HOUR) / Decimal(str(run.length))
    lines: list[Line] = []

    def add(product: str, quantity: Decimal) -> None:
        if quantity:
            price = prices.price(region, product)
            lines.append(Line(product, quantity, price.unit, price.amount, price.settled))

    match configuration:
        case Serverless():
            gigabytes = Decimal(configuration.memory_mb) / 1024
            add("sagemaker/serverless/compute", Decimal(str(run.billed_s)) * gigabytes * months)
            seconds = MONTH_HOURS * _HOUR * configuration.provisioned
            add("sagemaker/serverless/provisioned-concurrency", seconds * gigabytes)
        case Instances():
            hours = Decimal(str(run.instance_s)) / _HOUR * months
            if configuration.hourly_price is None:
                product = f"sagemaker/{configuration.component}/{configuration.instance_type}"
                prices.price(region, product)  # an unknown instance type is an error without instance-hours, too
                add(product, hours)
            else:
                lines.append(Line(configuration.instance_type, hours, "hour", configuration.hourly_price, True))
            add("sagemaker/volume", hours / MONTH_HOURS * (configuration.volume_gb or 0))
        case Bedrock():
            add(f"bedrock/{configuration.model}/input-tokens", Decimal(run.tokens) / 1_000_000 * months)
    is_sagemaker = not isinstance(configuration, Bedrock) and getattr(configuration, "hourly_price", None) is None
    if is_sagemaker:
        for product, size in (("data-in", profile.request_bytes), ("data-out", profile.response_bytes)):
            add(f"sagemaker/{product}", Decimal(run.served * (size or 0)) / _GIGABYTE * months)
    return Bill(tuple(lines))


def capacity_bounds(configuration: Instances, prices: PriceBook, region: str) -> tuple[Decimal, Decimal]:
    """US dollars a month with the smallest and with the largest capacity all the time, without schedules.

    Raises:
        UnknownPrice: The book does not have the price.
    """
    hourly = configuration.hourly_price
    if hourly is None:
        hourly = prices.price(region, f"sagemaker/{configuration.component}/{configuration.instance_type}").amount
    return hourly * MONTH_HOURS * configuration.minimum, hourly * MONTH_HOURS * configuration.maximum
