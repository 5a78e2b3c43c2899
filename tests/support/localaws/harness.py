"""Drives a local AWS as its users do: over HTTP, with real clients, and with load from several threads."""

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
import urllib3
from botocore.config import Config

from localaws.gateway.local_aws import LocalAws

TEI = "683313688378.dkr.ecr.us-east-1.amazonaws.com/tei-cpu:2.0.1-tei1.8.2-cpu-py310-ubuntu22.04"
TEI_GPU = "683313688378.dkr.ecr.us-east-1.amazonaws.com/tei:2.0.1-tei1.8.2-gpu-py310-cu122-ubuntu22.04"
HUGGINGFACE = (
    "763104351884.dkr.ecr.us-east-1.amazonaws.com/huggingface-pytorch-inference:"
    "2.6.0-transformers4.51.3-cpu-py312-ubuntu22.04"
)
OWN_IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/embeddings:1"
MINILM = "sentence-transformers/all-MiniLM-L6-v2"
#: What tests serve that need a model and not this or that one: it starts in half of all-MiniLM's time. Its vectors have
#: tests.support.tiny_bert.HIDDEN dimensions.
TINY_BERT = "tests/tiny-bert"
ROLE = "arn:aws:iam::123456789012:role/sagemaker"
_SETTLED = ("InService", "Failed")


class Aws:
    """A running local AWS with one client per service; it holds its answers against the services' models itself."""

    def __init__(self, server: LocalAws) -> None:
        self.server = server
        self.sagemaker = self.client("sagemaker")
        self.runtime = self.client("sagemaker-runtime", max_pool_connections=50)
        self.logs = self.client("logs")
        self.cloudwatch = self.client("cloudwatch")
        self.s3 = self.client("s3")

    def client(self, service: str, region: str = "us-east-1", attempts: int = 1, **config: Any) -> Any:
        retries = Config(retries={"total_max_attempts": attempts, "mode": "standard"}, **config)
        return boto3.client(  # type: ignore[call-overload]
            service,
            endpoint_url=self.server.url,
            region_name=region,
            aws_access_key_id="local",
            aws_secret_access_key="local",  # noqa: S106 - any will do
            config=retries,
        )

    def create_model(self, name: str, image: str = TEI, *, url: str | None = None, **environment: str) -> None:
        container: dict[str, Any] = {"Image": image, "Environment": environment}
        if url:
            container["ModelDataUrl"] = url
        self.sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)

    def create_config(self, name: str, model: str, **serverless: int) -> None:
        config = {"MemorySizeInMB": 2048, "MaxConcurrency": 20, **serverless}
        variant = {"VariantName": "AllTraffic", "ModelName": model, "ServerlessConfig": config}
        self.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])

    def create_instance_config(self, name: str, model: str, instances: int, **variant: Any) -> None:
        """An endpoint configuration of one variant on so many instances, which takes turns by load."""
        production_variant = {
            "VariantName": "AllTraffic",
            "ModelName": model,
            "InstanceType": "ml.c6i.large",
            "InitialInstanceCount": instances,
            "RoutingConfig": {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"},
            **variant,
        }
        self.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[production_variant])

    def settled(self, name: str, timeout: float = 90) -> dict[str, Any]:
        """DescribeEndpoint, once the endpoint is InService or Failed."""
        for _ in looks(timeout):
            description: dict[str, Any] = self.sagemaker.describe_endpoint(EndpointName=name)
            if description["EndpointStatus"] in _SETTLED:
                return description
        pytest.fail(f"{name} did not settle")

    def invoke(self, name: str, inputs: Any = "a text", **options: Any) -> Any:
        return json.loads(self.invoke_raw(name, json.dumps({"inputs": inputs, **options}).encode())["Body"])

    def invoke_raw(self, name: str, body: bytes, **options: Any) -> dict[str, Any]:
        """InvokeEndpoint, with the body read already."""
        answer = self.runtime.invoke_endpoint(
            EndpointName=name, Body=body, **{"ContentType": "application/json", **options}
        )
        with answer["Body"] as stream:
            return {**answer, "Body": stream.read()}

    def delete_endpoint(self, name: str) -> None:
        with contextlib.suppress(self.sagemaker.exceptions.ClientError):
            self.settled(name)
            self.sagemaker.delete_endpoint(EndpointName=name)
            for _ in looks(120):
                self.sagemaker.describe_endpoint(EndpointName=name)
            pytest.fail(f"{name} is still there")

    def variant(self, name: str) -> dict[str, Any]:
        """The endpoint's first production variant, as DescribeEndpoint has it now."""
        variant: dict[str, Any] = self.sagemaker.describe_endpoint(EndpointName=name)["ProductionVariants"][0]
        return variant

    def wake_by(self, target: Mapping[str, str], metric: str, statistic: str, **dimension: str) -> None:
        """Have a step policy add one to a scalable target whenever a metric of SageMaker's is 1 or more."""
        policy = self.client("application-autoscaling").put_scaling_policy(
            **target,
            PolicyName="wake",
            PolicyType="StepScaling",
            StepScalingPolicyConfiguration={
                "AdjustmentType": "ChangeInCapacity",
                "Cooldown": 60,
                "MetricAggregationType": "Maximum",
                "StepAdjustments": [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}],
            },
        )
        self.cloudwatch.put_metric_alarm(
            AlarmName="wake",
            Namespace="AWS/SageMaker",
            MetricName=metric,
            Dimensions=[{"Name": name, "Value": value} for name, value in dimension.items()],
            Statistic=statistic,
            Period=60,
            EvaluationPeriods=1,
            Threshold=1,
            ComparisonOperator="GreaterThanOrEqualToThreshold",
            AlarmActions=[policy["PolicyARN"]],
        )

    def advance(self, seconds: float) -> None:
        """Let the local AWS's time pass at once."""
        body = json.dumps({"advance": seconds}).encode()
        assert urllib3.request("POST", f"{self.server.url}/_embedstack/time", body=body).status == 200

    def now(self) -> datetime:
        """The local AWS's time."""
        answer = urllib3.request("GET", f"{self.server.url}/_embedstack/time")
        return datetime.fromisoformat(answer.json()["now"])

    def pids(self) -> list[int]:
        """Pids of the containers that run, by their pid files."""
        containers = self.server.state_dir / "containers"
        return sorted(int(path.stem) for path in containers.glob("*.json"))


