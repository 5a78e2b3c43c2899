"""Starts, finds and stops the local AWS in the background, from any process.

Each local AWS has its own state directory: ``localaws.json`` (its process and port), ``localaws.log`` (its log),
``localaws.lock`` (held while it is started or stopped), ``containers/`` (pids of its child processes) and
``databases/`` (data directories of its Postgres servers). ``saved-state`` is what a stop has kept.
"""

import contextlib
import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import urllib3

from localaws.config import LocalAwsConfig
from localaws.core.paths import HEALTH_PATH, QUEUES_PATH
from localaws.errors import LocalAwsError
from localaws.process.databases import remove_databases, stop_databases
from localaws.process.identity import ProcessIdentity
from localaws.process.lifeline import lifeline_fd
from localaws.process.pid_files import PidFiles
from localaws.process.saved_file import KEEP_SIGNAL, SavedFile
from localaws.process.state_file import is_disk_full, read_state, remove_state

__all__ = ["RunningLocalAws", "find", "has_kept_state", "left_out", "start", "stop"]

_LOG_TAIL_LINES = 15
_RESUME_FACTOR = 5
#: The processes that this one started: Popen warns about a running process that is no longer referenced.
_started: list["subprocess.Popen[bytes]"] = []


@dataclass(frozen=True, slots=True)
class RunningLocalAws:
    """A local AWS that passes its health check.

    Attributes:
        pid: Its process id.
        port: Its TCP port on 127.0.0.1.
        region: The default region.
        account_id: The account.
        state_dir: Its state directory.
    """

    pid: int
    port: int
    region: str
    account_id: str
    state_dir: Path

    @property
    def url(self) -> str:
        """The value for AWS_ENDPOINT_URL."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log_file(self) -> Path:
        """The log file."""
        return self.state_dir / "localaws.log"

    def environment(self) -> dict[str, str]:
        """Environment variables that point SDKs, CLI and Terraform at it."""
        return LocalAwsConfig(region=self.region).client_environment(self.port)

    def queues(self) -> list[dict[str, Any]]:
        """Its SQS queues with their counts of messages; see :mod:`localaws.services.sqs.inspection`."""
        queues: list[dict[str, Any]] = self._get(QUEUES_PATH)["queues"]
        return queues

    def messages(self, queue: str, limit: int) -> list[dict[str, Any]]:
        """The oldest messages of a queue; they stay as they are.

        Raises:
            LocalAwsError: There is no such queue, or it is in several accounts or regions.
        """
        path = f"{QUEUES_PATH}/{quote(queue, safe='')}/messages?limit={limit}"
        messages: list[dict[str, Any]] = self._get(path)["messages"]
        return messages

    def _get(self, path: str) -> dict[str, Any]:
        with urllib3.PoolManager(retries=False) as pool:
            response = pool.request("GET", f"{self.url}{path}", timeout=30.0)
        document: dict[str, Any] = response.json()
        if response.status != HTTPStatus.OK:
            raise LocalAwsError(document["error"])
        return document

    @classmethod
    def _from_state(cls, state: dict[str, Any], state_dir: Path) -> Self:
        return cls(
            pid=state["pid"],
            port=state["port"],
            region=state["region"],
            account_id=state["account_id"],
            state_dir=state_dir,
        )


def start(
    config: LocalAwsConfig, state_dir: Path, timeout: float = 60.0, *, ends_with_caller: bool = False
) -> RunningLocalAws:
    """Start the local AWS in the background, or return the one that runs with this state directory.

    Args:
        config: Limits and durations; its ``state_dir`` is replaced.
        state_dir: Folder for its files; created if necessary.
        timeout: Seconds until it has to be healthy; five times as long if it continues with a state that was kept,
            since it then starts the endpoints.
        ends_with_caller: Stop it when this process ends, however it ends. By default it keeps running.

    Raises:
        LocalAwsError: The port is taken, the disk is full, or it did not start in time; the message says what to do.
    """
    with _locked(state_dir, timeout):
        running = find(state_dir)
        if running is not None:
            return running
        _clear_remains(state_dir)
        timeout *= _RESUME_FACTOR if has_kept_state(state_dir) else 1
        return _spawn(config, state_dir, timeout, ends_with_caller=ends_with_caller)


def find(state_dir: Path) -> RunningLocalAws | None:
    """The healthy local AWS of this state directory; None if none is running."""
    state = read_state(state_dir)
    if state is None or not _identity(state).alive or not _is_healthy(state):
        return None
    return RunningLocalAws._from_state(state, state_dir)  # noqa: SLF001 - same module


def stop(state_dir: Path, timeout: float = 60.0, *, keep: bool = False) -> bool:
    """Stop the local AWS and all its child processes, if it runs.

    Args:
        state_dir: Its state directory.
        timeout: Seconds from the first signal to SIGKILL.
        keep: Keep the state for the next start. By default it is deleted, also what was kept before.

    Returns:
        Whether it ran.

    Raises:
        LocalAwsError: Another process has been starting or stopping it for longer than the timeout, or the state cannot
            be kept.
    """
    _reap_started()
    if not state_dir.is_dir():
        return False
    with _locked(state_dir, timeout):
        state = read_state(state_dir)
        ran = state is not None and _identity(state).alive
        if state is not None and ran:
            _identity(state).terminate(timeout, KEEP_SIGNAL if keep else signal.SIGTERM)
            _wait_for_free_port(state["port"])
        saved = SavedFile(state_dir)
        if not keep:
            saved.discard()
        _clear_remains(state_dir)
        _reap_started()
        if keep and state is not None and ran and (saved.header is None or saved.header.pid != state["pid"]):
            raise LocalAwsError(
                f"The local AWS has stopped, but its state was not kept; one that was kept earlier stays. See "
                f"{state_dir / 'localaws.log'}."
            )
        return ran


def has_kept_state(state_dir: Path) -> bool:
    """Whether the next start continues with a state that was kept."""
    return SavedFile(state_dir).path.exists()


def left_out(state_dir: Path) -> list[str]:
    """The services of moto whose state could not be kept."""
    header = SavedFile(state_dir).header
    return header.left_out if header is not None else []


def _reap_started() -> None:
    """Drop the processes that have ended."""
    _started[:] = [process for process in _started if process.poll() is None]


def _identity(state: dict[str, Any]) -> ProcessIdentity:
    return ProcessIdentity(state["pid"], state["started"])


def _is_healthy(state: dict[str, Any]) -> bool:
    """Whether the local AWS on this port is this process."""
    try:
        url = f"http://127.0.0.1:{state['port']}{HEALTH_PATH}"
        with urllib3.PoolManager(retries=False) as pool:
            health = pool.request("GET", url, timeout=5.0).json()
    except (urllib3.exceptions.HTTPError, ValueError):
        return False
    return isinstance(health, dict) and health.get("pid") == state["pid"]


def _clear_remains(state_dir: Path) -> None:
    """End the processes and remove the files that a crash left behind."""
    state = read_state(state_dir)
    if state is not None:
        _identity(state).terminate(grace=5.0)
    if has_kept_state(state_dir):
        stop_databases(state_dir)
    else:
        remove_databases(state_dir)
    PidFiles(state_dir / "containers").reap(grace=5.0)
    remove_state(state_dir)


def _spawn(config: LocalAwsConfig, state_dir: Path, timeout: float, *, ends_with_caller: bool) -> RunningLocalAws:
    settings = {name: str(value) if isinstance(value, Path) else value for name, value in asdict(config).items()}
    log = _open_log(state_dir)
    reading, writing = os.pipe()
    arguments = [f"--state-dir={state_dir.absolute()}", f"--settings={json.dumps(settings)}", f"--report-fd={writing}"]
    inherited = [writing]
    if ends_with_caller:
        arguments.append(f"--lifeline-fd={lifeline_fd()}")
        inherited.append(lifeline_fd())
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "localaws", *arguments],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, pass_fds=inherited,
        )  # fmt: skip
    except OSError as error:
        os.close(reading)
        raise LocalAwsError(f"The local AWS cannot be started: {error}.") from error
    finally:
        os.close(log)
        os.close(writing)
    _started.append(process)
    try:
        report = _read_report(reading, timeout)
    finally:
        os.close(reading)
    if report is None or "error" in report:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=1)
        outcome = "exited while it was starting"
        if process.poll() is None:
            outcome = f"did not start within {timeout:g} seconds"
            os.kill(process.pid, signal.SIGKILL)
        process.wait()
        _started.remove(process)
        _clear_remains(state_dir)
        if report is not None:
            raise LocalAwsError(report["error"])
        tail = f"The last lines of {state_dir / 'localaws.log'}:\n{_log_tail(state_dir)}"
        raise LocalAwsError(f"The local AWS {outcome}. {tail}")
    running = find(state_dir)
    if running is None:
        raise LocalAwsError(f"The local AWS exited right after its start. See {state_dir / 'localaws.log'}.")
    return running


def _read_report(descriptor: int, timeout: float) -> dict[str, Any] | None:
    """The child's report about its start, ``{"port"}`` or ``{"error"}``; None if none arrives in time."""
    received = b""
    deadline = time.monotonic() + timeout
    while (left := deadline - time.monotonic()) > 0:
        readable, _, _ = select.select([descriptor], [], [], left)
        chunk = os.read(descriptor, 65536) if readable else b""
        received += chunk
        if not chunk:
            break
    try:
        report = json.loads(received)
    except ValueError:
        return None
    return report if isinstance(report, dict) else None


