"""What checks mean together: outages, degradation and recovery, without flapping."""

import random
from collections import Counter

import numpy as np
import pytest

from embedstack.calls.clock import ManualClock
from embedstack.health.checks import Checker, CheckPolicy
from embedstack.health.probes import Prober
from embedstack.health.records import Record
from embedstack.health.states import Observation, ProbeResult, State, Target
from embedstack.settings.settings import load_settings

MODEL = Target("bedrock", "amazon.titan-embed-text-v2:0")
ENDPOINT = Target("endpoint", "alex-embedding-endpoint")
INTERVAL = 300.0
GOOD, FAILED, WRONG = ProbeResult("good", "", 20.0), ProbeResult("failed", "no response"), ProbeResult("wrong", "NaN")
HEALTHY = Observation(State.HEALTHY, "", (GOOD,) * 3, milliseconds=20.0, config="config-1")
DOWN = Observation(State.UNHEALTHY, "serves nothing", (FAILED,) * 10)


class NoReferences:
    def find(self, key):
        return None

    def remember(self, key, vectors):
        raise AssertionError(key)


class ScriptedProber(Prober):
    """Its probes end as a function says, without a request."""

    def __init__(self, outcome):
        super().__init__(lambda: np.zeros((5, 3), np.float32), None, lambda *_: "", lambda _: None, None, lambda: None)
        self.outcome = outcome

    def probe(self):
        return self.outcome()


class Monitored:
    """A target whose probes end as a function says, and the events of its checks."""

    def __init__(self, outcome, target=MODEL):
        self.clock, self.record, self.target = ManualClock(), Record(target.kind), target
        self.events = []
        self.checker = Checker(
            load_settings(aws_region="us-east-1"), NoReferences(), CheckPolicy(), clock=self.clock,
            open_prober=lambda *_: ScriptedProber(outcome),
        )  # fmt: skip

    def check(self, now):
        observation = self.checker.check(self.target, self.record, now)
        self.events += self.record.update(self.target, observation, now)
        return observation


def updates(record, *observations, start=INTERVAL, target=ENDPOINT):
    """The kinds of events of checks one interval apart."""
    return [
        event.kind
        for number, observation in enumerate(observations)
        for event in record.update(target, observation, start + number * INTERVAL)
    ]


@pytest.mark.parametrize("seed", range(5))
def test_random_failures_of_a_month_open_at_most_one_outage(seed):
    source = random.Random(seed)  # noqa: S311 - the same failures in every run
    monitored = Monitored(lambda: FAILED if source.random() < 0.3 else GOOD)
    states: Counter[str] = Counter()
    for number in range(30 * 288):
        monitored.check(1e9 + number * INTERVAL)
        states[monitored.record.state] += 1
    kinds = Counter(event.kind for event in monitored.events)
    assert kinds["outage"] <= 1
    assert kinds["degraded"] <= 2, "a share of failures is one event, not one per check"
    assert states["degraded"] > 0.99 * states.total()


def test_failure_of_all_probes_is_an_outage_within_one_check():
    outcomes = iter([GOOD] * 3 + [FAILED] * 10 + [GOOD] * 9)
    monitored = Monitored(lambda: next(outcomes))
    for number in range(5):
        monitored.check(1e9 + number * INTERVAL)
    assert [(event.kind, event.at) for event in monitored.events] == [
        ("outage", 1e9 + INTERVAL),
        ("recovery", 1e9 + 4 * INTERVAL),
    ]
    assert monitored.events[1].seconds == 3 * INTERVAL
    assert monitored.clock.slept == [5.0] * 7, "confirming probes are apart"


def test_two_outages_of_one_day_are_two_pairs_of_events():
    record = Record("endpoint")
    kinds = updates(record, HEALTHY, *[DOWN] * 28, *[HEALTHY] * 56, *[DOWN] * 12, *[HEALTHY] * 5)
    assert kinds == ["outage", "recovery", "outage", "recovery"]


def test_outage_stays_until_three_good_checks_in_a_row():
    record = Record("endpoint")
    assert updates(record, DOWN, HEALTHY, HEALTHY, DOWN, HEALTHY, HEALTHY) == ["outage"]
    assert (record.state, record.reason) == ("unhealthy", "recovering: 2 of 3 good checks")
    assert updates(record, HEALTHY, start=10 * INTERVAL) == ["recovery"]
    assert record.state == "healthy"


def test_wrong_vectors_are_an_outage_at_once():
    outcomes = iter([GOOD, GOOD, WRONG])
    monitored = Monitored(lambda: next(outcomes))
    observation = monitored.check(INTERVAL)
    assert observation.state == "unhealthy"
    assert observation.reason == "1 of 3 probes returned wrong vectors: NaN"
    assert [event.kind for event in monitored.events] == ["outage"]


def test_target_that_mostly_fails_is_an_outage_although_probes_succeed():
    source = random.Random(1)  # noqa: S311 - as above
    monitored = Monitored(lambda: GOOD if source.random() < 0.1 else FAILED)
    for number in range(288):
        monitored.check(INTERVAL * (number + 1))
    assert [event.kind for event in monitored.events if event.kind != "degraded"] == ["outage"]


def test_throttled_target_is_no_outage_and_gets_one_probe():
    outcomes = iter([ProbeResult("throttled", "too many requests")] * 2 + [GOOD] * 7)
    monitored = Monitored(lambda: next(outcomes))
    first, second = monitored.check(INTERVAL), monitored.check(2 * INTERVAL)
    assert first.state == second.state == "throttled"
    assert "2 of 2 probes in 15 minutes were throttled (100%)" in second.reason
    assert "tokens) per minute" in second.reason
    for number in range(3, 6):
        monitored.check(number * INTERVAL)
    assert [event.kind for event in monitored.events] == ["degraded", "recovery"]


def test_slow_target_is_degraded_within_one_check():
    outcomes = iter([ProbeResult("good", "", 1500.0)] * 3 + [GOOD] * 9)
    monitored = Monitored(lambda: next(outcomes))
    observation = monitored.check(INTERVAL)
    assert observation.reason == "slow: the median of 3 probes is 1,500 ms, the target 1,000 ms"
    for number in range(2, 5):
        monitored.check(number * INTERVAL)
    assert [event.kind for event in monitored.events] == ["degraded", "recovery"]


def test_target_that_is_gone_is_one_event():
    record = Record("endpoint")
    gone = Observation(State.GONE, "no endpoint of this name")
    assert updates(record, HEALTHY, *[gone] * 100) == ["gone"]
    assert record.state == "gone"


def test_expired_credentials_are_no_outage():
    record = Record("endpoint")
    expired = Observation(State.CREDENTIALS_EXPIRED, "the AWS credentials expired")
    assert updates(record, HEALTHY, expired, expired, *[HEALTHY] * 3) == ["degraded", "recovery"]


def test_clock_that_goes_backwards_changes_nothing():
    record = Record("endpoint")
    record.update(ENDPOINT, HEALTHY, 1000.0)
    assert record.update(ENDPOINT, HEALTHY, 400.0) == []
    assert (record.checked, len(record.window)) == (1000.0, 2)


def test_record_survives_json():
    record = Record("endpoint")
    updates(record, HEALTHY, DOWN)
    assert Record.of({**record.to_json(), "unknown": 1}) == record
