"""What an endpoint's description and log mean, and that probes do not keep an endpoint awake."""

import pytest

from embedstack.errors import EndpointNotFound
from embedstack.health.checks import Checker
from embedstack.health.endpoints import EndpointFacts
from embedstack.health.probes import Prober
from embedstack.health.records import Record
from embedstack.health.states import ProbeResult, Target
from embedstack.settings.settings import load_settings
from tests.unit.health.test_records import NoReferences, ScriptedProber

TARGET = Target("endpoint", "alex-embedding-endpoint")
NOW = 1e9


class DescribedEndpoint:
    """An endpoint whose description and log are given."""

    def __init__(self, facts, log=(True, "")):
        self.facts, self.log = facts, log

    def describe(self, endpoint, component=None):
        if self.facts is None:
            raise EndpointNotFound(f"There is no endpoint {endpoint}.")
        return self.facts

    def log_findings(self, endpoint, facts, since):
        return self.log


def facts(status="InService", minutes=60.0, **others):
    defaults = {"failure_reason": "", "config": "config-1", "kind": "instance", "instance_type": "ml.g5.xlarge"}
    return EndpointFacts(**{"status": status, "created": NOW - 60 * minutes, **defaults, **others})


def check(described, record=None, now=NOW, sent=None):
    """The observation of one check; ``sent`` counts its probes."""
    sent = [] if sent is None else sent

    def open_prober(*_) -> Prober:
        return ScriptedProber(lambda: sent.append(1) or ProbeResult("good", "", 10.0))

    checker = Checker(load_settings(aws_region="us-east-1"), NoReferences(), open_prober=open_prober)
    checker.reader = described
    return checker.check(TARGET, record or Record("endpoint"), now)


@pytest.mark.parametrize(
    ("endpoint", "log", "state", "reason"),
    [
        (facts("Creating", 20), (False, ""), "starting", "creating for 20 minutes; usual are 15"),
        (facts("Creating", 35), (False, ""), "stuck", "no capacity suspected"),
        (facts("Creating", 60), (True, "its log has: ImportError"), "stuck", "container restarts; its log has: Import"),
        (facts("Creating", 60), (None, "logs not readable (AccessDenied)"), "stuck", "creating for 60 minutes"),
        (
            facts("Failed", failure_reason="CannotStartContainerError. Please ensure …", inference_ami="al2-ami-1"),
            (False, ""), "unhealthy", "fails below the container",
        ),
        (facts("Failed", failure_reason="InsufficientInstanceCapacity"), (False, ""), "unhealthy", "InsufficientInst"),
        (facts("Deleting"), (True, ""), "gone", "is being deleted"),
        (None, (True, ""), "gone", "There is no endpoint"),
    ],
)  # fmt: skip
def test_status_and_log_tell_the_state(endpoint, log, state, reason):
    observation = check(DescribedEndpoint(endpoint, log))
    assert observation.state == state
    assert reason in observation.reason


def test_host_image_is_named_when_the_container_cannot_start():
    described = DescribedEndpoint(facts("Failed", failure_reason="CannotStartContainerError", inference_ami="al2-1"),
                                  (False, ""))  # fmt: skip
    assert "InferenceAmiVersion al2-1" in check(described).reason


def test_endpoint_at_zero_is_asleep_and_not_probed():
    sent: list[int] = []
    described = DescribedEndpoint(facts(kind="component", scales_to_zero=True, capacity=0))
    assert check(described, sent=sent).state == "asleep"
    assert sent == []


def test_endpoint_that_scales_to_zero_is_probed_once_after_it_woke_up():
    record = Record("endpoint")
    sent: list[int] = []
    awake = DescribedEndpoint(facts(kind="component", scales_to_zero=True, capacity=1))
    for number in range(288):
        check(awake, record, NOW + 300 * number, sent)
    assert len(sent) == 3
    check(DescribedEndpoint(facts(kind="component", scales_to_zero=True, capacity=0)), record, NOW + 1e5, sent)
    check(awake, record, NOW + 2e5, sent)
    assert len(sent) == 6


@pytest.mark.parametrize(("seconds", "state"), [(600, "starting"), (960, "stuck")])
def test_endpoint_that_does_not_wake_is_stuck_after_15_minutes(seconds, state):
    described = DescribedEndpoint(facts(kind="component", scales_to_zero=True, capacity=0))
    assert check(described, Record("endpoint", waking_since=NOW), NOW + seconds).state == state


def test_asynchronous_endpoint_is_described_only():
    sent: list[int] = []
    observation = check(DescribedEndpoint(facts(kind="async", scales_to_zero=True, capacity=1)), sent=sent)
    assert (observation.state, sent) == ("healthy", [])
