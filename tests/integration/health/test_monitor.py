"""The monitor against a local AWS: faults are reported within one check, and SNS and CloudWatch are told."""

import dataclasses
import json
from datetime import timedelta

import pytest
from click.testing import CliRunner
from pydantic import SecretStr

from embedstack.errors import ConfigurationError
from embedstack.health import load_monitor
from embedstack.health.checks import CheckPolicy
from embedstack.health.status import exit_code
from embedstack.resilience import CircuitBreaker
from embedstack.settings.settings import change_settings
from embedstack_ops.cli.health import main as health
from tests.integration.health.conftest import ENDPOINT, fault
from tests.support.localaws.harness import stalled

TITAN = "amazon.titan-embed-text-v2:0"


def with_settings(monitored, **settings):
    return dataclasses.replace(monitored, settings=change_settings(monitored.settings, **settings))


def events_metric(monitored, name, kind):
    """The sum of HealthEvents of a target on the local AWS's CloudWatch."""
    response = monitored.aws.cloudwatch.get_metric_statistics(
        Namespace="EmbedStack", MetricName="HealthEvents", Period=86400, Statistics=["Sum"],
        StartTime=monitored.aws.now() - timedelta(days=1), EndTime=monitored.aws.now() + timedelta(days=1),
        Dimensions=[{"Name": "Target", "Value": name}, {"Name": "Kind", "Value": kind}],
    )  # fmt: skip
    return sum(point["Sum"] for point in response["Datapoints"])


def test_healthy_endpoint_is_compared_with_golden_vectors(monitored):
    status = monitored.check()
    target = monitored.target(status)
    assert (target["state"], target["reason"], target["kind"]) == ("healthy", "", "endpoint")
    assert target["latency_ms"] > 0
    assert exit_code(status) == 0
    assert monitored.receive() == []


@pytest.mark.parametrize(
    ("kind", "state", "reason"),
    [
        ("model", "unhealthy", "serves nothing: 10 of 10 probes failed"),
        ("nan", "unhealthy", "wrong vectors: "),
        ("count", "unhealthy", "wrong vectors: "),
        ("throttle", "throttled", "1 of 4 probes in 15 minutes were throttled (25%)"),
    ],
)
def test_fault_is_reported_within_one_check(monitored, kind, state, reason):
    monitored.check()
    alert = "degraded" if state == "throttled" else "outage"
    before = events_metric(monitored, ENDPOINT, alert)
    with fault(monitored.aws, "sagemaker-runtime", kind):
        status = monitored.check()
        assert exit_code(monitored.check()) == 1
    target = monitored.target(status)
    assert target["state"] == state
    assert target["reason"].startswith(reason)
    monitored.check(4)
    assert monitored.receive() == [f"{alert}: {ENDPOINT}", f"recovery: {ENDPOINT}"]
    assert events_metric(monitored, ENDPOINT, alert) == before + 1
    assert monitored.target(monitored.monitor.status())["state"] == "healthy"


def test_endpoint_whose_container_hangs_serves_nothing(monitored):
    monitored.check()
    impatient = dataclasses.replace(monitored, policy=dataclasses.replace(monitored.policy, timeout=0.2))
    (pid,) = monitored.aws.pids()
    with stalled(pid):
        status = impatient.check()
    assert monitored.target(status)["reason"].startswith("serves nothing")
    assert monitored.receive() == [f"outage: {ENDPOINT}"]


def test_slow_endpoint_is_degraded(monitored):
    strict = dataclasses.replace(monitored, policy=CheckPolicy(latency_ms=0.01, pause=0.01))
    target = monitored.target(strict.check())
    assert target["state"] == "degraded"
    assert target["reason"].startswith("slow: the median of 3 probes is ")
    monitored.at = strict.at
    monitored.check(3)
    assert monitored.receive() == [f"degraded: {ENDPOINT}", f"recovery: {ENDPOINT}"]


