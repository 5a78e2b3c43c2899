"""Execution environments: processes that run a function's code, one invocation at a time."""

import contextlib
import os
import select
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localaws.process.lifeline import Lifeline
from localaws.process.memory import ProcessMemory, descendants
from localaws.services.lambda_.runtime_api import RuntimeApi

if TYPE_CHECKING:
    from localaws.process.pid_files import PidFiles
    from localaws.services.lambda_.code import CodeFolders
    from localaws.services.lambda_.function_log import FunctionLog
    from localaws.services.lambda_.records import FunctionRecord

__all__ = ["EnvironmentPlan", "ExecutionEnvironment", "environment_plan"]

#: Variables of this machine that Python needs in order to start.
_INHERITED = ("LD_LIBRARY_PATH", "PATH")
#: Maximum size of a CloudWatch Logs event, without the 26 bytes of overhead per event.
_LINE_BYTES = 262_118
_CHUNK = 65_536


@dataclass(frozen=True, slots=True)
class EnvironmentPlan:
    """The definition of an environment.

    Attributes:
        handler: ``module.function``.
        code: The folder with the unpacked package.
        interpreter: A Python without packages.
        runtime: The folder with the runtime's modules.
        scratch: The parent of its temporary folder.
        memory_mb: Memory limit of the process and its descendants together.
        variables: Environment variables of the function and of Lambda.
    """

    handler: str
    code: Path
    interpreter: Path
    runtime: Path
    scratch: Path
    memory_mb: int
    variables: Mapping[str, str]


class ExecutionEnvironment:
    """A running process and its runtime API."""

    def __init__(self, plan: EnvironmentPlan, pids: "PidFiles", on_line: Callable[[str], None]) -> None:
        """Start the process; it is ready when ``api.wait_until_ready`` returns.

        Args:
            plan: The definition.
            pids: Records the process.
            on_line: Receives each line of output.
        """
        self._plan = plan
        self._pids = pids
        self._on_line = on_line
        self._rest = b""
        self._reading = threading.Lock()
        self._polling = threading.Lock()
        self._scratch = Path(tempfile.mkdtemp(dir=plan.scratch))
        self.out_of_memory = False
        self.api = RuntimeApi()
        try:
            self._process = self._spawn()
        except OSError:
            self.api.close()
            shutil.rmtree(self._scratch, ignore_errors=True)
            raise
        # A busy function would not notice that the local AWS has ended.
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
        # Popen.poll() reports a running process while another thread is in it.
        with self._polling:
            return self._process.poll() is None

    def is_usable(self) -> bool:
        """Whether it can take an invocation. A dying process is detected by its closed connection."""
        return self.is_alive() and not self.api.is_cut_off

    @property
    def exit_reason(self) -> str:
        """How the process ended, in Lambda's words."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            # Its sockets close shortly before it can be reaped.
            self._process.wait(timeout=1)
        status = self._process.poll()
        if status is None or status == 0:
            return "Runtime exited without providing a reason"
        if status < 0:
            name = signal.strsignal(-status) or str(-status)
            return f"Runtime exited with error: signal: {name.lower()}"
        return f"Runtime exited with error: exit status {status}"

    def used_mb(self) -> int:
        """Maximum memory used by the process and its descendants, in MB; 0 if the system does not report it."""
        return self._memory.measure()

    def limit_memory(self) -> None:
        """Kill the process if it exceeds its memory limit."""
        if self.is_alive() and self.used_mb() > self._plan.memory_mb:
            self.out_of_memory = True
            self.kill()

    def flush(self) -> None:
        """Forward all output so far, including an unfinished line."""
        with self._reading:
            self._read_available()
            if self._rest:
                self._emit(self._rest)
                self._rest = b""

    def kill(self) -> None:
        """Kill the process and its descendants."""
        # Some descendants may have their own process groups.
        children = descendants(self.pid)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        for pid in children:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        """Kill the process, and wait until its resources are released."""
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
        process_variables = {
            "AWS_LAMBDA_RUNTIME_API": self.api.address,
            "LAMBDA_TASK_ROOT": str(self._plan.code),
            "LAMBDA_RUNTIME_DIR": str(self._plan.runtime),
            "_HANDLER": self._plan.handler,
            # Replaces the private /tmp of an environment for tempfile and most libraries.
            "TMPDIR": str(self._scratch),
            # The code folder is read-only on AWS.
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": f"{self._plan.code}{os.pathsep}{self._plan.runtime}",
        }
        process = subprocess.Popen(
            [self._plan.interpreter, "-m", "awslambdaric", self._plan.handler],
            cwd=self._plan.code,
            env={**inherited, **self._plan.variables, **process_variables},
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
        """Read the available output under the lock; returns True at its end."""
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


def environment_plan(
    function: "FunctionRecord", log: "FunctionLog", folders: "CodeFolders", client_environment: Mapping[str, str]
) -> EnvironmentPlan:
    """The definition of an environment for a function.

    Args:
        function: The function or a version of it.
        log: The log of the environment.
        folders: Unpack the code.
        client_environment: Variables that point the SDK at the local AWS.
    """
    # An endpoint in the function's configuration overrides the local AWS, as it overrides AWS.
    endpoints = {
        name: value for name, value in function.environment_vars.items() if name.startswith("AWS_ENDPOINT_URL")
    }
    region = {"AWS_REGION": function.region, "AWS_DEFAULT_REGION": function.region}
    return EnvironmentPlan(
        handler=function.handler,
        code=folders.code(function.code_sha_256, function.code_bytes),
        interpreter=folders.interpreter(),
        runtime=folders.runtime(),
        scratch=folders.scratch(),
        memory_mb=int(function.memory_size),
        variables={
            **function.environment_vars,
            **client_environment,
            **_variables(function, log),
            **region,
            **endpoints,
        },
    )


def _variables(function: "FunctionRecord", log: "FunctionLog") -> dict[str, str]:
    """The variables that Lambda sets ("Defined runtime environment variables", Lambda developer guide)."""
    settings: dict[str, Any] = {
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{function.run_time}",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": function.memory_size,
        "AWS_LAMBDA_FUNCTION_NAME": function.function_name,
        "AWS_LAMBDA_FUNCTION_VERSION": function.version,
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": log.group,
        "AWS_LAMBDA_LOG_STREAM_NAME": log.stream,
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        # Nothing listens there: traces are dropped.
        "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:2000",
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
    }
    if function.logging["LogFormat"] == "JSON":
        settings |= {"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": function.logging["ApplicationLogLevel"]}
    return {name: str(value) for name, value in settings.items()}