def _open_log(state_dir: Path) -> int:
    path = state_dir / "localaws.log"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
        # Written here, so that a full disk is reported to the caller.
        os.write(descriptor, b"local AWS starting\n")
    except OSError as error:
        raise LocalAwsError(_cannot_write(path, error)) from error
    return descriptor


@contextlib.contextmanager
def _locked(state_dir: Path, timeout: float) -> Iterator[None]:
    """Hold the state directory's lock: one process at a time starts or stops."""
    path = state_dir / "localaws.lock"
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise LocalAwsError(_cannot_write(path, error)) from error
    try:
        deadline = time.monotonic() + timeout
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise LocalAwsError(
                        f"Another process has been starting or stopping the local AWS in {state_dir} for over "
                        f"{timeout:g} seconds. End that process and try again."
                    ) from None
                time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)


def _cannot_write(path: Path, error: OSError) -> str:
    if is_disk_full(error):
        return f"The disk is full: {path} cannot be written. Free some space and start again."
    return f"{path} cannot be written: {error.strerror}. Choose another state directory or fix its permissions."


def _log_tail(state_dir: Path) -> str:
    with contextlib.suppress(OSError):
        lines = (state_dir / "localaws.log").read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-_LOG_TAIL_LINES:])
    return "(not readable)"


def _wait_for_free_port(port: int) -> None:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            probe.settimeout(0.5)
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return
        time.sleep(0.05)
