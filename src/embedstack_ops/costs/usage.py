"""The usage that a plan is priced with, since a plan alone does not tell how much is requested."""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from decimal import Decimal, InvalidOperation

from embedstack.errors import ConfigurationError

__all__ = ["Usage", "parse_usage"]


@dataclass(frozen=True, slots=True)
class Usage:
    """Usage of a month.

    Attributes:
        requests: Requests to each endpoint.
        request_ms: Processing time of a request on a serverless endpoint, in milliseconds.
        request_kb: Size of a request in KB.
        response_kb: Size of a response in KB.
        invocations: Invocations of each Lambda function.
        invocation_ms: Billed duration of an invocation in milliseconds.
        vectors: Vectors in the S3 Vectors index.
        vector_kb: Size of a vector with all its metadata and its key, in KB.
        queries: Queries of that index.
        log_gb: Ingested logs of all log groups together, in GB.
        metric_dimensions: Combinations of dimension values of each CloudWatch metric of the client, for each endpoint.
    """

    requests: Decimal = Decimal(0)
    request_ms: Decimal = Decimal(100)
    request_kb: Decimal = Decimal(1)
    response_kb: Decimal = Decimal(8)
    invocations: Decimal = Decimal(0)
    invocation_ms: Decimal = Decimal(1000)
    vectors: Decimal = Decimal(0)
    vector_kb: Decimal = Decimal("2.5")
    queries: Decimal = Decimal(0)
    log_gb: Decimal = Decimal(0)
    metric_dimensions: Decimal = Decimal(4)


_NAMES = tuple(each.name for each in fields(Usage))


def parse_usage(items: Iterable[str]) -> Usage:
    """Parse ``name=number`` items.

    Raises:
        ConfigurationError: A name is unknown, or a number is negative or not a number.
    """
    values: dict[str, Decimal] = {}
    for item in items:
        name, _, text = item.partition("=")
        if name not in _NAMES:
            raise ConfigurationError(f"Unknown usage {name!r} in {item!r}. Known names: {', '.join(_NAMES)}.")
        try:
            values[name] = Decimal(text)
        except InvalidOperation:
            raise ConfigurationError(f"{item!r} has no number. Write {name}=1000000.") from None
        if not values[name].is_finite() or values[name] < 0:
            raise ConfigurationError(f"{item!r} is not possible. Write a number of 0 or more.")
    return replace(Usage(), **values)
