"""A local AWS inside this process: HTTP server, endpoints and their containers, started and stopped together."""

import contextlib
import dataclasses
import errno
import os
import shutil
import socket
import subprocess
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from moto.moto_api._internal.models import moto_api_backend

from localaws.config import LocalAwsConfig
from localaws.conformance import AnswerCheck
from localaws.core.clock import SimulatedTime, TimeControl
from localaws.errors import LocalAwsError
from localaws.faults.injector import FaultInjector
from localaws.gateway.dispatcher import LocalAwsApplication, version
from localaws.gateway.duplicate_requests import ResentRequests
from localaws.gateway.http_server import HttpServer
from localaws.gateway.request_guard import RequestGuard
from localaws.process.pidfiles import PidFiles
from localaws.services.application_autoscaling.service import AutoScaling
from localaws.services.cloudwatch.service import Monitoring
from localaws.services.iam.managed_policies import disable_managed_policies, enable_managed_policies
from localaws.services.lambda_.function_urls import serve_function_urls
from localaws.services.lambda_.service import FunctionHost
from localaws.services.rds.service import DatabaseHost, remove_databases
from localaws.services.s3vectors.service import S3Vectors
from localaws.services.sagemaker.async_inference.service import AsyncInference
from localaws.services.sagemaker.containers.container_runtime import ContainerRuntime
from localaws.services.sagemaker.endpoints.endpoint_manager import EndpointHost
from localaws.services.sagemaker.metrics import MetricRecorder
from localaws.services.sqs.metrics import QueueMetrics

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

    from localaws.services.cloudwatch.alarms import Alarms

__all__ = ["LocalAws"]


class LocalAws:
    """AWS in this process, for as long as the context lasts. One at a time: moto keeps its state per process.

    >>> with LocalAws(LocalAwsConfig(port=0)) as aws:
    ...     client = boto3.client("sagemaker", endpoint_url=aws.url, region_name="us-east-1")
    """

    _running = threading.Lock()

    def __init__(self, config: LocalAwsConfig | None = None) -> None:
        """Prepare; nothing runs before ``start`` or the ``with`` statement."""
        self.config = config or LocalAwsConfig()
        self._temporary: Path | None = None
        self._server: HttpServer | None = None
        self._host: EndpointHost | None = None
        self._services: list[Alarms | AutoScaling | AsyncInference | FunctionHost | DatabaseHost] = []
        self._pids: PidFiles | None = None
        self._runtime: ContainerRuntime | None = None

    @property
    def port(self) -> int:
        """The TCP port it listens on."""
        if self._server is None:
            raise LocalAwsError("The local AWS is not running.")
        return self._server.port

    @property
    def url(self) -> str:
        """What AWS_ENDPOINT_URL has to be."""
        return f"http://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        """Environment variables that point SDKs, CLI and Terraform at it."""
        return self.config.client_environment(self.port)

    def start(self) -> Self:
        """Open the port and serve in the background.

        Raises:
            LocalAwsError: One runs in this process already, or the port is taken.
        """
        if not self._running.acquire(blocking=False):
            raise LocalAwsError("A local AWS is running in this process already; moto's state is one per process.")
        try:
            self._start()
        except BaseException:
            self._close()
            self._running.release()
            raise
        return self

    @property
    def host(self) -> EndpointHost:
        """The endpoints behind SageMaker."""
        if self._host is None:
            raise LocalAwsError("The local AWS is not running.")
        return self._host

    @property
    def state_dir(self) -> Path:
        """Where pid files and unpacked artefacts are."""
        state_dir = self.config.state_dir or self._temporary
        if state_dir is None:
            raise LocalAwsError("The local AWS is not running.")
        return state_dir

    def stop(self) -> None:
        """Stop answering, stop every container, forget everything."""
        if self._server is None:
            return
        self._close()
        self._running.release()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start(self) -> None:
        state_dir = self.config.state_dir
        if state_dir is None:
            state_dir = self._temporary = Path(tempfile.mkdtemp(prefix="localaws-"))
        config = dataclasses.replace(self.config, state_dir=state_dir)
        for remains in ("models", "functions"):
            shutil.rmtree(state_dir / remains, ignore_errors=True)
        remove_databases(state_dir)
        self._pids = PidFiles(state_dir / "containers")
        self._pids.reap(config.stop_grace)
        simulated = SimulatedTime(config.clock_speed)
        monitoring = Monitoring(simulated)
        recorder = MetricRecorder(simulated, monitoring.metrics)
        self._runtime = ContainerRuntime(self._pids)
        self._host = EndpointHost(config, state_dir, self._runtime, recorder, simulated)
        scaling = AutoScaling(self._host.scalable, monitoring)
        self._host.is_scalable_target = scaling.is_target
        queues = AsyncInference(self._host)
        monitoring.alarms.on_minute(queues.sample)
        vectors = S3Vectors(config.vector_writes_per_second, config.vectors_per_second)
        monitoring.alarms.on_minute(QueueMetrics(monitoring.metrics).sample)
        functions = FunctionHost(config, state_dir, self._pids, monitoring.metrics, simulated)
        databases = DatabaseHost(state_dir, self._pids)
        enable_managed_policies(config.region)
        services: WSGIApplication = LocalAwsApplication(
            self._host, monitoring, scaling, queues, functions, vectors, databases, self._describe
        )
        if config.check_answers:
            services = AnswerCheck(services)
        application = TimeControl(FaultInjector(serve_function_urls(ResentRequests(services), functions)), simulated)
        self._services = [monitoring.alarms, scaling, queues, functions, databases]
        for service in self._services:
            service.start()
        self._server = HttpServer(RequestGuard(application), _listen(config.port))
        functions.serve_on(self.port)
        self._server.start()

    def _close(self) -> None:
        if self._server is not None:
            self._server.stop_accepting()
        while self._services:
            self._services.pop(0).close()
        if self._host is not None:
            self._host.close()
            self._host = None
        if self._runtime is not None:
            self._runtime.close()
            self._runtime = None
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._pids is not None:
            self._pids.reap(grace=0)
            self._pids = None
        disable_managed_policies()
        moto_api_backend.reset()
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
            self._temporary = None

    def _describe(self) -> dict[str, Any]:
        return {"status": "ok", "version": version(), "pid": os.getpid(), "port": self.port}


def _listen(port: int) -> socket.socket:
    """Open the port.

    Raises:
        LocalAwsError: Someone else listens on it; the message names who, where the system tells.
    """
    try:
        return socket.create_server(("127.0.0.1", port), backlog=1024)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise LocalAwsError(f"Port {port} on 127.0.0.1 cannot be opened: {error.strerror}.") from error
    holder = _holder_of(port)
    who = f" by {holder}" if holder else ""
    raise LocalAwsError(
        f"Port {port} on 127.0.0.1 is taken{who}. Stop that program, or choose another port: LOCALAWS_PORT={port + 1}."
    )


def _holder_of(port: int) -> str | None:
    """``name (pid 123)`` of the process that listens on the port, by lsof or ss; None where neither tells."""
    for command in (
        ["lsof", "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-Fpc"],
        ["ss", "-Hltnp", f"sport = :{port}"],
    ):
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            output = subprocess.run(command, capture_output=True, text=True, check=False, timeout=2).stdout
            if command[0] == "lsof" and output:
                fields = {line[0]: line[1:] for line in output.splitlines() if line}
                return f"{fields.get('c', 'a process')} (pid {fields.get('p', '?')})"
            if 'users:(("' in output:
                name, _, rest = output.partition('users:(("')[2].partition('"')
                return f"{name} (pid {rest.partition('pid=')[2].partition(',')[0]})"
    return None
