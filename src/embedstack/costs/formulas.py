"""What usage costs, per service, at the prices of a book.

Amounts are exact US dollars. KB, GB and TB are powers of 1,024, as in the worked examples on AWS's pricing pages. Free
tiers are arguments and 0 by default, because they belong to an account and not to a workload.
"""

import calendar
import math
from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from embedstack.costs.price_book import PriceBook

__all__ = [
    "FORECAST_HOURS",
    "FREE_TRANSFER_GB",
    "GB",
    "KB",
    "PUT_MINIMUM_BYTES",
    "TB",
    "Amount",
    "aurora_capacity",
    "aurora_storage",
    "bedrock_queries",
    "bedrock_tokens",
    "billed_milliseconds",
    "cloudwatch",
    "exact",
    "instance_hours",
    "lambda_ephemeral_storage",
    "lambda_invocations",
    "lambda_provisioned_concurrency",
    "month_hours",
    "put_bytes",
    "s3_requests",
    "s3vectors_put",
    "s3vectors_queries",
    "s3vectors_storage",
    "sagemaker_data",
    "serverless_compute",
    "serverless_provisioned_concurrency",
    "sqs_requests",
    "transfer_out",
    "volume",
]

Amount = Decimal | int | float

KB: Final = 1024
GB: Final = 1024**3
TB: Final = 1024**4
#: Hours of a month in a forecast, a twelfth of 365 days. A ledger uses the calendar's, :func:`month_hours`.
FORECAST_HOURS: Final = 730
#: A PutVectors request is charged for at least this many bytes.
PUT_MINIMUM_BYTES: Final = 128 * KB
#: GB that may leave AWS each month free of charge, over all services and regions.
FREE_TRANSFER_GB: Final = 100

#: Vectors of an index up to which the higher price of S3 Vectors' queries applies.
_FIRST_TIER_VECTORS = 100_000
#: Ephemeral storage that every Lambda function has, in MB.
_FREE_EPHEMERAL_MB = 512
#: Provisioned concurrency of Lambda is charged in steps of five minutes.
_PROVISIONED_STEP_SECONDS = 300
#: Ends of the tiers of data transfer in GB, and their products.
_TRANSFER_TIERS = (
    (10 * 1024, "transfer/out-first"),
    (50 * 1024, "transfer/out-second"),
    (150 * 1024, "transfer/out-third"),
    (None, "transfer/out-beyond"),
)
_MILLION = 1_000_000


def exact(amount: Amount) -> Decimal:
    """A number as a decimal; a float by the digits that it prints."""
    return Decimal(repr(amount)) if isinstance(amount, float) else Decimal(amount)


def month_hours(year: int, month: int) -> int:
    """Hours of a calendar month in UTC: 672, 696, 720 or 744."""
    return 24 * calendar.monthrange(year, month)[1]


def billed_milliseconds(durations: Iterable[float], *, round_up: bool = True) -> Decimal:
    """Milliseconds that are billed for requests of these durations in milliseconds.

    AWS bills by the millisecond. Whether SageMaker rounds each request up is not documented; Lambda does.
    """
    return sum((exact(math.ceil(each) if round_up else each) for each in durations), Decimal(0))


def instance_hours(
    book: PriceBook, region: str, instance_type: str, hours: Amount, *, component: str = "hosting"
) -> Decimal:
    """Instances of SageMaker.

    Args:
        book: The prices.
        region: The region.
        instance_type: Such as ``ml.m5.xlarge``.
        hours: Hours of all instances together.
        component: ``hosting``, ``async``, ``transform``, ``training``, ``notebook`` or ``studio``.
    """
    return exact(hours) * book.price(region, f"sagemaker/{component}/{instance_type}").amount


def volume(book: PriceBook, region: str, gigabytes: Amount, months: Amount) -> Decimal:
    """Volumes of SageMaker's instances, in GB, for a share of a month or several."""
    return exact(gigabytes) * exact(months) * book.price(region, "sagemaker/volume").amount


def serverless_compute(book: PriceBook, region: str, memory_mb: int, milliseconds: Amount) -> Decimal:
    """Processing time of a serverless endpoint."""
    return _gb_seconds(memory_mb, milliseconds) * book.price(region, "sagemaker/serverless/compute").amount


def serverless_provisioned_concurrency(
    book: PriceBook, region: str, memory_mb: int, concurrency: int, seconds: Amount
) -> Decimal:
    """Concurrency of a serverless endpoint that is kept ready."""
    price = book.price(region, "sagemaker/serverless/provisioned-concurrency").amount
    return _gb_seconds(memory_mb, exact(seconds) * 1000) * concurrency * price


