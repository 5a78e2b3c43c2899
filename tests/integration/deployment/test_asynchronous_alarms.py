"""Alarms of an asynchronous endpoint: silent while all requests are answered, loud for failed and expired ones."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from conftest import MINILM
from tests.integration.conftest import Stack, running_stack
from tests.support.localaws.harness import wait_until

ENDPOINT = "alex-queue-endpoint"
VARIABLES = f"""
name = "alex"
endpoints = {{
  queue = {{
    model = {{ hub_id = "{MINILM}" }}
    realtime = {{
      async = {{
        failure_path = "s3://texts/failed"
        input_path   = "s3://texts/in"
        output_path  = "s3://texts/out"
      }}
      instance_type = "ml.c7i.xlarge"
    }}
  }}
}}
alarms = {{ no_traffic_minutes = 5 }}
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("stack")) as stack:
        stack.client("s3").create_bucket(Bucket="texts")
        stack.apply(VARIABLES)
        yield stack


def _send(stack: Stack, inputs: Any, **options: Any) -> str:
    body = json.dumps({"inputs": inputs}).encode()
    called = stack.client("sagemaker-runtime").invoke_endpoint_async(
        EndpointName=ENDPOINT, Body=body, ContentType="application/json", **options
    )
    return str(called["InferenceId"])


def _files(stack: Stack) -> int:
    return int(stack.client("s3").list_objects_v2(Bucket="texts")["KeyCount"])


def _firing(stack: Stack) -> set[str]:
    described = stack.client("cloudwatch").describe_alarms(
        StateValue="ALARM", AlarmTypes=["MetricAlarm", "CompositeAlarm"]
    )
    return {alarm["AlarmName"] for kind in ("MetricAlarms", "CompositeAlarms") for alarm in described[kind]}


def _metrics(stack: Stack) -> set[str]:
    pages = stack.client("cloudwatch").get_paginator("list_metrics").paginate(Namespace="AWS/SageMaker")
    return {metric["MetricName"] for page in pages for metric in page["Metrics"]}


def test_answered_requests_raise_no_alarm(stack: Stack) -> None:
    for _ in range(15):
        _send(stack, "a text")
    wait_until(lambda: _files(stack) == 15, 60)
    stack.advance(120)
    wait_until(lambda: _firing(stack) == set())
    not_published = {"Invocations", "InvocationsPerInstance", "OverheadLatency", "ConcurrentRequestsPerModel"}
    assert "InvocationsProcessed" in _metrics(stack)
    assert _metrics(stack) & not_published == set()


def test_failed_requests_raise_the_alarm(stack: Stack) -> None:
    before = _files(stack)
    for _ in range(10):
        _send(stack, [])
    wait_until(lambda: _files(stack) == before + 10, 60)
    stack.advance(60)
    wait_until(lambda: _firing(stack) >= {"alex-queue-failures", "alex-queue-unhealthy"})
    assert "alex-queue-expired" not in _firing(stack)


def test_expired_requests_raise_the_alarm(stack: Stack) -> None:
    sagemaker = stack.client("sagemaker")
    sagemaker.update_endpoint_weights_and_capacities(
        EndpointName=ENDPOINT, DesiredWeightsAndCapacities=[{"VariantName": "AllTraffic", "DesiredInstanceCount": 0}]
    )
    wait_until(lambda: sagemaker.describe_endpoint(EndpointName=ENDPOINT)["EndpointStatus"] == "InService", 60)
    before = _files(stack)
    _send(stack, "a text that nobody processes", RequestTTLSeconds=60)
    stack.advance(90)
    wait_until(lambda: _files(stack) == before + 1)
    stack.advance(60)
    wait_until(lambda: _firing(stack) >= {"alex-queue-expired", "alex-queue-unhealthy"})
