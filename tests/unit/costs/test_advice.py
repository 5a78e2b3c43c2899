"""What the advice concludes from the activity of an endpoint."""

from datetime import UTC, datetime
from decimal import Decimal

import hcl2
import pytest

from embedstack.costs.ledger import Ledger
from embedstack.costs.price_book import PACKAGED_PRICES, PriceBook
from embedstack.costs.records import CallRecord
from embedstack_ops.costs.advice.activity import HOUR, Activity, Hour, activity_from_ledger
from embedstack_ops.costs.advice.async_scaling import drain_backlog
from embedstack_ops.costs.advice.off_hours import QuietWindow, quiet_window
from embedstack_ops.costs.advice.recommendations import advise_endpoint, advise_usage
from embedstack_ops.costs.plan import Endpoint, Scaling, ServerlessCapacity, TargetTracking, Variant

MONDAY = int(datetime(2026, 11, 2, tzinfo=UTC).timestamp())
WEEK = 168
BOOK = PriceBook.load(PACKAGED_PRICES)


def activity(requests_at, *, weeks=4, milliseconds=100.0, **facts):
    """Activity with so many requests in each hour, as a function of the weekday and the hour."""
    hours = {}
    for number in range(weeks * WEEK):
        count = requests_at(number // 24 % 7, number % 24)
        if count:
            hours[MONDAY + number * HOUR] = Hour(count, count * milliseconds, **facts)
    return Activity("alex-embedding-endpoint", "sagemaker", "", hours, MONDAY, MONDAY + weeks * WEEK * HOUR)


def office(weekday, hour):
    return 500 if weekday < 5 and 8 <= hour < 20 else 0


def endpoint(variant, kind="realtime"):
    address = 'module.realtime_endpoint["embedding"].aws_sagemaker_endpoint.this'
    return Endpoint(address, "alex-embedding-endpoint", "us-east-1", kind, (variant,))


def instances(low, high, metric="SageMakerVariantInvocationsPerInstance"):
    tracking = TargetTracking(metric, True, 600, 300, 300)
    return Variant("main", ("ml.m5.xlarge",), scaling=Scaling("instances", low, high, (tracking,)))


def call(at, **counts):
    return CallRecord(
        at=at, backend="bedrock", endpoint="", model="amazon.titan-embed-text-v2:0", kind="document", **counts
    )


def by_subject(advice):
    return {each.subject: each for each in advice}


def test_off_hours_schedule_saves_the_quiet_hours():
    advice = by_subject(advise_endpoint(endpoint(instances(3, 5)), activity(office), BOOK))["off-hours schedule"]
    assert advice.outcome == "change"
    assert advice.figures[0] == "no request in 108 of 168 hours of a week, over 28 days"
    assert advice.saving == Decimal("0.23") * 2 * 730 * 108 / 168
    assert hcl2.loads(advice.hcl + "\n")["endpoints"]["embedding"]["autoscaling"]["schedules"]["morning"]["min"] == 3
    assert 'evening = { schedule = "cron(0 20 ? * MON-FRI *)", timezone = "UTC", min = 1, max = 5 }' in advice.hcl
    assert 'morning = { schedule = "cron(45 7 ? * MON-FRI *)", timezone = "UTC", min = 3, max = 5 }' in advice.hcl


@pytest.mark.parametrize(
    ("requests_at", "window"),
    [
        (office, QuietWindow(20, 8, weekend=True)),
        (lambda _, hour: int(6 <= hour < 22), QuietWindow(22, 6, weekend=False)),
        (lambda _, hour: int(not 1 <= hour < 4), None),
        (
            lambda weekday, hour: int(weekday == 6 and hour == 2) or office(weekday, hour),
            QuietWindow(20, 2, weekend=False),
        ),
    ],
)
def test_quiet_window_is_quiet_in_every_week(requests_at, window):
    assert quiet_window(activity(requests_at), UTC) == window


def test_break_even_and_scale_to_zero_name_their_figures():
    advice = by_subject(advise_endpoint(endpoint(instances(1, 1)), activity(office), BOOK))
    serverless = advice["serverless or real-time"]
    assert serverless.outcome == "change"
    assert "instances: $167.90 a month (ml.m5.xlarge costs $0.23 an hour)" in serverless.figures
    assert "break-even at 41,975,000 requests a month" in serverless.figures
    zero = advice["scale to zero"]
    assert zero.figures[0] == "64% of the hours have no request, over 28 days"
    assert zero.saving is not None
    busy = by_subject(advise_endpoint(endpoint(instances(1, 1)), activity(lambda *_: 90_000, milliseconds=400), BOOK))
    assert [busy[subject].outcome for subject in ("serverless or real-time", "scale to zero")] == ["keep", "keep"]


def test_missing_data_is_not_idleness():
    for known in (None, activity(lambda *_: 0), activity(office, weeks=0)):
        (advice,) = advise_endpoint(endpoint(instances(1, 1)), known if known and known.hours else None, BOOK)
        assert (advice.outcome, advice.saving) == ("unknown", None)
        assert "Not enough data" in advice.text
    week = by_subject(advise_endpoint(endpoint(instances(3, 5)), activity(office, weeks=1), BOOK))
    assert week["off-hours schedule"].outcome == "unknown"


def test_invocations_policy_on_an_async_endpoint_is_a_fault():
    variant = instances(0, 5)
    (fault, _) = advise_endpoint(endpoint(variant, "async"), None, BOOK)
    assert fault.outcome == "fix"
    assert "ApproximateBacklogSizePerInstance" in fault.text
    assert (
        len(advise_endpoint(endpoint(instances(0, 5, "ApproximateBacklogSizePerInstance"), "async"), None, BOOK)) == 1
    )


def test_async_scale_out_is_compared_with_one_instance():
    drain = drain_backlog(1_000, 2.0, 4, 5)
    assert (drain.one_instance, drain.scaled_out, drain.starts, drain.is_worth_it) == (500, 484, 4, False)
    assert drain_backlog(100_000, 2.0, 4, 5).is_worth_it
    assert drain_backlog(100, 2.0, 4, 5).starts == 0


def test_serverless_advice_compares_with_an_instance():
    variant = Variant("main", serverless=ServerlessCapacity(2048, 10))
    light = by_subject(advise_endpoint(endpoint(variant, "serverless"), activity(office), BOOK))
    assert light["serverless or real-time"].outcome == "keep"
    assert light["serverless memory"].outcome == "unknown"
    heavy = by_subject(
        advise_endpoint(endpoint(variant, "serverless"), activity(lambda *_: 90_000, milliseconds=100), BOOK)
    )
    assert heavy["serverless or real-time"].outcome == "change"


def test_region_without_prices_is_not_priced_by_another():
    unpriced = Endpoint("a", "e", "eu-central-1", "realtime", (instances(1, 1),))
    (advice,) = advise_endpoint(unpriced, activity(office), BOOK)
    assert (advice.subject, advice.outcome) == ("price", "unknown")
    assert "eu-central-1" in advice.text


def test_half_empty_requests_are_found():
    (fill, _) = advise_usage(
        [Activity("e", "bedrock", "rerank", {MONDAY: Hour(30, 1, 600, 30 * 10**9)}, MONDAY, MONDAY + 30 * 24 * HOUR)],
        32,
    )
    assert (fill.outcome, fill.figures) == ("change", ("600 texts in 30 calls: 20% of 100 texts per request",))
    assert float(fill.saving or 0) == pytest.approx(0.03 * 0.8 / 30 * 365 / 12)


def test_batches_and_cache_hits_come_from_the_ledger(tmp_path):
    ledger = Ledger(str(tmp_path / "ledger.db"))
    for day in range(10):
        at = MONDAY + day * 24 * HOUR
        ledger.record(call(at, texts=4, tokens=1_000, cost=20_000_000))
        ledger.record(call(at, cache_hits=4, tokens_saved=1_000))
    advice = by_subject(advise_usage(activity_from_ledger(ledger, MONDAY, MONDAY + 10 * 24 * HOUR), 32))
    ledger.close()
    assert advice["batch fill"].outcome == "unknown", "calls that the cache answered are counted too"
    assert advice["cache size"].figures[0] == "40 of 80 texts came from the cache (50%)"
    assert "cannot be told from hits alone" in advice["cache size"].text