def test_random_failures_do_not_flap(monitored):
    with fault(monitored.aws, "sagemaker-runtime", "internal", rate=0.3, seed=3):
        status = monitored.check(24)
    assert monitored.target(status)["state"] == "degraded"
    assert monitored.receive() == [f"degraded: {ENDPOINT}"]


def test_bedrock_model_is_checked_throttled_and_refuses_by_length(monitored):
    monitored = with_settings(monitored, health_endpoints="", health_bedrock_models=TITAN)
    target = monitored.target(monitored.check(), TITAN)
    assert target["state"] == "healthy"
    assert target["notes"] == ["token limit: ok, refuses by length"]
    with fault(monitored.aws, "bedrock-runtime", "throttle"):
        target = monitored.target(monitored.check(), TITAN)
    assert target["state"] == "throttled"
    assert "raise the quota: On-demand model inference requests" in target["reason"]
    monitored.check(3)
    assert monitored.receive() == [f"degraded: {TITAN}", f"recovery: {TITAN}"]


def test_reference_of_a_model_without_golden_vectors_is_its_first_result(monitored):
    monitored = with_settings(monitored, health_endpoints="", health_bedrock_models=TITAN)
    monitored.check()
    key, references = f"vectors/bedrock/{TITAN}/1024", json.loads(monitored.storage.read("references.json"))
    references[key][0] = references[key][1]
    monitored.storage.write("references.json", json.dumps(references).encode())
    target = monitored.target(dataclasses.replace(monitored).check(), TITAN)
    assert target["state"] == "unhealthy"
    assert target["reason"].startswith("wrong vectors: 1 of 5 differ from the reference, minimum cosine 0.")


def test_event_is_kept_while_the_topic_is_unreachable_and_sent_once(monitored):
    lost = "arn:aws:sns:us-east-1:123456789012:missing"
    without_topic = with_settings(monitored, health_topic_arn=lost)
    with fault(monitored.aws, "sagemaker-runtime", "model"):
        status = without_topic.check()
        assert (status["undelivered"], exit_code(status)) == (1, 1)
    status = without_topic.check(4)
    assert (status["undelivered"], exit_code(status)) == (2, 3)
    assert monitored.receive() == []
    outage = status["events"][0]
    monitored.at = without_topic.at
    assert monitored.check(2)["undelivered"] == 0
    assert monitored.receive() == [f"outage: {ENDPOINT}", f"recovery: {ENDPOINT}"]
    assert outage["at"] == monitored.monitor.status()["events"][0]["at"]


def test_endpoint_that_does_not_exist_is_gone_once(monitored):
    monitored = with_settings(monitored, health_endpoints=f"{ENDPOINT},alex-removed-endpoint")
    status = monitored.check(3)
    assert monitored.target(status, "alex-removed-endpoint")["state"] == "gone"
    assert exit_code(status) == 1
    assert monitored.receive() == ["gone: alex-removed-endpoint"]
    monitored.monitor.acknowledge("alex-removed-endpoint")
    assert exit_code(monitored.check()) == 0
    assert monitored.receive() == []
    with pytest.raises(ConfigurationError, match="is healthy, not gone"):
        monitored.monitor.acknowledge(ENDPOINT)


def test_breaker_opens_for_wrong_vectors_and_closes_after_a_good_check(monitored):
    breaker = CircuitBreaker()
    monitored = dataclasses.replace(monitored, breakers={ENDPOINT: breaker})
    with fault(monitored.aws, "sagemaker-runtime", "nan"):
        monitored.check()
    states = [breaker.state]
    status = monitored.check()
    assert [*states, breaker.state] == ["open", "closed"]
    actions = monitored.target(status)["actions"]
    assert [(one["action"], one["result"]) for one in actions] == [
        ("open the breaker", "done"),
        ("close the breaker", "done"),
    ]


