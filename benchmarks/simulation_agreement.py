"""Compares the simulator with the local AWS: the same endpoints, policies and requests on both.

The local AWS runs real model servers with a small model; its clock stands still and is advanced minute by minute.
Capacity follows its own metrics, alarms and policies. Compared are instance-hours and the share of
throttled requests, and for asynchronous endpoints the p95 wait in minutes of that clock. Waits of real-time and
serverless endpoints pass in real time, which does not correspond to that clock: they are not compared.

usage: .venv/bin/python benchmarks/simulation_agreement.py [--only NAME …] [--json FILE]
"""

import argparse
import functools
import json
import math
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from botocore.exceptions import ClientError

from embedstack_ops.simulation.configurations import (
    Instances,
    Schedule,
    Serverless,
    TrackingPolicy,
    backlog_policy,
    invocations_tracking,
)
from embedstack_ops.simulation.service_times import Range, ServiceProfile
from embedstack_ops.simulation.simulation import Run, simulate
from embedstack_ops.simulation.traces import Trace
from localaws.config import LocalAwsConfig
from localaws.gateway.local_aws import LocalAws

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support.localaws.harness import ROLE, TINY_BERT, Aws, stalled, wait_until
from tests.support.tiny_bert import write_model

MINUTE = 60
DIMENSION = "sagemaker:variant:DesiredInstanceCount"
BUCKET = "answers"
INSTANT = ServiceProfile(0.005, cold_start_s=Range(0, 0), instance_start_s=Range(0, 0))


@dataclass(frozen=True, slots=True)
class Figures:
    """Instance-hours, p95 wait in seconds (None where it is not compared), and share of throttled requests."""

    instance_hours: float
    wait_p95: float | None
    throttled: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """The figures of a scenario on the local AWS and in the simulation."""

    scenario: str
    local: Figures
    simulated: Figures

    @property
    def holds(self) -> bool:
        """Whether hours and waits agree within 10 % and shares within 2 points."""
        return (
            math.isclose(self.local.instance_hours, self.simulated.instance_hours, rel_tol=0.1)
            and self._waits_agree
            and abs(self.local.throttled - self.simulated.throttled) <= 0.02
        )

    @property
    def _waits_agree(self) -> bool:
        local, simulated = self.local.wait_p95, self.simulated.wait_p95
        return local is None or (simulated is not None and math.isclose(local, simulated, rel_tol=0.1))


def tracked(aws: Aws, name: str, endpoint: Instances, counts: Sequence[int]) -> Agreement:
    """A real-time endpoint with target tracking, under a number of requests in each minute."""
    _align(aws)
    start = aws.now()
    _create_realtime(aws, name, endpoint)
    policy = endpoint.tracking[0] if endpoint.tracking else None
    target = _register(aws, name, endpoint)
    if policy is not None:
        metric = {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}
        settings = {
            "TargetValue": policy.target,
            "PredefinedMetricSpecification": metric,
            "ScaleInCooldown": policy.scale_in_cooldown_s,
            "ScaleOutCooldown": policy.scale_out_cooldown_s,
        }
        _track(aws, target, settings)
    minutes, failures = [], 0
    for count in counts:
        for _ in range(count):
            try:
                aws.invoke(name)
            except ClientError:
                failures += 1
        minutes.append(_instances(aws, name))
        _next_minute(aws, name, target)
    aws.delete_endpoint(name)
    run = simulate(replace(endpoint, metric_delay_s=0, publishes_zero=True), _trace(counts, start), INSTANT)
    local = Figures(sum(minutes) / MINUTE, None, failures / max(sum(counts), 1))
    return Agreement(name, local, _figures(run))


