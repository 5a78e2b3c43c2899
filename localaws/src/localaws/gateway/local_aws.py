"""A local AWS inside this process: the HTTP server and the services behind it, started and stopped together."""

import dataclasses
import importlib.metadata
import os
import shutil
import tempfile
import threading
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from localaws.config import LocalAwsConfig
from localaws.core.wsgi import chain
from localaws.errors import LocalAwsError
from localaws.gateway.http_server import HttpServer
from localaws.gateway.listener import listen
from localaws.gateway.own_paths import Reset
from localaws.gateway.request_guard import RequestGuard
from localaws.gateway.services import Services
from localaws.services.sqs.message_queue import close_queues

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    from localaws.core.wsgi import Middleware
    from localaws.services.sagemaker.host import EndpointHost

__all__ = ["LocalAws"]

#: How long a reset waits for the requests under way.
_RESET_SECONDS = 2.0


class LocalAws:
    """AWS in this process, for as long as the context lasts. One at a time: moto's state is global.

    >>> with LocalAws(LocalAwsConfig(port=0)) as aws:
    ...     client = boto3.client("sagemaker", endpoint_url=aws.url, region_name="us-east-1")
    """

    _running = threading.Lock()

    def __init__(self, config: LocalAwsConfig | None = None) -> None:
        """Prepare; nothing runs before ``start`` or the ``with`` statement."""
        self.config = config or LocalAwsConfig()
        self._temporary: Path | None = None
        self._server: HttpServer | None = None
        self._services: Services | None = None
        #: Held while the services are replaced; requests wait for it.
        self._replacing = threading.Lock()
        self._handling = 0
        self._handled = threading.Condition()

    @property
    def port(self) -> int:
        """The TCP port it listens on."""
        if self._server is None:
            raise LocalAwsError("The local AWS is not running.")
        return self._server.port

    @property
    def url(self) -> str:
        """The value for AWS_ENDPOINT_URL."""
        return f"http://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        """Environment variables that point SDKs, CLI and Terraform at it."""
        return self.config.client_environment(self.port)

    @property
    def host(self) -> "EndpointHost":
        """The endpoints behind SageMaker."""
        if self._services is None:
            raise LocalAwsError("The local AWS is not running.")
        return self._services.host

    @property
    def state_dir(self) -> Path:
        """The folder with pid files and unpacked artifacts."""
        state_dir = self.config.state_dir or self._temporary
        if state_dir is None:
            raise LocalAwsError("The local AWS is not running.")
        return state_dir

    def start(self) -> Self:
        """Open the port and serve in the background.

        Raises:
            LocalAwsError: Another local AWS runs in this process, the port is taken, or the state that an earlier one
                has kept cannot be read.
        """
        if not self._running.acquire(blocking=False):
            raise LocalAwsError("Another local AWS runs in this process. Stop it first: moto's state is global.")
        try:
            self._start()
        except BaseException:
            self._close(delete=False)
            self._running.release()
            raise
        return self

    def reset(self) -> None:
        """Delete all state, as a restart does.

        Requests that arrive meanwhile wait. Those under way fail, or end before the state is deleted.
        """
        with self._replacing:
            if self._services is None:
                raise LocalAwsError("The local AWS is not running.")
            self._services.close()
            close_queues()
            with self._handled:
                self._handled.wait_for(lambda: not self._handling, timeout=_RESET_SECONDS)
            self._services.clear()
            self._services = self._new_services()
            self._services.start(self.port)

    def stop(self, *, keep: bool = False) -> None:
        """Stop the server and every process.

        Args:
            keep: Keep the state in the state directory, for the next local AWS that starts there. By default it is
                deleted, also what was kept before.
        """
        if self._server is None:
            return
        try:
            self._close(keep=keep, delete=not keep)
        finally:
            self._running.release()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start(self) -> None:
        if self.config.state_dir is None:
            self._temporary = Path(tempfile.mkdtemp(prefix="localaws-"))
        self._services = self._new_services(resume=True)
        middlewares: list[Middleware] = [RequestGuard, partial(Reset, reset=self.reset)]
        self._server = HttpServer(chain(middlewares, self._handle), listen(self.config.port))
        self._services.start(self.port)
        self._server.start()

    def _close(self, *, keep: bool = False, delete: bool) -> None:
        if self._server is not None:
            self._server.stop_accepting()
        if self._services is not None:
            self._services.close()
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._services is not None:
            try:
                if keep:
                    self._services.keep()
            finally:
                self._services.clear(delete_files=delete)
                self._services = None
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
            self._temporary = None

    def _new_services(self, *, resume: bool = False) -> Services:
        config = dataclasses.replace(self.config, state_dir=self.state_dir)
        return Services(config, self.state_dir, self._describe, resume=resume)

    def _handle(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        with self._replacing:
            services = self._services
            if services is None:
                raise LocalAwsError("The local AWS is stopping.")
            with self._handled:
                self._handling += 1
        try:
            return services.application(environ, start_response)
        finally:
            with self._handled:
                self._handling -= 1
                self._handled.notify_all()

    def _describe(self) -> dict[str, Any]:
        return {"status": "ok", "version": _version(), "pid": os.getpid(), "port": self.port}


def _version() -> str:
    """Version of the installed embedstack."""
    try:
        return importlib.metadata.version("embedstack")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