def sagemaker_data(book: PriceBook, region: str, bytes_in: Amount, bytes_out: Amount) -> Decimal:
    """Request and response bodies of an endpoint."""
    in_price = book.price(region, "sagemaker/data-in").amount
    out_price = book.price(region, "sagemaker/data-out").amount
    return (exact(bytes_in) * in_price + exact(bytes_out) * out_price) / GB


def bedrock_tokens(
    book: PriceBook, region: str, model: str, tokens: int, *, output_tokens: int = 0, is_batch: bool = False
) -> Decimal:
    """Tokens of a Bedrock model, by its id or that of an inference profile."""
    prefix = "batch-" if is_batch else ""
    dollars = Decimal(tokens) * book.price(region, f"bedrock/{model}/{prefix}input-tokens").amount
    if output_tokens:
        dollars += output_tokens * book.price(region, f"bedrock/{model}/{prefix}output-tokens").amount
    return dollars / _MILLION


def bedrock_queries(book: PriceBook, region: str, model: str, queries: int) -> Decimal:
    """Queries of a Bedrock reranker."""
    return queries * book.price(region, f"bedrock/{model}/query").amount


def s3vectors_storage(book: PriceBook, region: str, size: Amount, months: Amount = 1) -> Decimal:
    """Stored bytes of vectors, all their metadata and keys."""
    return exact(size) / GB * exact(months) * book.price(region, "s3vectors/storage").amount


def put_bytes(vectors: int, vector_bytes: Amount, vectors_per_request: int) -> Decimal:
    """Bytes that are billed for writing vectors of one size: each request counts as 128 KB at least.

    Args:
        vectors: Number of vectors.
        vector_bytes: Bytes of one, with all its metadata and its key.
        vectors_per_request: Vectors of a PutVectors request.
    """
    full, rest = divmod(vectors, vectors_per_request)
    each = exact(vector_bytes)
    return full * max(each * vectors_per_request, Decimal(PUT_MINIMUM_BYTES)) + (
        max(each * rest, Decimal(PUT_MINIMUM_BYTES)) if rest else 0
    )


def s3vectors_put(book: PriceBook, region: str, billed_bytes: Amount) -> Decimal:
    """Written bytes, as :func:`put_bytes` counts them."""
    return exact(billed_bytes) / GB * book.price(region, "s3vectors/put").amount


def s3vectors_queries(
    book: PriceBook, region: str, queries: int, vectors_in_index: int, compared_bytes: Amount
) -> Decimal:
    """Queries of an index.

    Args:
        book: The prices.
        region: The region.
        queries: Number of queries.
        vectors_in_index: Vectors of the index, all of which a query compares.
        compared_bytes: Bytes of one vector with its key and filterable metadata; other metadata does not count.
    """
    first = min(vectors_in_index, _FIRST_TIER_VECTORS)
    processed = (
        first * book.price(region, "s3vectors/processed-first").amount
        + (vectors_in_index - first) * book.price(region, "s3vectors/processed-beyond").amount
    )
    requests = Decimal(queries) / _MILLION * book.price(region, "s3vectors/query").amount
    return queries * processed * exact(compared_bytes) / TB + requests


def lambda_invocations(
    book: PriceBook,
    region: str,
    requests: int,
    milliseconds: Amount,
    memory_mb: int,
    *,
    is_arm: bool = False,
    is_provisioned: bool = False,
    free: tuple[int, int] = (0, 0),
) -> Decimal:
    """Requests and duration of a Lambda function.

    Args:
        book: The prices.
        region: The region.
        requests: Number of invocations.
        milliseconds: Billed duration of each in milliseconds.
        memory_mb: Memory of the function.
        is_arm: Whether it runs on arm64.
        is_provisioned: Whether the invocations run on provisioned concurrency, whose duration has no free tier.
        free: Requests and GB-seconds that are still free this month; AWS gives an account (1_000_000, 400_000).
    """
    free_requests, free_gb_seconds = free
    architecture = "-arm64" if is_arm else ""
    product = "lambda/provisioned-compute" if is_provisioned else f"lambda/compute{architecture}"
    gb_seconds = _gb_seconds(memory_mb, exact(milliseconds) * requests)
    billed = gb_seconds if is_provisioned else max(gb_seconds - free_gb_seconds, Decimal(0))
    billed_requests = Decimal(max(requests - free_requests, 0)) / _MILLION
    return billed * book.price(region, product).amount + billed_requests * book.price(region, "lambda/requests").amount


