"""Traces: the public ones of Azure against their known figures, generated traffic, and files that are not valid."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from embedstack.errors import ConfigurationError
from embedstack_ops.simulation.configurations import Instances, Serverless
from embedstack_ops.simulation.generated_traffic import Bursts, Traffic, generate
from embedstack_ops.simulation.service_times import Range, ServiceProfile, read_profile
from embedstack_ops.simulation.simulation import simulate
from embedstack_ops.simulation.trace_files import read_trace
from embedstack_ops.simulation.traces import Trace

TRACES = Path(__file__).parents[3] / "fixtures" / "traces"
PROFILE = ServiceProfile(0.010, 20e-6, cold_start_s=Range(5, 5), instance_start_s=Range(0, 0))


@pytest.fixture(scope="module")
def conv() -> Trace:
    return read_trace(TRACES / "AzureLLMInferenceTrace_conv.csv")


@pytest.fixture(scope="module")
def code() -> Trace:
    return read_trace(TRACES / "AzureLLMInferenceTrace_code.csv")


def test_azure_traces_have_their_known_figures(conv: Trace, code: Trace) -> None:
    assert (len(code), len(conv)) == (8_819, 19_366)
    assert (code.seconds, conv.seconds) == (3_435.948056, 3_501.721937)
    assert code.tokens is not None
    assert conv.tokens is not None
    assert (code.tokens.sum(), conv.tokens.sum()) == (18_059_974, 22_361_870)
    assert conv.start.date().isoformat() == "2023-11-16"
    gaps = np.diff(code.arrivals) / 1e9
    assert gaps.std() / gaps.mean() == pytest.approx(13.1513, rel=1e-4)
    assert gaps.max() == pytest.approx(217.169, abs=1e-3)
    assert conv.notes == ("Times without a time zone are read as UTC.",)


@pytest.mark.parametrize(
    ("servers", "mean_ms", "p95_ms", "p99_ms", "max_ms", "waited"),
    [
        (1, 6.6072171, 44.344, 91.444, 277.933, 20.45337),
        (2, 0.3187844, 0, 11.746, 90.673, None),
        (4, None, 0, 0, 5.012, None),
    ],
)
def test_azure_trace_waits_in_queue_exactly(
    conv: Trace, servers: int, mean_ms: float | None, p95_ms: float, p99_ms: float, max_ms: float, waited: float | None
) -> None:
    run = simulate(Instances("i", "ml.m5.xlarge", concurrency=servers, longest_wait_s=None), conv, PROFILE)
    assert run.wait_percentile(95) * 1000 == pytest.approx(p95_ms)
    assert run.wait_percentile(99) * 1000 == pytest.approx(p99_ms)
    assert run.waits.max() / 1e6 == pytest.approx(max_ms)
    if mean_ms is not None:
        assert run.mean_wait * 1000 == pytest.approx(mean_ms, rel=2e-7)
    if waited is not None:
        assert 100 * (run.waits > 0).mean() == pytest.approx(waited, abs=1e-5)


@pytest.mark.parametrize(
    ("slots", "throttled", "billed"), [(1, 3_279, 530.49424), (2, 367, 628.37874), (4, 2, 640.83428), (8, 0, 640.8974)]
)
def test_azure_trace_is_throttled_exactly(conv: Trace, slots: int, throttled: int, billed: float) -> None:
    instant = ServiceProfile(0.010, 20e-6, cold_start_s=Range(0, 0))
    run = simulate(Serverless("s", max_concurrency=slots, rounds_up=False), conv, instant)
    assert run.requests - run.served == throttled
    assert run.billed_s == pytest.approx(billed)


@pytest.mark.parametrize(("slots", "keep_alive", "cold"), [(5, 300, 9), (20, 300, 9), (20, 60, 25)])
def test_azure_trace_has_known_cold_starts(conv: Trace, slots: int, keep_alive: float, cold: int) -> None:
    run = simulate(Serverless("s", max_concurrency=slots, keep_alive_s=keep_alive), conv, PROFILE)
    assert (run.cold_starts, run.throttled_share) == (cold, 0)


def test_bursty_azure_trace_has_known_cold_starts(code: Trace) -> None:
    run = simulate(Serverless("s", max_concurrency=20, keep_alive_s=300), code, PROFILE)
    assert (run.cold_starts, run.throttled_share) == (31, 0)


def test_generated_week_has_the_stated_rates() -> None:
    trace = generate(Traffic(2, days=7), seed=1)
    assert trace.rate == pytest.approx(1.6, rel=0.01)
    hours = np.bincount((trace.arrivals // (3_600 * 10**9)).astype(int), minlength=168).reshape(7, 24)
    assert hours[:5].mean(axis=0).argmax() in (14, 15)
    assert hours[5:].sum() / 2 == pytest.approx(0.3 * hours[:5].sum() / 5, rel=0.03)


def test_generated_bursts_and_growth_have_the_stated_means() -> None:
    bursty = generate(Traffic(1, days=30, diurnal=0, weekend=1, bursts=Bursts()), seed=2)
    assert bursty.rate == pytest.approx(490 / 300, rel=0.05)
    growing = generate(Traffic(0.1, days=60, diurnal=0, weekend=1, growth=1), seed=3)
    middle = np.searchsorted(growing.arrivals, growing.length // 2)
    assert (len(growing) - middle) / middle == pytest.approx(2, rel=0.05)


def test_generated_traffic_depends_on_the_seed_only() -> None:
    first, second, other = (generate(Traffic(1, days=1), seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.arrivals, second.arrivals)
    assert not np.array_equal(first.arrivals[:100], other.arrivals[:100])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("timestamp,tokens\n", "no requests"),
        ("tokens\n3\n", "none with times"),
        ("timestamp,tokens\n5,1\n4,1\n", "Line 3 .* earlier"),
        ("timestamp,tokens\n5,1\n6,-1\n", "Line 3 .* -1 as tokens"),
        ("timestamp,duration\n5,1\n6,-1\n", "Line 3 .* -1 as duration"),
        ("timestamp,duration\n5,1\n6,\n", "Line 3 .* nothing as duration"),
        ("end_timestamp\n5\n", "without a column duration"),
        ("timestamp,tokens\n5,1\n6\n", "Line 3 .* 1 values"),
        ("timestamp\n2026-01-31T08:00:00\nsoon\n", "Line 3 .* no valid time"),
        ("timestamp\nnan\n", "nan as time"),
    ],
)
def test_invalid_trace_is_rejected(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=message):
        read_trace(path)


def test_trace_without_final_line_end_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_bytes(b"timestamp,tokens\r\n2026-01-31T08:00:00Z,3\r\n2026-01-31T09:00:00.5+01:00,4")
    trace = read_trace(path)
    assert trace.arrivals.tolist() == [0, 500_000_000]
    assert trace.start == datetime(2026, 1, 31, 8, tzinfo=UTC)


def test_end_times_become_start_times(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("app,func,end_timestamp,duration\na,f,10,4\nb,f,10.5,6\n")
    with pytest.raises(ConfigurationError, match="--sort"):
        read_trace(path)
    trace = read_trace(path, sort=True)
    assert trace.durations is not None
    assert (trace.arrivals / 1e9).tolist() == [0, 1.5]
    assert (trace.durations / 1e9).tolist() == [6, 4]


def test_cloudwatch_counts_are_spread_within_the_minute(tmp_path: Path) -> None:
    path = tmp_path / "export.json"
    points = [
        {"Timestamp": "2026-01-31T08:01:00+00:00", "Sum": 40.0, "Unit": "None"},
        {"Timestamp": "2026-01-31T08:00:00+00:00", "Sum": 20.0, "Unit": "None"},
    ]
    path.write_text(json.dumps({"Label": "Invocations", "Datapoints": points}))
    trace = read_trace(path, seed=1)
    assert np.bincount((trace.arrivals // (60 * 10**9)).astype(int)).tolist() == [20, 40]
    assert trace.seconds == 120
    assert "spread" in trace.notes[0]
    path.write_text("{}")
    with pytest.raises(ConfigurationError, match="not an export of CloudWatch"):
        read_trace(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("base_s: -1", "base_s is -1"),
        ("cold_start_s: [5, 1]", "cold_start_s is 5 to 1"),
        ("base_seconds: 1", "unknown figures: base_seconds"),
        ("base_s: fast", "not a number"),
        ("distribution: normal", "Unknown distribution"),
    ],
)
def test_invalid_profile_is_rejected(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "profile.yaml"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=message):
        read_profile(path)


def test_profile_reads_one_figure_or_a_range(tmp_path: Path) -> None:
    path = tmp_path / "profile.yaml"
    path.write_text("base_s: 0.02\ncold_start_s: [2, 6]\ninstance_start_s: 300\n")
    profile = read_profile(path)
    assert profile.cold_start_s == Range(2, 6)
    assert profile.at_bound("high").cold_start_s == Range(6, 6)
    assert profile.instance_start_s == Range(300, 300)
