"""The recommendations for endpoints and Bedrock models."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, tzinfo
from decimal import Decimal
from typing import Literal

from embedstack.costs.formulas import FORECAST_HOURS, serverless_compute
from embedstack.costs.money import format_dollars, to_dollars
from embedstack.costs.price_book import PriceBook
from embedstack.errors import UnknownPrice
from embedstack_ops.costs.advice.activity import Activity
from embedstack_ops.costs.advice.async_scaling import drain_backlog
from embedstack_ops.costs.advice.off_hours import DAYS_NEEDED, idle_share, key_of, quiet_window, schedules_hcl
from embedstack_ops.costs.plan import Endpoint, Variant

__all__ = ["Advice", "Outcome", "advise_endpoint", "advise_usage"]

#: ``change``: the bill becomes smaller; ``keep``: the configuration is right; ``fix``: it does not work as intended;
#: ``unknown``: there is not enough data.
Outcome = Literal["change", "keep", "fix", "unknown"]

# Days of activity that a comparison of costs needs.
_DAYS = 3
_MONTH_DAYS = Decimal(365) / 12
# Memory of a serverless endpoint that an instance is compared with, if no other is configured.
_COMPARED_MEMORY_MB = 2048
# A change that saves less than this share is not worth it.
_MIN_SHARE = Decimal("0.1")
_IDLE_SHARE = 0.4
_HALF = Decimal("0.5")
# Capacity stays for about a quarter of an hour after the last request, and takes ten minutes to start.
_WAKE_OVERHEAD = Decimal("0.8")
_DOCUMENTS_OF_A_QUERY = 100


@dataclass(frozen=True, slots=True)
class Advice:
    """One recommendation.

    Attributes:
        endpoint: Name of the endpoint, or id of the Bedrock model.
        subject: What it is about, such as ``off-hours schedule``.
        outcome: Whether to change something.
        text: What to do, or why nothing is recommended.
        figures: The figures that led to it.
        saving: Saving of a month in US dollars; None if it is unknown.
        hcl: Terraform to paste; None if nothing is to be pasted.
    """

    endpoint: str
    subject: str
    outcome: Outcome
    text: str
    figures: tuple[str, ...] = ()
    saving: Decimal | None = None
    hcl: str | None = None


def advise_endpoint(
    endpoint: Endpoint, activity: Activity | None, book: PriceBook, *, timezone: str = "UTC", zone: tzinfo = UTC
) -> list[Advice]:
    """The recommendations for an endpoint.

    Args:
        endpoint: Its configuration, from a Terraform plan or state.
        activity: What it did; None if there is no metric and no record of it.
        book: The prices.
        timezone: IANA name of the time zone of schedules.
        zone: The same time zone.
    """
    advice = [*_scaling_faults(endpoint)]
    if activity is None or activity.days < _DAYS:
        days = 0 if activity is None else activity.days
        text = (
            f"Not enough data: {days:.1f} days of requests, and {_DAYS} are needed. No metric and no record is not the "
            "same as no request: check the endpoint's status and age before you call it idle."
        )
        return [*advice, Advice(endpoint.name, "usage", "unknown", text)]
    for variant in endpoint.variants:
        try:
            if variant.serverless is not None:
                advice += _serverless(endpoint, variant, activity, book)
            elif variant.instance_types:
                advice += _instances(endpoint, variant, activity, book, timezone, zone)
        except UnknownPrice as error:
            advice.append(Advice(endpoint.name, "price", "unknown", str(error)))
    return advice


def advise_usage(activities: Iterable[Activity], batch_size: int) -> list[Advice]:
    """The recommendations that need no configuration: batches and caches.

    Args:
        activities: Those of the ledger, since CloudWatch counts neither texts nor cache hits.
        batch_size: Texts per request, at most.
    """
    return [each for activity in activities for each in (*_batches(activity, batch_size), _cache(activity))]


def _scaling_faults(endpoint: Endpoint) -> Iterator[Advice]:
    for variant in endpoint.variants:
        for policy in variant.scaling.tracking if variant.scaling else ():
            if endpoint.kind == "async" and "InvocationsPerInstance" in policy.metric:
                yield Advice(
                    endpoint.name,
                    "scaling policy",
                    "fix",
                    "The policy never acts: an asynchronous endpoint does not publish InvocationsPerInstance. Track "
                    "ApproximateBacklogSizePerInstance instead, and wake from zero on HasBacklogWithoutCapacity.",
                    (f"metric {policy.metric}", f"target {policy.target:g}"),
                )


def _instances(
    endpoint: Endpoint, variant: Variant, activity: Activity, book: PriceBook, timezone: str, zone: tzinfo
) -> Iterator[Advice]:
    component = "async" if endpoint.kind == "async" else "hosting"
    hourly = book.price(endpoint.region, f"sagemaker/{component}/{variant.instance_types[0]}").amount
    scaling = variant.scaling
    lowest = scaling.min if scaling else variant.initial_count
    maximum = scaling.max if scaling else variant.initial_count
    price = f"{variant.instance_types[0]} costs ${hourly} an hour"
    if endpoint.kind == "realtime":
        yield _break_even(endpoint, activity, book, monthly=hourly * FORECAST_HOURS * lowest, price=price)
        yield _scale_to_zero(endpoint, activity, hourly * lowest, price)
    elif endpoint.kind == "async":
        yield _async_scale_out(endpoint, variant, activity, maximum, hourly)
    floor = 1 if endpoint.kind == "realtime" else 0
    if lowest <= floor:
        return
    if activity.days < DAYS_NEEDED:
        text = f"Not enough data: {activity.days:.1f} days of requests, and {DAYS_NEEDED} are needed."
        yield Advice(endpoint.name, "off-hours schedule", "unknown", text)
        return
    window = quiet_window(activity, zone)
    if window is None:
        text = "Keep the capacity: there are no four hours of a day without requests."
        yield Advice(endpoint.name, "off-hours schedule", "keep", text)
        return
    key = key_of(endpoint.address)
    saving = hourly * (lowest - floor) * FORECAST_HOURS * window.hours_per_week / 168
    yield Advice(
        endpoint.name,
        "off-hours schedule",
        "change",
        f"Lower the smallest capacity from {lowest} to {floor} from {window}.",
        (f"no request in {window.hours_per_week} of 168 hours of a week, over {activity.days:.0f} days", price),
        saving,
        schedules_hcl(key, window, timezone, low=floor, usual=lowest, maximum=max(maximum, lowest)),
    )


def _break_even(endpoint: Endpoint, activity: Activity, book: PriceBook, *, monthly: Decimal, price: str) -> Advice:
    total = activity.total
    monthly_requests = Decimal(total.requests) / Decimal(activity.days) * _MONTH_DAYS
    mean_ms = Decimal(total.milliseconds) / max(total.requests, 1)
    each = serverless_compute(book, endpoint.region, _COMPARED_MEMORY_MB, mean_ms)
    serverless = each * monthly_requests
    break_even = f"{monthly / each:,.0f}" if each else "unlimited"
    figures = (
        f"{monthly_requests:,.0f} requests a month of {mean_ms:.0f} ms",
        f"instances: ${format_dollars(monthly)} a month ({price})",
        f"serverless with {_COMPARED_MEMORY_MB} MB at the same duration: ${format_dollars(serverless)} a month",
        f"break-even at {break_even} requests a month",
    )
    if serverless < monthly * (1 - _MIN_SHARE):
        text = (
            "Consider a serverless endpoint, if the model fits 6 GB and cold starts are acceptable. Measure the "
            "duration there first: it has no GPU."
        )
        return Advice(endpoint.name, "serverless or real-time", "change", text, figures, monthly - serverless)
    text = "Keep the instances: a serverless endpoint would cost more."
    return Advice(endpoint.name, "serverless or real-time", "keep", text, figures)


def _scale_to_zero(endpoint: Endpoint, activity: Activity, hourly: Decimal, price: str) -> Advice:
    idle = idle_share(activity)
    figures = (f"{idle:.0%} of the hours have no request, over {activity.days:.0f} days", price)
    if idle < _IDLE_SHARE:
        text = f"Keep the endpoint running: fewer than {_IDLE_SHARE:.0%} of its hours are idle."
        return Advice(endpoint.name, "scale to zero", "keep", text, figures)
    text = (
        "Consider scale_to_zero. The first request after a pause fails with HTTP 400, and the endpoint needs 5 to 10 "
        "minutes to wake up. A fifth of the idle time is counted as still running."
    )
    saving = hourly * FORECAST_HOURS * Decimal(idle) * _WAKE_OVERHEAD
    return Advice(endpoint.name, "scale to zero", "change", text, figures, saving)


def _async_scale_out(endpoint: Endpoint, variant: Variant, activity: Activity, maximum: int, hourly: Decimal) -> Advice:
    backlog = max(hour.requests for hour in activity.hours.values())
    seconds = activity.total.milliseconds / max(activity.total.requests, 1) / 1000
    concurrency = variant.async_concurrency or 1
    if seconds <= 0:
        return Advice(endpoint.name, "scale out", "unknown", "Not enough data: no durations of requests.")
    drain = drain_backlog(backlog, seconds, concurrency, maximum)
    figures = (
        f"largest hour: {backlog:,} requests of {seconds:.1f} s, {concurrency} at a time",
        f"one instance needs {drain.one_instance:.0f} s for them, {maximum} instances {drain.scaled_out:.0f} s",
    )
    if drain.starts and not drain.is_worth_it:
        text = (
            f"Set autoscaling max = 1: scaling out saves {drain.one_instance - drain.scaled_out:.0f} s and starts "
            f"{drain.starts} more instances, each billed at ${hourly} an hour until it is idle."
        )
        # Instances run at least until the low alarm has seen 15 minutes without a backlog.
        return Advice(endpoint.name, "scale out", "change", text, figures)
    return Advice(endpoint.name, "scale out", "keep", "Keep the scaling range.", figures)


def _serverless(endpoint: Endpoint, variant: Variant, activity: Activity, book: PriceBook) -> Iterator[Advice]:
    capacity = variant.serverless
    if capacity is None:
        return
    total = activity.total
    monthly_ms = Decimal(total.milliseconds) / Decimal(activity.days) * _MONTH_DAYS
    monthly = serverless_compute(book, endpoint.region, capacity.memory_mb, monthly_ms)
    hours = monthly_ms / 3_600_000
    now = f"{hours:,.1f} h of requests a month at {capacity.memory_mb} MB: ${format_dollars(monthly)}"
    hourly = book.price(endpoint.region, "sagemaker/hosting/ml.m5.large").amount
    instance = hourly * FORECAST_HOURS
    if instance < monthly * (1 - _MIN_SHARE):
        text = "Consider a real-time endpoint on one ml.m5.large, if it serves the busiest hour. Measure it first."
        figures = (now, f"ml.m5.large: ${format_dollars(instance)} a month")
        yield Advice(endpoint.name, "serverless or real-time", "change", text, figures, monthly - instance)
    else:
        figures = (now, f"an instance costs at least ${format_dollars(instance)} a month")
        yield Advice(endpoint.name, "serverless or real-time", "keep", "Keep the serverless endpoint.", figures)
    smaller = serverless_compute(book, endpoint.region, max(capacity.memory_mb - 1024, 1024), monthly_ms)
    text = (
        "Not enough data: requests do not tell how much memory the container uses. If the maximum of "
        "MemoryUtilization (/aws/sagemaker/Endpoints) leaves 1 GB and a quarter free, take 1 GB less; a smaller "
        "endpoint also has less CPU."
    )
    at_most = f"1 GB less saves ${format_dollars(monthly - smaller)} a month at most, at the same duration"
    yield Advice(endpoint.name, "serverless memory", "unknown", text, (at_most,))
    warm = "sagemaker/serverless/provisioned-concurrency"
    if capacity.provisioned_concurrency:
        try:
            book.price(endpoint.region, warm)
        except UnknownPrice as error:
            yield Advice(endpoint.name, "provisioned concurrency", "unknown", str(error))


def _batches(activity: Activity, batch_size: int) -> Iterator[Advice]:
    total = activity.total
    if activity.kind not in ("document", "rerank") or not total.requests:
        return
    limit = _DOCUMENTS_OF_A_QUERY if activity.kind == "rerank" and activity.backend == "bedrock" else batch_size
    fill = Decimal(total.texts) / total.requests / limit
    figures = (f"{total.texts:,} texts in {total.requests:,} calls: {fill:.0%} of {limit} texts per request",)
    # Only a price per request makes full batches cheaper for certain.
    saving = None
    if activity.backend == "bedrock" and activity.kind == "rerank" and activity.days >= 1:
        saving = to_dollars(total.cost) * max(1 - fill, Decimal(0)) / Decimal(activity.days) * _MONTH_DAYS
    if fill < _HALF and total.cache_hits:
        text = "Not enough data: calls that the cache answered are counted too, so requests are fuller than this."
        yield Advice(activity.endpoint, "batch fill", "unknown", text, figures)
    elif fill < _HALF:
        text = "Send more texts with each call: embed_documents() and embed_stream() fill the requests."
        yield Advice(activity.endpoint, "batch fill", "change", text, figures, saving)
    else:
        yield Advice(activity.endpoint, "batch fill", "keep", "Requests are at least half full.", figures)


def _cache(activity: Activity) -> Advice:
    total = activity.total
    if not total.cache_hits:
        text = (
            "Not enough data: there are no cache hits. The ledger keeps no texts, so it cannot tell how many repeat. "
            "Set EMBEDSTACK_CACHE_FILE for a week, and look again."
        )
        return Advice(activity.endpoint, "cache size", "unknown", text)
    share = Decimal(total.cache_hits) / (total.cache_hits + total.texts)
    saved = to_dollars(total.cost) * total.tokens_saved / total.tokens if total.tokens else Decimal(0)
    monthly = saved / Decimal(max(activity.days, 1)) * _MONTH_DAYS
    figures = (
        f"{total.cache_hits:,} of {total.cache_hits + total.texts:,} texts came from the cache ({share:.0%})",
        f"the hits save ${format_dollars(monthly)} a month already",
    )
    text = (
        "Keep the cache. Whether a larger one has more hits cannot be told from hits alone: double "
        "EMBEDSTACK_CACHE_MB, and compare this share a week later."
    )
    return Advice(activity.endpoint, "cache size", "keep", text, figures)
