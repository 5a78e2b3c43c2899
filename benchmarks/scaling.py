"""Autoscaling of endpoints under load on the local AWS: capacity over time, and latency and errors for callers.

Two endpoints of terraform/ are deployed: one with one to three instances, and one with zero to two copies. The local
AWS's clock runs faster than real time (--speed), so that minutes of metrics, alarms and cooldowns pass in seconds.
Requests and model servers run in real time.

usage: .venv/bin/python benchmarks/scaling.py [--speed 60] [--plot FILE.svg] [--json FILE]
"""

import argparse
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import boto3
import urllib3
from botocore.config import Config
from botocore.exceptions import ClientError
from scaling_plot import plot

from localaws.config import LocalAwsConfig
from localaws.core.clock import TIME_PATH

sys.path.append(str(Path(__file__).resolve().parents[1] / "scripts"))

from tests.support.temporary_stack import temporary_stack

CALLERS = 6
VARIABLES = """
name        = "alex"
environment = "scaling"
endpoints = {
  busy = {
    model       = { hub_id = "sentence-transformers/all-MiniLM-L6-v2" }
    realtime    = { instance_type = "ml.c7i.xlarge" }
    autoscaling = { min = 1, max = 3, tracking = { value = 12, scale_in_cooldown_s = 300, scale_out_cooldown_s = 60 } }
  }
  sleepy = {
    model         = { hub_id = "sentence-transformers/all-MiniLM-L6-v2" }
    scale_to_zero = { instance_type = "ml.c7i.xlarge", min = 0, max = 2 }
    autoscaling   = { tracking = { value = 60 } }
  }
}
"""
#: Simulated minutes and requests per simulated minute.
BUSY_PHASES = [(5, 6), (15, 34), (40, 6)]
SLEEPY_PHASES = [(3, 12), (35, 0), (25, 12)]


@dataclass(frozen=True, slots=True)
class Request:
    """A request: send time (simulated minutes), latency (real milliseconds) and outcome."""

    minute: float
    milliseconds: float
    outcome: str


@dataclass(slots=True)
class Recording:
    """Measurements of one endpoint.

    Attributes:
        title: Title of the plot.
        capacity: Simulated minute, current and desired capacity.
        requests: Finished requests.
    """

    title: str
    capacity: list[tuple[float, int, int]] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)


class SimulatedClock:
    """The local AWS's clock, read over HTTP."""

    def __init__(self, url: str) -> None:
        clock = urllib3.request("GET", url + TIME_PATH).json()
        self.speed: float = clock["speed"]
        self._start = datetime.fromisoformat(clock["now"])
        self._began = time.monotonic()

    def minutes(self) -> float:
        """Simulated minutes since this object was created."""
        return (time.monotonic() - self._began) * self.speed / 60


