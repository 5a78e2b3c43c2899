"""What watches an endpoint, applied as on AWS: alarms that go off on real errors, and tell who subscribed."""

import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.localaws.harness import wait_until

ENDPOINT = "alex-embedding-endpoint"
QUEUE_ARN = "arn:aws:sqs:us-east-1:123456789012:operators"
VARIABLES = f"""
name        = "alex"
environment = "local"
endpoints = {{
  embedding = {{
    model      = {{ hub_id = "sentence-transformers/all-MiniLM-L6-v2" }}
    serverless = {{ memory_mb = 2048, max_concurrency = 10 }}
  }}
}}
alarms = {{}}
notifications = {{
  emails        = ["team@example.com"]
  subscriptions = {{ operators = {{ protocol = "sqs", endpoint = "{QUEUE_ARN}" }} }}
}}
"""


def test_errors_raise_the_alarm_and_notify_the_queue(stack):
    queue = stack.client("sqs").create_queue(QueueName="operators")["QueueUrl"]
    stack.apply(VARIABLES)
    assert _state(stack, "alex-embedding-unhealthy") == "OK"

    for _ in range(2):
        _crash_one_request(stack)
        stack.advance(60)
    wait_until(lambda: _state(stack, "alex-embedding-unhealthy") == "ALARM")
    assert _state(stack, "alex-embedding-errors") == "ALARM"
    told = _told_of_an_alarm(stack, queue)
    assert told["AlarmName"] == "alex-embedding-unhealthy"
    assert {child["Arn"].rpartition(":")[2] for child in told["TriggeringChildren"]} <= {
        "alex-embedding-errors",
        "alex-embedding-model-errors",
    }


def _crash_one_request(stack):
    """Kill the container while it answers: an error of the service's, as the caller and the metrics see it."""
    runtime = stack.client("sagemaker-runtime")
    body = json.dumps({"inputs": "a text"}).encode()

    def invoke():
        return runtime.invoke_endpoint(EndpointName=ENDPOINT, Body=body, ContentType="application/json")

    invoke()
    (record,) = (stack.folder.parent / "state" / "containers").glob("*.json")
    os.kill(int(record.stem), signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(invoke)
        time.sleep(0.3)
        os.kill(int(record.stem), signal.SIGKILL)
        with pytest.raises(ClientError, match="ModelError"):
            pending.result()


def _state(stack, name):
    answer = stack.client("cloudwatch").describe_alarms(AlarmNames=[name], AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    (alarm,) = answer["MetricAlarms"] + answer["CompositeAlarms"]
    return alarm["StateValue"]


def _told_of_an_alarm(stack, queue):
    """The first message of an alarm that went off; that all is well is told, too, when an alarm is made."""
    alarms: list[dict[str, Any]] = []

    def told():
        messages = stack.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
        bodies = [json.loads(json.loads(message["Body"])["Message"]) for message in messages]
        alarms.extend(body for body in bodies if body["NewStateValue"] == "ALARM")
        return alarms

    wait_until(told)
    return alarms[0]