def queued(aws: Aws, name: str, waves: Sequence[int], *, wakes: bool = True) -> Agreement:
    """An asynchronous endpoint that scales to zero, and wakes up by the backlog policy."""
    steps = (backlog_policy(60, periods=1),) if wakes else ()
    endpoint = Instances(
        name, "ml.m5.xlarge", minimum=0, maximum=2, initial=1, concurrency=4, component="async", longest_wait_s=None,
        tracking=(TrackingPolicy("backlog", 5),), steps=steps, metric_delay_s=0,
    )  # fmt: skip
    _align(aws)
    start = aws.now()
    _create_async(aws, name)
    target = _register(aws, name, endpoint)
    backlog = {
        "Namespace": "AWS/SageMaker",
        "MetricName": "ApproximateBacklogSizePerInstance",
        "Dimensions": [{"Name": "EndpointName", "Value": name}],
        "Statistic": "Average",
    }
    _track(aws, target, {"TargetValue": 5, "CustomizedMetricSpecification": backlog})
    if wakes:
        aws.wake_by(target, "HasBacklogWithoutCapacity", "Maximum", EndpointName=name)
    minutes, waits = [], []
    open_requests: list[tuple[datetime, str]] = []
    for minute, count in enumerate(waves):
        for number in range(count):
            key = f"{name}-{minute}-{number}"
            aws.s3.put_object(Bucket=BUCKET, Key=key, Body=b'{"inputs": "a text"}')
            response = aws.runtime.invoke_endpoint_async(
                EndpointName=name, InputLocation=f"s3://{BUCKET}/{key}", ContentType="application/json"
            )
            open_requests.append((aws.now(), response["OutputLocation"]))
        minutes.append(_instances(aws, name))
        if minutes[-1]:
            wait_until(lambda: all(_exists(aws, location) for _, location in open_requests), timeout=60)
            waits += [(aws.now() - sent).total_seconds() for sent, _ in open_requests]
            open_requests.clear()
        _next_minute(aws, name, target)
    aws.delete_endpoint(name)
    run = simulate(endpoint, _trace(waves, start, within=0.0), INSTANT)
    ordered = sorted(waits)
    p95 = ordered[math.ceil(0.95 * len(ordered)) - 1]
    return Agreement(name, Figures(sum(minutes) / MINUTE, p95, 0.0), _figures(run))


def throttled(aws: Aws, name: str, waves: Sequence[int]) -> Agreement:
    """A serverless endpoint under waves of concurrent requests, while its containers are paused."""
    aws.create_model(name, HF_MODEL_ID=TINY_BERT)
    aws.create_config(name, name, MaxConcurrency=2)
    aws.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    aws.settled(name)
    rejected = 0
    with ThreadPoolExecutor(max(waves)) as pool:
        _outcome(aws, name)  # starts the container
        for count in waves:
            with ExitStack() as paused:
                for pid in aws.pids():
                    paused.enter_context(stalled(pid))
                calls = [pool.submit(_outcome, aws, name) for _ in range(count)]
                wait_until(functools.partial(_done, calls, max(count - 2, 0)))
            rejected += sum(not call.result() for call in calls)
    aws.delete_endpoint(name)
    profile = replace(INSTANT, base_s=1.0)
    run = simulate(Serverless(name, max_concurrency=2), _trace(waves, datetime.now().astimezone(), within=0), profile)
    simulated = _figures(run)
    return Agreement(name, Figures(0.0, None, rejected / sum(waves)), simulated)


def _figures(run: Run) -> Figures:
    return Figures(run.instance_s / 3_600, run.wait_percentile(95), run.throttled_share)


def _trace(counts: Sequence[int], start: datetime, within: float = 50.0) -> Trace:
    times = [
        minute * MINUTE + (within * number / count if count else 0)
        for minute, count in enumerate(counts)
        for number in range(count)
    ]
    return Trace.of(np.array(times), length=len(counts) * MINUTE, start=start)


def _create_realtime(aws: Aws, name: str, endpoint: Instances) -> None:
    aws.create_model(name, HF_MODEL_ID=TINY_BERT)
    aws.create_instance_config(name, name, endpoint.start)
    aws.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    aws.settled(name)


def _create_async(aws: Aws, name: str) -> None:
    aws.create_model(name, HF_MODEL_ID=TINY_BERT)
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": name,
        "InstanceType": "ml.c6i.large",
        "InitialInstanceCount": 1,
    }
    aws.sagemaker.create_endpoint_config(
        EndpointConfigName=name,
        ExecutionRoleArn=ROLE,
        ProductionVariants=[variant],
        AsyncInferenceConfig={
            "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 4},
            "OutputConfig": {"S3OutputPath": f"s3://{BUCKET}/out/", "S3FailurePath": f"s3://{BUCKET}/failed"},
        },
    )
    aws.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    aws.settled(name)


def _register(aws: Aws, name: str, endpoint: Instances) -> dict[str, str]:
    client = aws.client("application-autoscaling")
    resource = f"endpoint/{name}/variant/AllTraffic"
    target = {"ServiceNamespace": "sagemaker", "ResourceId": resource, "ScalableDimension": DIMENSION}
    client.register_scalable_target(**target, MinCapacity=endpoint.minimum, MaxCapacity=endpoint.maximum)
    for number, schedule in enumerate(endpoint.schedules):
        client.put_scheduled_action(
            **target,
            ScheduledActionName=f"schedule-{number}",
            Schedule=schedule.expression,
            ScalableTargetAction={"MinCapacity": schedule.minimum, "MaxCapacity": schedule.maximum},
        )
    return target


def _track(aws: Aws, target: dict[str, str], settings: dict[str, Any]) -> None:
    aws.client("application-autoscaling").put_scaling_policy(
        **target,
        PolicyName="tracking",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration=settings,
    )