def main() -> None:
    """Run both scenarios, print and plot the measurements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speed", type=float, default=60, help="simulated seconds per second (60)")
    parser.add_argument("--plot", type=Path, help="plot capacity and latency over time to this SVG file")
    parser.add_argument("--json", type=Path, help="write all samples to this file")
    options = parser.parse_args()
    with temporary_stack(config=LocalAwsConfig(port=0, clock_speed=options.speed)) as stack:
        endpoints = stack.apply(VARIABLES).outputs()["endpoints"]
        recordings = [
            run_busy(endpoints["busy"], SimulatedClock(stack.running.url)),
            run_sleepy(endpoints["sleepy"], SimulatedClock(stack.running.url)),
        ]
    for recording in recordings:
        report(recording)
    if options.json:
        options.json.write_text(json.dumps([asdict(recording) for recording in recordings]))
    if options.plot:
        options.plot.write_text(plot(recordings, options.speed))


def run_busy(endpoint: dict[str, Any], clock: SimulatedClock) -> Recording:
    """A peak of traffic, with one to three instances."""
    sagemaker = client("sagemaker")

    def capacity() -> tuple[int, int]:
        (variant,) = sagemaker.describe_endpoint(EndpointName=endpoint["name"])["ProductionVariants"]
        return variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]

    return record("One to three instances", BUSY_PHASES, endpoint, clock, capacity)


def run_sleepy(endpoint: dict[str, Any], clock: SimulatedClock) -> Recording:
    """Traffic, a pause, and traffic again, with zero to two copies."""
    sagemaker = client("sagemaker")

    def capacity() -> tuple[int, int]:
        name = endpoint["inference_component"]
        counts = sagemaker.describe_inference_component(InferenceComponentName=name)["RuntimeConfig"]
        return counts["CurrentCopyCount"], counts["DesiredCopyCount"]

    return record("Zero to two copies", SLEEPY_PHASES, endpoint, clock, capacity)


def record(
    title: str,
    phases: Sequence[tuple[float, float]],
    endpoint: dict[str, Any],
    clock: SimulatedClock,
    capacity: Callable[[], tuple[int, int]],
) -> Recording:
    """Send the requests of the phases, and record the capacity meanwhile."""
    recording, done, due = Recording(title), threading.Event(), _Schedule(phases)
    callers = [
        threading.Thread(target=call, args=(endpoint, clock, due, recording, done), daemon=True) for _ in range(CALLERS)
    ]
    for caller in callers:
        caller.start()
    try:
        while (minute := clock.minutes()) < due.end:
            recording.capacity.append((minute, *capacity()))
            time.sleep(0.2)
    finally:
        done.set()
        for caller in callers:
            caller.join()
    return recording


class _Schedule:
    """Send times of requests, shared by several callers."""

    def __init__(self, phases: Sequence[tuple[float, float]]) -> None:
        self.end = sum(minutes for minutes, _ in phases)
        self._due = self._moments(phases)
        self._lock = threading.Lock()

    def take(self) -> float | None:
        with self._lock:
            return next(self._due, None)

    @staticmethod
    def _moments(phases: Sequence[tuple[float, float]]) -> Iterator[float]:
        start = 0.0
        for minutes, rate in phases:
            yield from (start + index / rate for index in range(int(minutes * rate)))
            start += minutes


def call(
    endpoint: dict[str, Any], clock: SimulatedClock, due: _Schedule, recording: Recording, done: threading.Event
) -> None:
    """Send requests at their scheduled times, without retries, so that errors are recorded."""
    runtime = client("sagemaker-runtime")
    component = endpoint["inference_component"]
    request = {
        "EndpointName": endpoint["name"],
        "Body": b'{"inputs": "under load"}',
        "ContentType": "application/json",
        **({"InferenceComponentName": component} if component else {}),
    }
    while (moment := due.take()) is not None:
        while (wait := (moment - clock.minutes()) * 60 / clock.speed) > 0:
            if done.wait(min(wait, 0.5)):
                return
        began = time.perf_counter()
        try:
            runtime.invoke_endpoint(**request)["Body"].read()
            outcome = "answered"
        except ClientError as error:
            outcome = "no capacity" if "capacity" in str(error) else error.response["Error"]["Code"]
        recording.requests.append(Request(moment, (time.perf_counter() - began) * 1000, outcome))


def client(service: str) -> Any:
    """A boto3 client without retries."""
    config = Config(retries={"total_max_attempts": 1}, max_pool_connections=CALLERS)
    session: Any = boto3.Session()
    return session.client(service, config=config)


def report(recording: Recording) -> None:
    """Print the changes of capacity, and the latencies."""
    print(f"\n{recording.title}")
    last = None
    for minute, current, desired in recording.capacity:
        if (current, desired) != last:
            print(f"  minute {minute:5.1f}: {current} running, {desired} desired")
            last = (current, desired)
    outcomes = sorted({request.outcome for request in recording.requests})
    for outcome in outcomes:
        times = [request.milliseconds for request in recording.requests if request.outcome == outcome]
        p95 = quantiles(times, n=20)[-1] if len(times) > 1 else times[0]
        print(f"  {len(times):5} {outcome}: median {median(times):.1f} ms, p95 {p95:.1f} ms")


if __name__ == "__main__":
    main()
