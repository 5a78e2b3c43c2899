"""Metrics and logs of endpoints in CloudWatch."""

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localaws import LocalAwsConfig
from tests.support.localaws.harness import Aws, stalled, wait_until
from tests.support.tiny_bert import HIDDEN

Deploy = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def config() -> LocalAwsConfig:
    return LocalAwsConfig(port=0, idle_seconds=1.5, stop_grace=5)


def statistics(aws: Aws, endpoint: str, metric: str) -> dict[str, Any]:
    now = datetime.now(UTC)
    points = aws.cloudwatch.get_metric_statistics(
        Namespace="AWS/SageMaker",
        MetricName=metric,
        Dimensions=[{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": "AllTraffic"}],
        StartTime=now - timedelta(minutes=10),
        EndTime=now + timedelta(minutes=1),
        Period=3600,
        Statistics=["Sum", "Average", "Maximum", "Minimum", "SampleCount"],
    )["Datapoints"]
    return dict(points[0]) if points else {}


def test_endpoint_metrics_count_invocations(aws: Aws, deploy: Deploy) -> None:
    deploy("measured", serverless={"MaxConcurrency": 4})
    for _ in range(5):
        aws.invoke("measured")
    with pytest.raises(ClientError):
        aws.invoke("measured", [])

    assert statistics(aws, "measured", "Invocations")["Sum"] == 6
    assert statistics(aws, "measured", "Invocation4XXErrors")["Sum"] == 1
    assert statistics(aws, "measured", "Invocation4XXErrors")["SampleCount"] == 6
    assert statistics(aws, "measured", "Invocation5XXErrors")["Sum"] == 0
    assert statistics(aws, "measured", "InvocationModelErrors")["Sum"] == 1
    latency = statistics(aws, "measured", "ModelLatency")
    assert latency["Unit"] == "Microseconds"
    assert 200 < latency["Minimum"] <= latency["Average"] <= latency["Maximum"] < 10_000_000
    assert statistics(aws, "measured", "OverheadLatency")["SampleCount"] == 6
    assert statistics(aws, "measured", "ServerlessConcurrentExecutionsUtilization")["Maximum"] == 0.25
    assert statistics(aws, "measured", "ModelSetupTime") == {}


def test_endpoint_metrics_separate_cold_starts(aws: Aws, deploy: Deploy) -> None:
    deploy("cold")
    wait_until(lambda: aws.pids() == [])
    aws.invoke("cold")

    setup = statistics(aws, "cold", "ModelSetupTime")
    assert setup["SampleCount"] == 1
    assert setup["Sum"] > 10_000
    assert statistics(aws, "cold", "OverheadLatency")["Maximum"] >= setup["Sum"]
    assert statistics(aws, "cold", "ModelLatency")["Maximum"] < setup["Sum"]


def test_get_metric_data_returns_endpoint_metrics(aws: Aws, deploy: Deploy) -> None:
    deploy("queried")
    aws.invoke("queried")
    dimensions = [{"Name": "EndpointName", "Value": "queried"}, {"Name": "VariantName", "Value": "AllTraffic"}]
    metric = {"Namespace": "AWS/SageMaker", "MetricName": "Invocations", "Dimensions": dimensions}
    now = datetime.now(UTC)
    (result,) = aws.cloudwatch.get_metric_data(
        MetricDataQueries=[{"Id": "m", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}}],
        StartTime=now - timedelta(minutes=5),
        EndTime=now + timedelta(minutes=1),
    )["MetricDataResults"]
    assert sum(result["Values"]) == 1
    names = aws.cloudwatch.list_metrics(Namespace="AWS/SageMaker", Dimensions=dimensions)["Metrics"]
    assert {"ModelLatency", "Invocations"} <= {metric["MetricName"] for metric in names}


def test_get_metric_statistics_returns_percentiles(aws: Aws, deploy: Deploy) -> None:
    deploy("percentiles")
    for _ in range(20):
        aws.invoke("percentiles")
    now = datetime.now(UTC)
    window = {"StartTime": now - timedelta(minutes=5), "EndTime": now + timedelta(minutes=1)}
    dimensions = [{"Name": "EndpointName", "Value": "percentiles"}, {"Name": "VariantName", "Value": "AllTraffic"}]
    metric = {"Namespace": "AWS/SageMaker", "MetricName": "ModelLatency", "Dimensions": dimensions}
    (point,) = aws.cloudwatch.get_metric_statistics(
        **metric, **window, Period=3600, Statistics=["Minimum", "Maximum"], ExtendedStatistics=["p0", "p50", "p99.9"]
    )["Datapoints"]
    percentiles = point["ExtendedStatistics"]
    assert point["Minimum"] == percentiles["p0"] <= percentiles["p50"] <= percentiles["p99.9"] == point["Maximum"]

    query = {"Id": "m", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "SampleCount"}}
    (result,) = aws.cloudwatch.get_metric_data(MetricDataQueries=[query], **window)["MetricDataResults"]
    assert sum(result["Values"]) == 20


