"""How containers' processes are started: as copies of one process, each its own master."""

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
from localaws.process.pid_files import PidFiles, ProcessIdentity
from localaws.services.sagemaker.containers.container_runtime import ContainerRuntime
from localaws.services.sagemaker.containers.process import ContainerProcess, ContainerStartError, LaunchPlan
from tests.support.localaws.harness import wait_until
from tests.support.tiny_bert import write_model

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere containers are no copies")

#: Starts a container, says which processes there are, and waits to be killed.
OWNER = """
import socket, sys, time
from pathlib import Path
from localaws.services.sagemaker.containers.container_runtime import ContainerRuntime
from localaws.process.pid_files import PidFiles
runtime = ContainerRuntime(PidFiles(Path(sys.argv[1])))
with socket.create_server(("127.0.0.1", 0)) as listener:
    container = runtime.start(listener)
print(container.process.pid, flush=True)
time.sleep(60)
"""

Start = Callable[..., ContainerProcess]


@pytest.fixture
def start(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Starts a container of a small model, with a label, a folder and environment variables."""
    pids = PidFiles(tmp_path / "containers")
    runtime = ContainerRuntime(pids)
    model = write_model(tmp_path_factory.mktemp("model"))
    containers = []

    def start(label: str = "search/AllTraffic", folder: Path = model, **environment: str) -> ContainerProcess:
        plan = LaunchPlan("embedstack", folder, "tiny", environment, label)
        container = ContainerProcess(plan, LocalAwsConfig(), runtime, lambda _line: None)
        containers.append(container)
        container.wait_until_ready(time.monotonic() + 60, threading.Event())
        return container

    yield start
    for container in containers:
        container.stop()
    runtime.close()
    assert pids.reap(grace=0) == []


def embed(container: ContainerProcess) -> int:
    return container.invoke(b'{"inputs": "the cat"}', {"Content-Type": "application/json"}, 10_000).status


def parent(pid: int) -> int:
    return int(subprocess.check_output(["ps", "-o", "ppid=", "-p", str(pid)]))


def command(pid: int) -> str:
    return subprocess.check_output(["ps", "-ww", "-o", "command=", "-p", str(pid)], text=True).strip()


def gone(pid: int) -> bool:
    return ProcessIdentity.of(pid) is None


def test_containers_are_copies_that_share_nothing(start: Start) -> None:
    one, other = start("search/One", LOG_LEVEL="debug"), start("search/Other")
    assert parent(one.pid) == parent(other.pid)
    assert command(one.pid).endswith("-m localaws.services.sagemaker.containers.main search/One")
    assert command(other.pid).endswith("-m localaws.services.sagemaker.containers.main search/Other")
    assert [os.getsid(each.pid) for each in (one, other)] == [one.pid, other.pid]
    assert [embed(each) for each in (one, other)] == [200, 200]
    one.stop()
    assert not one.alive
    assert gone(one.pid)
    assert "POST" in one.tail
    assert embed(other) == 200
    assert "POST" not in other.tail


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_containers_death_is_seen(start: Start, number: signal.Signals) -> None:
    container = start()
    os.kill(container.pid, number)
    wait_until(lambda: not container.alive)
    assert gone(container.pid)


def test_a_container_without_a_model_says_why_and_how_it_ended(start: Start, tmp_path: Path) -> None:
    with pytest.raises(ContainerStartError, match="exited with status 1") as raised:
        start(folder=tmp_path)
    assert str(tmp_path) in raised.value.tail


def test_the_end_of_what_is_copied_ends_its_copies_and_the_next_has_another(start: Start) -> None:
    container = start()
    template = parent(container.pid)
    os.kill(template, signal.SIGKILL)
    wait_until(lambda: not container.alive)
    wait_until(lambda: gone(container.pid))
    following = start()
    assert parent(following.pid) != template
    assert embed(following) == 200


def test_nothing_outlives_a_killed_owner(tmp_path: Path) -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    with owner:
        assert owner.stdout is not None
        container = int(owner.stdout.readline())
        template = parent(container)
        assert json.loads((tmp_path / f"{container}.json").read_text())["pid"] == container
        owner.kill()
    wait_until(lambda: gone(container) and gone(template))
