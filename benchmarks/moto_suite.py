"""moto's own tests in server mode, against the local AWS and against moto's server.

moto's tests are not part of its package. Pass a checkout of moto's repository, of the installed version or the nearest,
and a Python with the packages that its tests import:

    git clone https://github.com/getmoto/moto /tmp/moto
    python -m venv /tmp/moto-venv
    /tmp/moto-venv/bin/pip install "moto[all,server]" pytest-timeout -r /tmp/moto/requirements-tests.txt
    python benchmarks/moto_suite.py /tmp/moto --python /tmp/moto-venv/bin/python sqs s3
"""

import argparse
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import urllib3

from localaws import LocalAwsConfig
from localaws.process import daemon

#: The services that the local AWS extends or that its other services depend on, by moto's names.
SERVICES = (
    "applicationautoscaling", "awslambda", "bedrockruntime", "budgets", "ce", "cloudformation", "cloudwatch", "ec2",
    "events", "iam", "kms", "logs", "rds", "s3", "s3vectors", "sagemaker", "sagemakerruntime", "scheduler", "sns",
    "sqs", "sts",
)  # fmt: skip
_START_SECONDS = 60.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path, help="folder with moto's tests/")
    parser.add_argument("services", nargs="*", default=SERVICES, help="moto's names (default: all of SERVICES)")
    parser.add_argument("--python", default=sys.executable, help="interpreter that has moto's test requirements")
    parser.add_argument("--seconds", type=int, default=120, help="longest duration of one test")
    options = parser.parse_intermixed_args()
    print("| Service | tests | moto's server | local AWS | only moto's | only local AWS |\n|---|---|---|---|---|---|")
    differences: list[str] = []
    with _moto_server(options.python) as moto_url, _local_aws() as local_url:
        for service in options.services:
            theirs, ours = (_passed(options, service, url) for url in (moto_url, local_url))
            ran = {test for test, outcome in theirs.items() if outcome is not None}
            lost = sorted(test for test in ran if theirs[test] and not ours.get(test))
            gained = sorted(test for test in ran if ours.get(test) and not theirs[test])
            counts = [sum(bool(outcomes.get(test)) for test in ran) for outcomes in (theirs, ours)]
            print(f"| {service} | {len(ran)} | {counts[0]} | {counts[1]} | {len(lost)} | {len(gained)} |", flush=True)
            differences += [f"only moto's server: {service} {test}" for test in lost]
            differences += [f"only the local AWS: {service} {test}" for test in gained]
    print("\n" + "\n".join(differences))


def _passed(options: argparse.Namespace, service: str, url: str) -> dict[str, bool | None]:
    """Whether each test passed; None for a skipped one."""
    with tempfile.NamedTemporaryFile(suffix=".xml") as report:
        environment = {
            **os.environ,
            "TEST_SERVER_MODE": "true",
            "TEST_SERVER_MODE_ENDPOINT": url,
            "AWS_ACCESS_KEY_ID": "foobar_key",
            "AWS_SECRET_ACCESS_KEY": "foobar_secret",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        subprocess.run(
            [
                options.python, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report.name}",
                f"--timeout={options.seconds}", "-m", "not network and not requires_docker", f"tests/test_{service}",
            ],
            cwd=options.checkout, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        cases = ET.parse(report.name).iter("testcase")  # noqa: S314 - written by pytest
        return {f"{case.get('classname')}::{case.get('name')}": _outcome(case) for case in cases}


def _outcome(case: "ET.Element") -> bool | None:
    if case.find("skipped") is not None:
        return None
    return case.find("failure") is None and case.find("error") is None


@contextlib.contextmanager
def _local_aws() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="moto-suite-") as folder:
        running = daemon.start(LocalAwsConfig(port=0), Path(folder), ends_with_caller=True)
        try:
            yield running.url
        finally:
            daemon.stop(Path(folder))


@contextlib.contextmanager
def _moto_server(python: str) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    server = subprocess.Popen(
        [python, "-m", "moto.server", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + _START_SECONDS
        with urllib3.PoolManager(retries=False) as pool:
            while time.monotonic() < deadline:
                with contextlib.suppress(urllib3.exceptions.HTTPError):
                    pool.request("GET", f"{url}/moto-api/data.json")
                    break
                time.sleep(0.1)
        yield url
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