def _align(aws: Aws) -> None:
    """Advance to the beginning of a minute."""
    now = aws.now()
    aws.advance(MINUTE - now.second - now.microsecond / 1e6 + 0.001)


def _next_minute(aws: Aws, name: str, target: dict[str, str]) -> None:
    """Advance a minute, and wait until the capacity has followed."""
    aws.advance(MINUTE)
    client = aws.client("application-autoscaling")

    def is_settled() -> bool:
        activities = client.describe_scaling_activities(**target)["ScalingActivities"]
        is_idle = not {activity["StatusCode"] for activity in activities} & {"Pending", "InProgress"}
        variant = aws.variant(name)
        return is_idle and variant["CurrentInstanceCount"] == variant["DesiredInstanceCount"]

    # Alarms are evaluated in the background after the minute: the capacity counts once it stands still.
    for _ in range(3):
        wait_until(is_settled, timeout=60)
        time.sleep(0.15)
    aws.settled(name)


def _instances(aws: Aws, name: str) -> int:
    return int(aws.variant(name)["CurrentInstanceCount"])


def _outcome(aws: Aws, name: str) -> bool:
    try:
        aws.invoke(name)
    except ClientError:
        return False
    return True


def _done(calls: "Sequence[Future[bool]]", least: int) -> bool:
    return sum(call.done() for call in calls) >= least


def _exists(aws: Aws, location: str) -> bool:
    bucket, _, key = location.removeprefix("s3://").partition("/")
    try:
        aws.s3.head_object(Bucket=bucket, Key=key)
    except ClientError:
        return False
    return True


def _at(minute: int, now: datetime) -> str:
    moment = now + timedelta(minutes=minute)
    return f"at({moment.replace(second=0, microsecond=0, tzinfo=None).isoformat()})"


def _scheduled(aws: Aws, name: str) -> Agreement:
    _align(aws)
    now = aws.now()
    schedules = (Schedule(_at(6, now), 3, 3), Schedule(_at(21, now), 1, 1))
    # Creating the endpoint advances to the next minute.
    endpoint = Instances(name, "ml.m5.xlarge", maximum=3, schedules=schedules, metric_delay_s=0)
    return tracked(aws, name, endpoint, [4] * 30)


def scenarios() -> dict[str, Callable[[Aws, str], Agreement]]:
    """The scenarios by name."""
    quick = invocations_tracking(20, scale_out_cooldown_s=60, scale_in_cooldown_s=60)

    def steady(aws: Aws, name: str) -> Agreement:
        return tracked(aws, name, Instances(name, "ml.m5.xlarge", maximum=4, initial=3, tracking=(quick,)), [34] * 24)

    def burst(aws: Aws, name: str) -> Agreement:
        counts = [10] * 4 + [55] * 6 + [8] * 26
        return tracked(aws, name, Instances(name, "ml.m5.xlarge", maximum=4, tracking=(quick,)), counts)

    def idle(aws: Aws, name: str) -> Agreement:
        return queued(aws, name, [3] + [0] * 24 + [2] + [0] * 9)

    def backlog(aws: Aws, name: str) -> Agreement:
        return queued(aws, name, [0] * 18 + [40] + [0] * 18 + [6] + [0] * 4)

    return {
        "steady": steady,
        "burst": burst,
        "scheduled": _scheduled,
        "scale-to-zero": idle,
        "asynchronous": backlog,
        "throttled": lambda aws, name: throttled(aws, name, [1, 2, 3, 4, 6, 8]),
    }


def main() -> None:
    """Run the scenarios, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", help="names of scenarios (default: all)")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    arguments = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as folder:
        write_model(Path(folder) / TINY_BERT)
        config = LocalAwsConfig(port=0, stop_grace=5, clock_speed=0, models_dir=Path(folder))
        with LocalAws(config) as server:
            aws = Aws(server)
            aws.s3.create_bucket(Bucket=BUCKET)
            for name, scenario in scenarios().items():
                if not arguments.only or name in arguments.only:
                    results.append(scenario(aws, name))
                    _print(results[-1])
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(result) for result in results], indent=2))
    sys.exit(0 if all(result.holds for result in results) else 1)


def _print(result: Agreement) -> None:
    local, simulated = result.local, result.simulated
    waits = "not compared" if local.wait_p95 is None else f"{local.wait_p95:.1f} / {simulated.wait_p95:.1f} s"
    print(
        f"{result.scenario:14} instance-hours {local.instance_hours:6.3f} / {simulated.instance_hours:6.3f}  "
        f"p95 wait {waits:14} "
        f"throttled {100 * local.throttled:5.1f} / {100 * simulated.throttled:5.1f} %  "
        f"{'agrees' if result.holds else 'DIFFERS'}",
        flush=True,
    )


if __name__ == "__main__":
    main()
