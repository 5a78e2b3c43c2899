"""All endpoints of a local AWS: runs their life cycles in the background and looks after what runs."""

import logging
import threading
from typing import TYPE_CHECKING, Any

from embedstack.localaws.deployments import Deployment
from embedstack.localaws.endpoints import Endpoint, EndpointSettings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from embedstack.localaws.config import LocalAwsConfig
    from embedstack.localaws.metrics import MetricRecorder
    from embedstack.localaws.pidfiles import PidFiles
    from embedstack.localaws.simulated_time import SimulatedTime

_logger = logging.getLogger(__name__)


class EndpointHost:
    """Owns every endpoint from creation to deletion, and the threads that their operations run in."""

    _TICK_SECONDS = 0.25

    def __init__(
        self,
        config: "LocalAwsConfig",
        state_dir: "Path",
        pids: "PidFiles",
        metrics: "MetricRecorder",
        time: "SimulatedTime",
    ) -> None:
        """Prepare a host without endpoints and start its clock."""
        self.config = config
        self.metrics = metrics
        self.time = time
        self._state_dir = state_dir
        self._pids = pids
        self._endpoints: set[Endpoint] = set()
        self._threads: set[threading.Thread] = set()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._clock = threading.Thread(target=self._run_clock, name="endpoint-clock", daemon=True)
        self._clock.start()

    def create(self, name: str, arn: str, tags: list[dict[str, str]], settings: EndpointSettings) -> Endpoint:
        """Make an endpoint and start bringing it up."""
        endpoint = Endpoint(name, arn, tags, settings, self._new_deployment, self.config.drain_timeout)
        with self._lock:
            self._endpoints.add(endpoint)
        self.run(endpoint.run_creation)
        return endpoint

    def update(self, endpoint: Endpoint, settings: EndpointSettings, deployment_config: dict[str, Any] | None) -> None:
        """Move an endpoint to other settings; see :meth:`Endpoint.begin_update` for what it raises."""
        endpoint.begin_update(deployment_config)
        self.run(lambda: endpoint.run_update(settings))

    def delete(self, endpoint: Endpoint, forget: "Callable[[], None]") -> None:
        """Take an endpoint down; ``forget`` is called once nothing of it runs and all of its log is written.

        Raises:
            EndpointInProgressError: Another operation has not finished.
        """
        endpoint.begin_deletion()

        def delete() -> None:
            endpoint.run_deletion()
            for spec in endpoint.settings.specs:
                self.metrics.forget(spec.identity)
            with self._lock:
                self._endpoints.discard(endpoint)
            forget()

        self.run(delete)

    def close(self) -> None:
        """Stop every container and every thread."""
        self._closed.set()
        with self._lock:
            endpoints, threads = set(self._endpoints), set(self._threads)
        stopping = [threading.Thread(target=endpoint.stop, name="stop-endpoint") for endpoint in endpoints]
        for thread in stopping:
            thread.start()
        for thread in (*stopping, *threads, self._clock):
            thread.join()

    def _new_deployment(self, settings: EndpointSettings) -> Deployment:
        return Deployment(settings.config_name, settings.specs, self.config, self._pids, self._state_dir)

    def run(self, operation: "Callable[[], None]") -> None:
        """Run a long operation in a thread of the host's own; ``close`` waits for it."""

        def run() -> None:
            try:
                operation()
            finally:
                with self._lock:
                    self._threads.discard(thread)

        thread = threading.Thread(target=run, name="endpoint-operation", daemon=True)
        with self._lock:
            self._threads.add(thread)
        thread.start()

    def _run_clock(self) -> None:
        while not self._closed.wait(self._TICK_SECONDS):
            with self._lock:
                endpoints = list(self._endpoints)
            for endpoint in endpoints:
                try:
                    endpoint.tick()
                except Exception:
                    # The clock goes on for the other endpoints.
                    _logger.exception("looking after endpoint %s failed", endpoint.endpoint_name)
