"""Serverless endpoints: concurrency, idling, cold starts, crashes."""

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from localaws import LocalAwsConfig
from tests.support.localaws.harness import Aws, Load, stalled, wait_until, without_weights

Deploy = Callable[..., dict[str, Any]]
IDLE_SECONDS = 1.0


@pytest.fixture(scope="module")
def config() -> LocalAwsConfig:
    return LocalAwsConfig(port=0, idle_seconds=IDLE_SECONDS, stop_grace=5, restart_backoff=0.2)


def answers(action: Callable[[], Any]) -> bool:
    try:
        action()
    except ClientError:
        return False
    return True


def error_code(action: Callable[[], Any]) -> str:
    with pytest.raises(ClientError) as caught:
        action()
    return str(caught.value.response["Error"]["Code"])


def test_idle_endpoint_stops_and_starts_on_demand(aws: Aws, deploy: Deploy) -> None:
    deploy("idle")
    (pid,) = aws.pids()
    wait_until(lambda: aws.pids() == [])

    with ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(lambda _: aws.invoke("idle", "cold"), range(8)))

    # Rounded as the batches that they were computed in.
    np.testing.assert_allclose(responses, [responses[0]] * 8, atol=1e-3)
    (new,) = aws.pids()
    assert new != pid


def test_busy_endpoint_is_not_idle(aws: Aws, deploy: Deploy) -> None:
    deploy("busy")
    pids = aws.pids()
    ends = time.monotonic() + 2 * IDLE_SECONDS
    while time.monotonic() < ends:
        aws.invoke("busy")
        time.sleep(0.1)
    assert aws.pids() == pids


def test_provisioned_concurrency_stays_warm_and_is_restarted(aws: Aws, deploy: Deploy) -> None:
    deploy("warm", serverless={"ProvisionedConcurrency": 1})
    (pid,) = aws.pids()
    time.sleep(2 * IDLE_SECONDS)
    assert aws.pids() == [pid]

    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: len(aws.pids()) == 1 and aws.pids() != [pid])


def test_requests_above_max_concurrency_are_throttled(aws: Aws, deploy: Deploy) -> None:
    deploy("throttled", serverless={"MaxConcurrency": 2})
    (pid,) = aws.pids()
    with ThreadPoolExecutor(5) as pool:
        with stalled(pid):
            requests = [pool.submit(aws.invoke, "throttled") for _ in range(5)]
            wait_until(lambda: sum(request.done() for request in requests) == 3)
        outcomes = [request.exception() for request in requests]

    errors = [error.response for error in outcomes if isinstance(error, ClientError)]
    assert outcomes.count(None) == 2
    assert len(errors) == 3
    for error in errors:
        assert error["Error"] == {"Message": None, "Code": "ThrottlingException"}
        assert error["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert len(aws.invoke("throttled")) == 1


def test_sdk_retries_throttling(aws: Aws, deploy: Deploy) -> None:
    deploy("retried", serverless={"MaxConcurrency": 1})
    (pid,) = aws.pids()
    retrying = boto3.client(
        "sagemaker-runtime",
        endpoint_url=aws.server.url,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",  # noqa: S106 - any will do
        config=Config(retries={"total_max_attempts": 10, "mode": "standard"}),
    )

    def invoke() -> bytes:
        response = retrying.invoke_endpoint(
            EndpointName="retried", Body=b'{"inputs": "a"}', ContentType="application/json"
        )
        with response["Body"] as stream:
            return stream.read()

    with ThreadPoolExecutor(2) as pool:
        with stalled(pid):
            first = pool.submit(aws.invoke, "retried")
            time.sleep(0.2)
            second = pool.submit(invoke)
            time.sleep(0.2)
        assert first.result()
        assert second.result()


def test_killed_container_fails_its_requests_and_is_replaced(aws: Aws, deploy: Deploy) -> None:
    deploy("killed")
    with Load(lambda: aws.invoke("killed", ["some text"] * 8), threads=6) as load:
        load.wait_for(12)
        for _ in range(3):
            (pid,) = aws.pids()
            os.kill(pid, signal.SIGKILL)
            load.wait_for(12)

    for error in load.errors:
        assert isinstance(error, ClientError), error
        assert error.response["Error"]["Code"] == "ModelError"
        assert error.response["OriginalStatusCode"] == 0  # type: ignore[typeddict-item]
        assert "as the model process exited" in str(error)
    # Each kill costs the requests in flight and no others.
    assert len(load.errors) <= 3 * 6


def test_container_that_fails_to_restart_recovers(aws: Aws, deploy: Deploy, models_dir: Path) -> None:
    deploy("loop")
    wait_until(lambda: aws.pids() == [])
    with without_weights(models_dir):
        assert {error_code(lambda: aws.invoke("loop")) for _ in range(10)} == {"ModelError"}
    wait_until(lambda: answers(lambda: aws.invoke("loop")))