def lambda_ephemeral_storage(
    book: PriceBook, region: str, requests: int, milliseconds: Amount, storage_mb: int
) -> Decimal:
    """Ephemeral storage of a Lambda function beyond 512 MB, for the duration of its invocations."""
    beyond = max(storage_mb - _FREE_EPHEMERAL_MB, 0)
    if not beyond:
        return Decimal(0)
    price = book.price(region, "lambda/ephemeral-storage").amount
    return _gb_seconds(beyond, exact(milliseconds) * requests) * price


def lambda_provisioned_concurrency(
    book: PriceBook, region: str, memory_mb: int, concurrency: int, seconds: Amount
) -> Decimal:
    """Concurrency of a Lambda function that is kept ready, from enabling to disabling: in steps of five minutes."""
    steps = math.ceil(exact(seconds) / _PROVISIONED_STEP_SECONDS)
    billed = _gb_seconds(memory_mb, steps * _PROVISIONED_STEP_SECONDS * 1000) * concurrency
    return billed * book.price(region, "lambda/provisioned-concurrency").amount


def aurora_capacity(book: PriceBook, region: str, capacity_hours: Amount) -> Decimal:
    """ACU-hours of Aurora Serverless v2; none while it is paused."""
    return exact(capacity_hours) * book.price(region, "aurora/acu").amount


def aurora_storage(book: PriceBook, region: str, gigabytes: Amount, *, io_requests: int = 0) -> Decimal:
    """Storage of Aurora for a month, and I/O requests."""
    dollars = exact(gigabytes) * book.price(region, "aurora/storage").amount
    if io_requests:
        dollars += Decimal(io_requests) / _MILLION * book.price(region, "aurora/io").amount
    return dollars


def cloudwatch(
    book: PriceBook,
    region: str,
    *,
    metrics: Amount = 0,
    alarms: Amount = 0,
    dashboards: Amount = 0,
    log_bytes: Amount = 0,
    metrics_read: int = 0,
    put_requests: int = 0,
) -> Decimal:
    """CloudWatch, for a month.

    Args:
        book: The prices.
        region: The region.
        metrics: Custom metrics; each combination of dimension values is one.
        alarms: Alarms on standard-resolution metrics.
        dashboards: Dashboards.
        log_bytes: Ingested bytes of logs.
        metrics_read: Metrics that GetMetricData returns, as dashboards of third parties request them.
        put_requests: PutMetricData requests.
    """
    usage = {
        "cloudwatch/metric": exact(metrics),
        "cloudwatch/alarm": exact(alarms),
        "cloudwatch/dashboard": exact(dashboards),
        "cloudwatch/logs": exact(log_bytes) / GB,
        "cloudwatch/get-metric-data": Decimal(metrics_read) / 1000,
        "cloudwatch/put-metric-data": Decimal(put_requests) / 1000,
    }
    # An unknown price only matters if there is usage.
    return sum((count * book.price(region, product).amount for product, count in usage.items() if count), Decimal(0))


def transfer_out(book: PriceBook, region: str, gigabytes: Amount, *, free_gb: Amount = FREE_TRANSFER_GB) -> Decimal:
    """Data that leaves AWS in a month.

    AWS does not say whether the free GB count toward the first tier; here they do, which is the lower amount.
    """
    rest = exact(gigabytes)
    dollars, start = Decimal(0), exact(free_gb)
    for end, product in _TRANSFER_TIERS:
        last = rest if end is None else min(rest, Decimal(end))
        if last > start:
            dollars += (last - start) * book.price(region, product).amount
            start = last
    return dollars


def sqs_requests(book: PriceBook, region: str, requests: Amount) -> Decimal:
    """Requests to a standard queue, with messages of up to 64 KB."""
    return exact(requests) / _MILLION * book.price(region, "sqs/requests").amount


def s3_requests(book: PriceBook, region: str, *, puts: Amount = 0, gets: Amount = 0) -> Decimal:
    """Requests to S3 Standard."""
    put_price = book.price(region, "s3/put-requests").amount
    get_price = book.price(region, "s3/get-requests").amount
    return (exact(puts) * put_price + exact(gets) * get_price) / 1000


def _gb_seconds(memory_mb: int, milliseconds: Amount) -> Decimal:
    return Decimal(memory_mb) / 1024 * exact(milliseconds) / 1000
