"""The metric store: percentiles, periods, and memory."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, strategies as st

from localaws.core.clock import SimulatedTime
from localaws.services.cloudwatch.distribution import EXACT_VALUES, Distribution, statistic_of
from localaws.services.cloudwatch.metric_store import RETENTION_SECONDS, MetricId, MetricStore
from localaws.services.sagemaker.telemetry.identities import VariantId
from localaws.services.sagemaker.telemetry.metrics import MetricRecorder

VARIANT = VariantId("123456789012", "us-east-1", "alex", "AllTraffic")
LATENCY = MetricId.of("123456789012", "us-east-1", "AWS/SageMaker", "ModelLatency", VARIANT.dimensions)
POSITIVE = st.floats(1e-3, 1e9)


def filled(values: list[float]) -> Distribution:
    samples = Distribution()
    for value in values:
        samples.add(value)
    return samples


@given(st.lists(POSITIVE, min_size=1, max_size=300), st.floats(0, 100))
def test_percentile_is_within_one_percent(values: list[float], percent: float) -> None:
    found = filled(values).percentile(percent)
    rank = max(1, -int(-(len(values) * percent / 100 - 1e-9) // 1))
    assert found == pytest.approx(sorted(values)[rank - 1], rel=0.0101)


@given(st.lists(POSITIVE, min_size=1, max_size=200), st.lists(POSITIVE, min_size=1, max_size=200))
def test_merged_distribution_counts_all_samples(left: list[float], right: list[float]) -> None:
    merged, together = filled(left), filled(left + right)
    merged.merge(filled(right))
    assert (merged.count, merged.minimum, merged.maximum) == (together.count, together.minimum, together.maximum)
    assert merged.sum == pytest.approx(together.sum)
    assert merged.percentile(50) == pytest.approx(together.percentile(50), rel=0.0202)


def test_distribution_stores_few_values_exactly() -> None:
    samples = filled([float(value) for value in range(1, EXACT_VALUES + 1)])
    assert samples.percentile(50) == EXACT_VALUES / 2


def test_percentile_is_none_for_statistic_sets_and_negative_values() -> None:
    sets = Distribution()
    sets.add_set(10, 55, 1, 10)
    assert sets.percentile(50) is None
    assert (sets.count, sets.sum, sets.minimum, sets.maximum) == (10, 55, 1, 10)
    same = Distribution()
    same.add_set(10, 50, 5, 5)
    assert same.percentile(99) == 5
    assert filled([-1, 1]).percentile(50) is None


@pytest.mark.parametrize("name", ["tm95", "p", "p101", "pxx", "IQM", "p1.2.3"])
def test_statistic_of_rejects_unknown_statistics(name: str) -> None:
    with pytest.raises(NotImplementedError, match=name):
        statistic_of(name)


def test_datapoints_are_aligned_to_the_start() -> None:
    time, store = SimulatedTime(0), MetricStore()
    recorder = MetricRecorder(time, store)
    time.advance(60 - time.now().timestamp() % 60)
    start = time.now()
    for value in (1.0, 2.0, 3.0):
        recorder.record(VARIANT, [("ModelLatency", value)])
        time.advance(60)
    assert [value for _, value in store.statistics(LATENCY, start, time.now(), 60, "Sum")] == [1, 2, 3]
    later = start + timedelta(minutes=1)
    assert store.statistics(LATENCY, later, time.now(), 120, "Average") == [(later, 2.5)]
    assert store.statistics(LATENCY, start, start, 60, "Sum") == []


def test_metric_is_identified_by_all_dimensions_in_any_order() -> None:
    time, store = SimulatedTime(0), MetricStore()
    MetricRecorder(time, store).record(VARIANT, [("ModelLatency", 1)])
    start, end = time.now() - timedelta(minutes=2), time.now() + timedelta(minutes=1)
    swapped = MetricId.of(*LATENCY[:4], reversed(VARIANT.dimensions))
    assert store.statistics(swapped, start, end, 3600, "Sum")
    assert not store.statistics(MetricId.of(*LATENCY[:4], VARIANT.dimensions[:1]), start, end, 3600, "Sum")


def test_high_resolution_is_aggregated_after_three_hours() -> None:
    time, store = SimulatedTime(0), MetricStore()
    recorder = MetricRecorder(time, store)
    time.advance(60 - time.now().timestamp() % 60)
    start = time.now()
    for _ in range(6 * 60 * 8):
        recorder.record(VARIANT, [("ModelLatency", 1)], resolution=10)
        time.advance(10)
    recent = time.now() - timedelta(minutes=1)
    assert [value for _, value in store.statistics(LATENCY, recent, time.now(), 10, "Sum")] == [1] * 6
    first = store.statistics(LATENCY, start, start + timedelta(minutes=1), 10, "Sum")
    assert first == [(start, 6)]


def test_memory_depends_on_minutes_and_not_on_requests() -> None:
    time, store = SimulatedTime(0), MetricStore()
    recorder = MetricRecorder(time, store)
    for number in range(5000):
        recorder.record(VARIANT, [("ModelLatency", 1000 + number * 7.3 % 90_000)])
    series = store.series(LATENCY, "Microseconds")
    assert len(series.period(time.now().timestamp()).values or {}) < 250
    before = time.now()
    for _ in range(RETENTION_SECONDS // 60 + 3000):
        time.advance(60)
        recorder.record(VARIANT, [("ModelLatency", 1)])
    kept = store.datapoints(LATENCY, before - timedelta(days=1), time.now() + timedelta(minutes=1), 60)
    assert len(kept) <= RETENTION_SECONDS // 60 + 1024
    assert kept[-1].start > datetime.fromtimestamp(time.now().timestamp() - 120, UTC)
