"""A local AWS with an endpoint, a topic with a queue, and a monitor whose time the tests advance."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import urllib3

from embedstack.health.checks import Checker, CheckPolicy
from embedstack.health.monitor import HealthMonitor, configured_targets
from embedstack.health.notifications import Notifier
from embedstack.health.recovery import Recovery
from embedstack.health.storage import Storage, StoredReferences, open_storage
from embedstack.settings.settings import Settings, load_settings
from localaws.config import LocalAwsConfig
from localaws.faults.injector import FAULTS_PATH
from localaws.gateway.local_aws import LocalAws
from tests.support.localaws.harness import MINILM, OWN_IMAGE, Aws

ENDPOINT = "alex-embedding-endpoint"
INTERVAL = 300.0


@dataclass
class Monitored:
    """A monitor with a folder of its own; each check is five minutes after the last."""

    aws: Aws
    settings: Settings
    policy: CheckPolicy = field(default_factory=lambda: CheckPolicy(latency_ms=5000, timeout=5, pause=0.01))
    breakers: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # The local AWS's clock, since CloudWatch rejects figures of another time.
        self.at = self.aws.now().timestamp()

    @property
    def storage(self) -> Storage:
        return open_storage(self.settings)

    @cached_property
    def monitor(self) -> HealthMonitor:
        """A monitor that knows only what is stored."""
        references = StoredReferences(self.storage)
        checker = Checker(self.settings, references, self.policy)
        recovery = Recovery(
            checker, actions=self.settings.recovery_actions, per_hour=self.settings.health_actions_per_hour,
            breakers=self.breakers,
        )  # fmt: skip
        targets = configured_targets(self.settings)
        return HealthMonitor(
            targets, checker, self.storage, Notifier(self.settings), recovery, references=references,
            now=lambda: self.at,
        )  # fmt: skip

    def check(self, checks: int = 1) -> dict[str, Any]:
        """The status after some checks."""
        for _ in range(checks):
            self.at += INTERVAL
            status = self.monitor.run()
        return status

    def target(self, status: dict[str, Any], name: str = ENDPOINT) -> dict[str, Any]:
        return next(target for target in status["targets"] if target["name"] == name)

    def receive(self) -> list[str]:
        """Subjects of the notifications that the queue got since the last call."""
        sqs, subjects = self.aws.client("sqs"), []
        while messages := sqs.receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                subjects.append(json.loads(message["Body"])["Subject"])
                sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])
        return subjects

    @property
    def queue_url(self) -> str:
        return str(self.aws.client("sqs").get_queue_url(QueueName="health")["QueueUrl"])


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    """A local AWS with an endpoint of all-MiniLM-L6-v2, and a topic with a queue."""
    with LocalAws(LocalAwsConfig(port=0, stop_grace=5)) as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment().items():
            patch.setenv(name, value)
        aws = Aws(server)
        aws.create_model(ENDPOINT, OWN_IMAGE, HF_MODEL_ID=MINILM)
        aws.create_config("config-1", ENDPOINT)
        aws.sagemaker.create_endpoint(EndpointName=ENDPOINT, EndpointConfigName="config-1")
        aws.client("sqs").create_queue(QueueName="health")
        topic = aws.client("sns").create_topic(Name="health")["TopicArn"]
        queue = "arn:aws:sqs:us-east-1:123456789012:health"
        aws.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue)
        assert aws.settled(ENDPOINT)["EndpointStatus"] == "InService"
        yield aws
        aws.delete_endpoint(ENDPOINT)


@pytest.fixture
def monitored(aws: Aws, tmp_path: Path) -> Monitored:
    """A monitor of the endpoint that notifies the topic."""
    settings = load_settings(
        health_endpoints=ENDPOINT, health_state=str(tmp_path / "health"), health_metrics=True,
        health_topic_arn=aws.client("sns").list_topics()["Topics"][0]["TopicArn"],
    )  # fmt: skip
    monitored = Monitored(aws, settings)
    monitored.receive()
    return monitored


@contextmanager
def fault(aws: Aws, service: str, kind: str, rate: float = 1.0, seed: int = 0) -> Iterator[None]:
    """Make requests to a service fail."""

    def set_rate(rate: float) -> None:
        body = json.dumps({"service": service, "kind": kind, "rate": rate, "seed": seed}).encode()
        response = urllib3.request("POST", f"{aws.server.url}{FAULTS_PATH}", body=body)
        assert response.status == 200, response.data

    set_rate(rate)
    try:
        yield
    finally:
        set_rate(0)
