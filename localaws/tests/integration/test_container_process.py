"""A container is a process: it starts, serves, and ends with the local AWS."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from localaws.config import LocalAwsConfig
from localaws.process.identity import ProcessIdentity
from localaws.process.pid_files import PidFiles
from localaws.services.sagemaker.containers.process import ContainerProcess, ContainerStartError, LaunchPlan
from tests.support.localaws.harness import wait_until
from tests.support.tiny_bert import write_model

#: Starts a container, prints its pid, and waits to be killed.
OWNER = """
import sys, time
from pathlib import Path
from localaws.config import LocalAwsConfig
from localaws.process.pid_files import PidFiles
from localaws.services.sagemaker.containers.process import ContainerProcess, LaunchPlan
plan = LaunchPlan("embedstack", Path(sys.argv[2]), "tiny")
container = ContainerProcess(plan, LocalAwsConfig(), PidFiles(Path(sys.argv[1])), lambda line: None)
print(container.pid, flush=True)
time.sleep(60)
"""

Start = Callable[..., ContainerProcess]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small model."""
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def start(tmp_path: Path, model: Path) -> Iterator[Start]:
    """Starts a container of a small model, with a label, a folder and environment variables."""
    pids = PidFiles(tmp_path / "containers")
    containers = []

    def start(label: str = "search/AllTraffic", folder: Path = model, **environment: str) -> ContainerProcess:
        plan = LaunchPlan("embedstack", folder, "tiny", environment, label)
        container = ContainerProcess(plan, LocalAwsConfig(), pids, lambda _line: None)
        containers.append(container)
        container.wait_until_ready(time.monotonic() + 60, threading.Event())
        return container

    yield start
    for container in containers:
        container.stop()
    assert pids.reap(grace=0) == []


def embed(container: ContainerProcess) -> int:
    return container.invoke(b'{"inputs": "the cat"}', {"Content-Type": "application/json"}, 10_000).status


def command(pid: int) -> str:
    return subprocess.check_output(["ps", "-ww", "-o", "command=", "-p", str(pid)], text=True).strip()


def gone(pid: int) -> bool:
    return ProcessIdentity.of(pid) is None


def test_container_has_its_own_session_command_line_and_log(start: Start) -> None:
    one, other = start("search/One", LOG_LEVEL="debug"), start("search/Other")
    assert "-m localaws.services.sagemaker.containers.main" in command(one.pid)
    assert [command(each.pid).split()[-1] for each in (one, other)] == ["search/One", "search/Other"]
    assert [os.getsid(each.pid) for each in (one, other)] == [one.pid, other.pid]
    assert [embed(each) for each in (one, other)] == [200, 200]
    one.stop()
    assert not one.alive
    assert gone(one.pid)
    assert "POST" in one.tail
    assert embed(other) == 200
    assert "POST" not in other.tail


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_container_is_not_alive_after_a_signal(start: Start, number: signal.Signals) -> None:
    container = start()
    os.kill(container.pid, number)
    wait_until(lambda: not container.alive)
    assert gone(container.pid)


def test_container_without_a_model_reports_why_and_its_status(start: Start, tmp_path: Path) -> None:
    with pytest.raises(ContainerStartError, match="exited with status 1") as raised:
        start(folder=tmp_path)
    assert str(tmp_path) in raised.value.tail


def test_container_ends_with_a_killed_owner(tmp_path: Path, model: Path) -> None:
    arguments = [sys.executable, "-c", OWNER, str(tmp_path), str(model)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        container = int(owner.stdout.readline())
        assert json.loads((tmp_path / f"{container}.json").read_text())["pid"] == container
        owner.kill()
    wait_until(lambda: gone(container))
