"""One execution environment: a process that runs a function's code, one invocation at a time."""

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from localaws.process.lifeline import Lifeline
from localaws.process.memory import ProcessMemory, descendants
from localaws.services.lambda_.runtime_api import RuntimeApi

if TYPE_CHECKING:
    from localaws.process.pid_files import PidFiles

__all__ = ["EnvironmentPlan", "ExecutionEnvironment"]

#: Variables of this machine that a function inherits: what Python needs in order to start.
_INHERITED = ("LD_LIBRARY_PATH", "PATH")
#: CloudWatch Logs' largest event, without the 26 bytes that each one counts in addition.
_LINE_BYTES = 262_118
_CHUNK = 65_536


@dataclass(frozen=True, slots=True)
class EnvironmentPlan:
    """What to run for a function.

    Attributes:
        handler: ``module.function``.
        code: The folder with the unpacked package.
        runtime: The folder with the runtime's own modules.
        scratch: The folder to make its own /tmp in.
        memory_mb: What the process and those that it starts may use together.
        variables: Environment variables, the function's own and Lambda's.
    """

    handler: str
    code: Path
    runtime: Path
    scratch: Path
    memory_mb: int
    variables: Mapping[str, str]


class ExecutionEnvironment:
    """A running process and its runtime API."""

    def __init__(self, plan: EnvironmentPlan, pids: "PidFiles", on_line: Callable[[str], None]) -> None:
        """Start the process; it takes invocations once ``api.wait_until_ready`` returned.

        Args:
            plan: What to run.
            pids: Where the process is recorded.
            on_line: Takes each line that it prints.
        """
        self._plan = plan
        self._pids = pids
        self._on_line = on_line
        self._rest = b""
        self._reading = threading.Lock()
        self._scratch = Path(tempfile.mkdtemp(dir=plan.scratch))
        self.out_of_memory = False
        self.api = RuntimeApi()
        try:
            self._process = self._spawn()
        except OSError:
            self.api.close()
            shutil.rmtree(self._scratch, ignore_errors=True)
            raise
        # A function that is busy would not notice that the local AWS is gone.
        self._lifeline = Lifeline(self._process.pid, signal="KILL", group=True)
        self._memory = ProcessMemory(self._process.pid)
        pids.add(self._process.pid)
        self._reader = threading.Thread(target=self._read, name=f"function-log-{self.pid}", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The operating system's process id."""
        return self._process.pid

    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def is_usable(self) -> bool:
        """Whether it runs and waits for work, or is about to: a process that dies takes a moment to be dead."""
        return self.is_alive() and not self.api.is_cut_off

    @property
    def exit_reason(self) -> str:
        """How the process ended, in Lambda's words."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            # Its sockets close a little before it can be reaped.
            self._process.wait(timeout=1)
        status = self._process.poll()
        if status is None or status == 0:
            return "Runtime exited without providing a reason"
        if status < 0:
            name = signal.strsignal(-status) or str(-status)
            return f"Runtime exited with error: signal: {name.lower()}"
        return f"Runtime exited with error: exit status {status}"

    def used_mb(self) -> int:
        """The most memory that it and what it started used so far, in MB; 0 where the system does not tell."""
        return self._memory.measure()

    def limit_memory(self) -> None:
        """Kill the process if it and what it started used more than they may."""
        if self.is_alive() and self.used_mb() > self._plan.memory_mb:
            self.out_of_memory = True
            self.kill()

    def flush(self) -> None:
        """Hand on every line that was printed until now; an unfinished one is one, too."""
        with self._reading:
            self._read_available()
            if self._rest:
                self._emit(self._rest)
                self._rest = b""

    def kill(self) -> None:
        """End the process and what it started, at once."""
        # Of these, some may have made a group of their own.
        started = descendants(self.pid)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        for pid in started:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        """End the process; returns when nothing of it is left."""
        self.kill()
        self._process.wait()
        self._lifeline.release()
        self._reader.join(timeout=5)
        self.flush()
        self.api.close()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._pids.remove(self.pid)
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _spawn(self) -> "subprocess.Popen[bytes]":
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        own = {
            "AWS_LAMBDA_RUNTIME_API": self.api.address,
            "LAMBDA_TASK_ROOT": str(self._plan.code),
            "LAMBDA_RUNTIME_DIR": str(self._plan.runtime),
            "_HANDLER": self._plan.handler,
            # Where tempfile and most libraries look, in place of the /tmp that an environment has to itself.
            "TMPDIR": str(self._scratch),
            # Lambda's code folder cannot be written to.
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": f"{self._plan.code}{os.pathsep}{self._plan.runtime}",
        }
        # Without site (-S), this machine's own packages cannot be imported.
        process = subprocess.Popen(
            [sys.executable, "-S", "-m", "awslambdaric", self._plan.handler],
            cwd=self._plan.code,
            env={**inherited, **self._plan.variables, **own},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        if process.stdout is not None:
            os.set_blocking(process.stdout.fileno(), False)
        return process

    def _read(self) -> None:
        if self._process.stdout is None:
            return
        descriptor = self._process.stdout.fileno()
        ended = False
        while not ended:
            select.select([descriptor], [], [])
            with self._reading:
                ended = self._read_available()

    def _read_available(self) -> bool:
        """Read what is there, under the lock; says whether no more can come."""
        if self._process.stdout is None or self._process.stdout.closed:
            return True
        while True:
            try:
                chunk = os.read(self._process.stdout.fileno(), _CHUNK)
            except BlockingIOError:
                return False
            if not chunk:
                return True
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            for line in lines:
                self._emit(line)
            while len(self._rest) > _LINE_BYTES:
                self._emit(self._rest[:_LINE_BYTES])
                self._rest = self._rest[_LINE_BYTES:]

    def _emit(self, line: bytes) -> None:
        for at in range(0, len(line), _LINE_BYTES):
            self._on_line(
                line[at : at + _LINE_BYTES].decode("utf-8", errors="replace").rstrip("\r").replace("\r", "\n")
            )