def signed_headers(service: str) -> dict[str, str]:
    """The Authorization of a request for a service, as the local AWS takes it: it verifies no signature."""
    scope = f"local/20260101/us-east-1/{service}/aws4_request"
    return {"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature={'0' * 64}"}


def looks(timeout: float) -> Iterator[None]:
    """Moments to look whether something has happened, until the time is over: often at first, and less often the
    longer it takes, since each question to the local AWS costs processor time that what is waited for needs too."""
    deadline, pause = time.monotonic() + timeout, 0.01
    while time.monotonic() < deadline:
        yield
        time.sleep(pause)
        pause = min(2 * pause, 0.1)


def wait_until(condition: Callable[[], bool], timeout: float = 30) -> None:
    for _ in looks(timeout):
        if condition():
            return
    pytest.fail(f"what was waited for did not happen within {timeout:g} seconds")


@contextlib.contextmanager
def without_weights(models_dir: Path) -> Iterator[None]:
    """TINY_BERT lacks its weights: a container of it ends as soon as it has started."""
    weights = models_dir / TINY_BERT / "model.safetensors"
    elsewhere = weights.rename(weights.with_suffix(".elsewhere"))
    try:
        yield
    finally:
        elsewhere.rename(weights)


@contextlib.contextmanager
def stalled(pid: int) -> Iterator[None]:
    """A container that does not answer: its process stands still for as long as the context lasts."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


@dataclass
class Load:
    """Requests from several threads for as long as the context lasts; with pauses, which slow down less what goes on
    beside them."""

    invoke: Callable[[], Any]
    threads: int = 4
    pause: float = 0
    answers: int = 0
    errors: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._workers = [threading.Thread(target=self._work) for _ in range(self.threads)]

    def __enter__(self) -> "Load":
        for worker in self._workers:
            worker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for worker in self._workers:
            worker.join(120)
            assert not worker.is_alive(), "a request hangs"

    def wait_for(self, answers: int, timeout: float = 20) -> None:
        """Until that many more requests were answered."""
        target, deadline = self.answers + answers, time.monotonic() + timeout
        while self.answers < target:
            assert time.monotonic() < deadline, f"only {self.answers} of {target} answers; errors: {self.errors[-3:]}"
            time.sleep(0.01)

    def _work(self) -> None:
        while not self._stop.wait(self.pause):
            try:
                self.invoke()
            except Exception as error:  # noqa: BLE001 - what it is, is for the test to say
                with self._lock:
                    self.errors.append(error)
            else:
                with self._lock:
                    self.answers += 1