def test_get_metric_data_rejects_unsupported_statistics(aws: Aws) -> None:
    now = datetime.now(UTC)
    window = {"StartTime": now - timedelta(minutes=5), "EndTime": now}
    metric = {"Namespace": "AWS/SageMaker", "MetricName": "ModelLatency"}
    query: dict[str, Any] = {"Id": "m", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "tm95"}}
    with pytest.raises(ClientError, match="the statistic tm95"):
        aws.cloudwatch.get_metric_data(MetricDataQueries=[query], **window)
    query["MetricStat"]["Stat"] = "Sum"
    with pytest.raises(ClientError, match="GetMetricData with Expression"):
        aws.cloudwatch.get_metric_data(MetricDataQueries=[query, {"Id": "r", "Expression": "m / 1000"}], **window)


def test_endpoint_metrics_count_a_crash_as_model_error(aws: Aws, deploy: Deploy) -> None:
    deploy("killed", serverless={"ProvisionedConcurrency": 1})
    (pid,) = aws.pids()
    with ThreadPoolExecutor(1) as pool, stalled(pid):
        pending = pool.submit(aws.invoke, "killed")
        time.sleep(0.3)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(ClientError, match="model process exited"):
            pending.result()
    assert statistics(aws, "killed", "Invocations")["Sum"] == 1
    assert statistics(aws, "killed", "Invocation5XXErrors")["Sum"] == 1
    assert statistics(aws, "killed", "InvocationModelErrors")["Sum"] == 1


def test_container_output_is_logged_without_texts(aws: Aws, deploy: Deploy) -> None:
    deploy("logged")
    with pytest.raises(ClientError):
        aws.invoke("logged", ["secret words"] * 33)
    group = "/aws/sagemaker/Endpoints/logged"
    wait_until(lambda: len(aws.logs.filter_log_events(logGroupName=group)["events"]) >= 2)
    events = aws.logs.filter_log_events(logGroupName=group)["events"]
    messages = [event["message"] for event in events]
    assert any(f"{HIDDEN} dimensions" in message for message in messages)
    assert any("422" in message for message in messages)
    assert not any("secret" in message for message in messages)
    stream = events[0]["logStreamName"]
    assert stream.startswith("AllTraffic/")
    assert aws.logs.get_log_events(logGroupName=group, logStreamName=stream)["events"]


def test_deleted_log_group_is_not_recreated(aws: Aws, deploy: Deploy) -> None:
    deploy("quiet")
    aws.invoke("quiet")
    aws.delete_endpoint("quiet")
    group = "/aws/sagemaker/Endpoints/quiet"
    assert aws.logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"], "AWS leaves it, so do we"

    aws.logs.delete_log_group(logGroupName=group)
    time.sleep(0.5)
    assert aws.logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"] == []


def test_existing_log_group_is_used(aws: Aws, deploy: Deploy) -> None:
    group = "/aws/sagemaker/Endpoints/made"
    aws.logs.create_log_group(logGroupName=group)
    aws.logs.put_retention_policy(logGroupName=group, retentionInDays=7)
    deploy("made")
    (described,) = aws.logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert described["retentionInDays"] == 7
    assert aws.logs.filter_log_events(logGroupName=group)["events"]


def test_times_of_metrics_are_compared_in_seconds(aws: Aws) -> None:
    start = datetime.now(UTC).replace(microsecond=20_000)
    period: dict[str, Any] = {"StartTime": start, "EndTime": start.replace(microsecond=980_000)}
    metric = {"Namespace": "N", "MetricName": "M"}
    with pytest.raises(ClientError, match="StartTime must be less than the parameter EndTime"):
        aws.cloudwatch.get_metric_statistics(**metric, **period, Period=60, Statistics=["Sum"])
    query = {"Id": "q", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}}
    with pytest.raises(ClientError, match="StartTime must not equal parameter EndTime"):
        aws.cloudwatch.get_metric_data(**period, MetricDataQueries=[query])


def test_log_group_does_not_inherit_tags_of_a_deleted_one(aws):
    logs = aws.client("logs")
    logs.create_log_group(logGroupName="again", tags={"CostCenter": "search"})
    arn = logs.describe_log_groups(logGroupNamePrefix="again")["logGroups"][0]["logGroupArn"]
    logs.delete_log_group(logGroupName="again")
    logs.create_log_group(logGroupName="again", tags={"Project": "alex"})
    assert logs.list_tags_for_resource(resourceArn=arn)["tags"] == {"Project": "alex"}
    logs.delete_log_group(logGroupName="again")