def test_redeploy_is_logged_and_limited_when_it_fails(monitored):
    monitored = with_settings(monitored, health_actions="redeploy", health_actions_per_hour=2)
    monitored.check()
    state = json.loads(monitored.storage.read("state.json"))
    state["records"][ENDPOINT]["last_good_config"] = "config-0"
    monitored.storage.write("state.json", json.dumps(state).encode())
    with fault(monitored.aws, "sagemaker-runtime", "model"):
        status = monitored.check(5)
    actions = monitored.target(status)["actions"]
    assert [action["action"] for action in actions] == ["redeploy config-0"] * 2
    assert all(action["result"].startswith("failed: ") for action in actions)
    assert monitored.target(status)["incident"] == "outage"


def test_redeploy_restores_the_last_good_configuration(monitored):
    aws = monitored.aws
    monitored = with_settings(monitored, health_actions="redeploy")
    aws.create_config("config-2", ENDPOINT)
    monitored.check()
    aws.sagemaker.update_endpoint(EndpointName=ENDPOINT, EndpointConfigName="config-2")
    aws.settled(ENDPOINT)
    with fault(aws, "sagemaker-runtime", "model"):
        status = monitored.check()
    assert monitored.target(status)["actions"][0]["action"] == "redeploy config-1"
    assert aws.settled(ENDPOINT)["EndpointConfigName"] == "config-1"


def test_denied_description_is_noted_and_the_rest_is_checked(monitored):
    with fault(monitored.aws, "sagemaker", "unavailable"):
        target = monitored.target(monitored.check())
    assert target["state"] == "healthy"
    assert target["notes"][0].startswith("not checked: status (SageMaker failed with 503: unavailable)")


def test_command_prints_json_history_and_exit_codes(monitored, monkeypatch):
    monkeypatch.setenv("HEALTH_STATE", monitored.settings.health_state)
    monkeypatch.setenv("HEALTH_TIMEOUT_SECONDS", "5")
    monkeypatch.setenv("HEALTH_LATENCY_MS", "5000")
    run = CliRunner().invoke(health, ["--endpoint", ENDPOINT, "--json", "--target", "aws"])
    assert run.exit_code == 0, run.output
    status = json.loads(run.stdout)
    assert status["healthy"]
    assert [target["name"] for target in status["targets"]] == [ENDPOINT]
    history = CliRunner().invoke(health, ["--history", "1", "--target", "aws"])
    assert f"healthy      {ENDPOINT}" in history.output
    gone = CliRunner().invoke(health, ["--endpoint", "alex-removed-endpoint", "--target", "aws"])
    assert gone.exit_code == 1
    assert "gone" in gone.output


def test_damaged_state_is_refused(monitored):
    monitored.storage.write("state.json", b"{")
    with pytest.raises(ConfigurationError, match=r"state\.json in HEALTH_STATE"):
        monitored.check()


def test_state_in_a_bucket_is_found_by_the_next_monitor(monitored):
    monitored.aws.s3.create_bucket(Bucket="health-state")
    monitored = with_settings(monitored, health_state="s3://health-state/monitors/alex")
    monitored.check(2)
    keys = [one["Key"] for one in monitored.aws.s3.list_objects_v2(Bucket="health-state")["Contents"]]
    assert "monitors/alex/state.json" in keys
    assert (
        len(monitored.storage.read(next(key for key in keys if "history" in key).split("alex/")[1]).splitlines()) == 2
    )


def test_status_tells_whether_the_ledger_can_be_read(monitored, tmp_path):
    settings = monitored.settings
    (tmp_path / "folder").mkdir()
    for address, ledger in (
        (None, None),
        (tmp_path / "ledger.db", {"lost": 0, "degraded": False}),
        (tmp_path / "folder", {"lost": -1, "degraded": True}),
    ):
        changed = settings.model_copy(update={"costs_ledger": address and SecretStr(str(address))})
        status = load_monitor(changed, now=lambda: monitored.at).run()
        assert status["ledger"] == ledger
        assert exit_code(status) == 0
