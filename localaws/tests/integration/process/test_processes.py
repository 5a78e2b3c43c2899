"""Pid files, state file and lifeline."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from localaws.process.identity import ProcessIdentity
from localaws.process.pid_files import PidFiles
from localaws.process.state_file import is_disk_full, read_state, remove_state, write_state

STATE = {"pid": 1, "started": "2", "port": 3, "region": "r", "account_id": "a"}


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        yield process
        process.kill()


def test_reap_ends_recorded_processes(tmp_path: Path, sleeper: "subprocess.Popen[bytes]") -> None:
    files = PidFiles(tmp_path / "containers")
    files.add(sleeper.pid)
    assert files.reap(grace=5) == [sleeper.pid]
    assert sleeper.wait(5) != 0
    assert list((tmp_path / "containers").iterdir()) == []


def test_reap_leaves_reused_pids_alone(tmp_path: Path, sleeper: "subprocess.Popen[bytes]") -> None:
    (tmp_path / f"{sleeper.pid}.json").write_text(json.dumps({"pid": sleeper.pid, "started": "long ago"}))
    (tmp_path / "garbage.json").write_text("{")
    assert PidFiles(tmp_path).reap(grace=5) == []
    assert sleeper.poll() is None
    assert list(tmp_path.iterdir()) == []


def test_identity_of_an_ended_process_is_not_alive(sleeper: "subprocess.Popen[bytes]") -> None:
    identity = ProcessIdentity.of(sleeper.pid)
    assert identity is not None
    assert identity.alive
    sleeper.kill()
    identity.terminate(grace=5)
    assert ProcessIdentity.of(sleeper.pid) is None, "a zombie is not alive"


def test_terminate_kills_after_the_grace_period() -> None:
    code = "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        identity = ProcessIdentity.of(process.pid)
        assert identity is not None
        identity.terminate(grace=0.2)
        assert process.wait(5) == -9


def test_state_is_removed_by_its_owner_only(tmp_path: Path) -> None:
    write_state(tmp_path, STATE)
    assert read_state(tmp_path) == STATE
    assert [path.name for path in tmp_path.iterdir()] == ["localaws.json"]
    remove_state(tmp_path, pid=99)
    assert read_state(tmp_path) == STATE
    remove_state(tmp_path, pid=1)
    assert read_state(tmp_path) is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}'])
def test_read_state_ignores_damaged_files(tmp_path: Path, content: str) -> None:
    (tmp_path / "localaws.json").write_text(content)
    assert read_state(tmp_path) is None


def test_is_disk_full_recognizes_the_error() -> None:
    with pytest.raises(OSError, match="No space left") as caught, Path("/dev/full").open("w", buffering=1) as full:
        full.write("x\n")
    assert is_disk_full(caught.value)
    assert not is_disk_full(PermissionError(1, os.strerror(1)))


WATCHES_A_GROUP = """
import subprocess, sys, time
from localaws.process.lifeline import Lifeline

script = "sleep 60 & echo $!; wait"
leader = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, text=True, start_new_session=True)
child = leader.stdout.readline().strip()
lifeline = Lifeline(leader.pid, signal="KILL", group=True)
if sys.argv[1] == "release":
    lifeline.release()
print(leader.pid, child, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("action", ["keep", "release"])
def test_lifeline_ends_a_group_with_its_holder_unless_released(action: str) -> None:
    holder = [sys.executable, "-c", WATCHES_A_GROUP, action]
    with subprocess.Popen(holder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        group = [ProcessIdentity.of(int(pid)) for pid in process.stdout.readline().split()]
        process.kill()
    identities = [identity for identity in group if identity is not None]
    assert len(identities) == 2
    deadline = time.monotonic() + (10 if action == "keep" else 0.5)
    while any(identity.alive for identity in identities) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [identity.alive for identity in identities] == [action == "release"] * 2
    for identity in identities:
        identity.terminate(grace=5)
