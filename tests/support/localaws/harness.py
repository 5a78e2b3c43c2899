"""Drives a local AWS over HTTP, with real clients and concurrent load."""

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

TEI = "683313688378.dkr.ecr.us-east-1.amazonaws.com/tei-cpu:2.0.1-tei1.9.3-cpu-py310-ubuntu24.04"
TEI_GPU = "683313688378.dkr.ecr.us-east-1.amazonaws.com/tei:2.0.1-tei1.9.3-gpu-py310-cu129-ubuntu24.04"
HUGGINGFACE = (
    "763104351884.dkr.ecr.us-east-1.amazonaws.com/huggingface-pytorch-inference:"
    "2.6.0-transformers4.51.3-cpu-py312-ubuntu22.04"
)
OWN_IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/embeddings:1"
MINILM = "sentence-transformers/all-MiniLM-L6-v2"
#: For tests that need any model: it loads in half of all-MiniLM's time. Its vectors have
#: tests.support.tiny_bert.HIDDEN dimensions.
TINY_BERT = "tests/tiny-bert"
ROLE = "arn:aws:iam::123456789012:role/sagemaker"
_SETTLED = ("InService", "Failed")


class Aws:
    """A running local AWS with one client per service."""

    def __init__(self, server: LocalAws) -> None:
        self.server = server
        self.sagemaker = self.client("sagemaker")
        self.runtime = self.client("sagemaker-runtime", max_pool_connections=50)
        self.logs = self.client("logs")
        self.cloudwatch = self.client("cloudwatch")
        self.s3 = self.client("s3")

    def client(
        self, service: str, region: str = "us-east-1", attempts: int = 1, access_key: str = "local", **config: Any
    ) -> Any:
        retries = Config(retries={"total_max_attempts": attempts, "mode": "standard"}, **config)
        return boto3.client(  # type: ignore[call-overload]
            service,
            endpoint_url=self.server.url,
            region_name=region,
            aws_access_key_id=access_key,
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
        """Create a configuration of one variant on a number of instances, routed by load."""
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
        for _ in poll(timeout):
            description: dict[str, Any] = self.sagemaker.describe_endpoint(EndpointName=name)
            if description["EndpointStatus"] in _SETTLED:
                return description
        pytest.fail(f"{name} did not settle")

    def invoke(self, name: str, inputs: Any = "a text", **options: Any) -> Any:
        return json.loads(self.invoke_raw(name, json.dumps({"inputs": inputs, **options}).encode())["Body"])

    def invoke_raw(self, name: str, body: bytes, **options: Any) -> dict[str, Any]:
        """InvokeEndpoint, with the body as bytes."""
        response = self.runtime.invoke_endpoint(
            EndpointName=name, Body=body, **{"ContentType": "application/json", **options}
        )
        with response["Body"] as stream:
            return {**response, "Body": stream.read()}

    def delete_endpoint(self, name: str) -> None:
        with contextlib.suppress(self.sagemaker.exceptions.ClientError):
            self.settled(name)
            self.sagemaker.delete_endpoint(EndpointName=name)
            for _ in poll(120):
                self.sagemaker.describe_endpoint(EndpointName=name)
            pytest.fail(f"{name} still exists")

    def variant(self, name: str) -> dict[str, Any]:
        """The endpoint's first production variant, as DescribeEndpoint has it now."""
        variant: dict[str, Any] = self.sagemaker.describe_endpoint(EndpointName=name)["ProductionVariants"][0]
        return variant

    def wake_by(self, target: Mapping[str, str], metric: str, statistic: str, **dimension: str) -> None:
        """Scale a target out by one while a metric of SageMaker is 1 or more."""
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
        """Advance the local AWS's clock."""
        body = json.dumps({"advance": seconds}).encode()
        assert urllib3.request("POST", f"{self.server.url}/_embedstack/time", body=body).status == 200

    def now(self) -> datetime:
        """The time on the local AWS's clock."""
        response = urllib3.request("GET", f"{self.server.url}/_embedstack/time")
        return datetime.fromisoformat(response.json()["now"])

    def pids(self) -> list[int]:
        """Pids of the running containers, from their pid files."""
        containers = self.server.state_dir / "containers"
        return sorted(int(path.stem) for path in containers.glob("*.json"))


def signed_headers(service: str) -> dict[str, str]:
    """The Authorization header of a request; the local AWS does not verify signatures."""
    scope = f"local/20260101/us-east-1/{service}/aws4_request"
    return {"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature={'0' * 64}"}


def poll(timeout: float) -> Iterator[None]:
    """Yield until the timeout, with increasing pauses: polling takes processor time from what is waited for."""
    deadline, pause = time.monotonic() + timeout, 0.01
    while time.monotonic() < deadline:
        yield
        time.sleep(pause)
        pause = min(2 * pause, 0.1)


def wait_until(condition: Callable[[], bool], timeout: float = 30) -> None:
    for _ in poll(timeout):
        if condition():
            return
    pytest.fail(f"the condition was not met within {timeout:g} seconds")


@contextlib.contextmanager
def without_weights(models_dir: Path) -> Iterator[None]:
    """Remove the weights of TINY_BERT, so that its containers end during their start."""
    weights = models_dir / TINY_BERT / "model.safetensors"
    elsewhere = weights.rename(weights.with_suffix(".elsewhere"))
    try:
        yield
    finally:
        elsewhere.rename(weights)


@contextlib.contextmanager
def stalled(pid: int) -> Iterator[None]:
    """Pause a process for as long as the context lasts."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


@dataclass
class Load:
    """Requests from several threads for as long as the context lasts, with optional pauses between them."""

    invoke: Callable[[], Any]
    threads: int = 4
    pause: float = 0
    responses: int = 0
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

    def wait_for(self, responses: int, timeout: float = 20) -> None:
        """Wait for this many more responses."""
        target, deadline = self.responses + responses, time.monotonic() + timeout
        while self.responses < target:
            assert time.monotonic() < deadline, (
                f"only {self.responses} of {target} responses; errors: {self.errors[-3:]}"
            )
            time.sleep(0.01)

    def _work(self) -> None:
        while not self._stop.wait(self.pause):
            try:
                self.invoke()
            except Exception as error:  # noqa: BLE001 - the test checks them
                with self._lock:
                    self.errors.append(error)
            else:
                with self._lock:
                    self.responses += 1
