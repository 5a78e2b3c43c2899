"""Logs and metrics of Lambda functions."""

import base64
import json
from datetime import timedelta
from typing import Any

import pytest

from localaws import LocalAwsConfig
from tests.support.localaws.lambda_harness import Lambda


@pytest.fixture(scope="module")
def config() -> LocalAwsConfig:
    return LocalAwsConfig(port=0, stop_grace=5, clock_speed=1, function_processes=4)


def test_log_has_lambdas_lines_around_the_functions_lines(functions: Lambda, echo: str) -> None:
    response = functions.invoke(echo, {"name": "logged"}, LogType="Tail")
    tail = base64.b64decode(response["LogResult"]).decode().splitlines()
    request_id = response["Payload"]["id"]
    assert tail[0] == f"START RequestId: {request_id} Version: $LATEST"
    assert tail[1:3] == ["working on logged", f"END RequestId: {request_id}"]
    assert tail[3].startswith(f"REPORT RequestId: {request_id}\tDuration: ")
    assert "\tMemory Size: 256 MB\tMax Memory Used: " in tail[3]
    lines = functions.log("/aws/lambda/echo")
    assert "imported" in lines
    assert any(line.startswith("INIT_START Runtime Version: python:3.12") for line in lines)
    assert sum("Init Duration" in line for line in lines) == 1


def test_metrics_of_lambda_and_of_the_function(functions: Lambda) -> None:
    source = """
        import json
        def handler(event, context):
            directive = {"Namespace": "EmbedStack", "Dimensions": [["service"]],
                         "Metrics": [{"Name": "Chunks", "Unit": "Count"}]}
            print(json.dumps({"_aws": {"Timestamp": 1, "CloudWatchMetrics": [directive]},
                              "service": "ingest", "Chunks": [3, 4]}))
            if event.get("fail"):
                raise ValueError
    """
    functions.create("measured", source)
    functions.invoke("measured", {})
    functions.invoke("measured", {"fail": True})
    cloudwatch, now = functions.aws.client("cloudwatch"), functions.aws.now()

    def total(namespace: str, name: str, dimensions: dict[str, str]) -> Any:
        points = cloudwatch.get_metric_statistics(
            Namespace=namespace,
            MetricName=name,
            Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
            StartTime=now - timedelta(hours=1),
            EndTime=now + timedelta(minutes=2),
            Period=7200,
            Statistics=["Sum"],
        )["Datapoints"]
        return points[0]["Sum"], points[0]["Unit"]

    of_function = {"FunctionName": "measured"}
    assert total("AWS/Lambda", "Invocations", of_function) == (2, "Count")
    assert total("AWS/Lambda", "Errors", of_function) == (1, "Count")
    assert total("AWS/Lambda", "Duration", of_function)[1] == "Milliseconds"
    assert total("EmbedStack", "Chunks", {"service": "ingest"}) == (14, "Count")


def test_log_format_json(functions: Lambda) -> None:
    source = "import logging\ndef handler(event, context): logging.getLogger().warning('careful')"
    logging = {"LogFormat": "JSON", "LogGroup": "/own/group"}
    created = functions.create("json-logs", source, LoggingConfig=logging)
    assert created["LoggingConfig"]["SystemLogLevel"] == "INFO"
    functions.invoke("json-logs")
    lines = [json.loads(line) for line in functions.log("/own/group")]
    kinds = [line.get("type") for line in lines]
    assert kinds == ["platform.initStart", "platform.start", None, "platform.report"]
    assert (lines[2]["level"], lines[2]["message"]) == ("WARNING", "careful")
    assert lines[3]["record"]["metrics"]["memorySizeMB"] == 256
