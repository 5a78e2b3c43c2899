"""The functions of a local AWS: their invocations and their event sources."""

import shutil
import threading
import uuid
from functools import partial
from typing import TYPE_CHECKING

from moto.awslambda.models import lambda_backends

from localaws.core.threads import Ticker
from localaws.services.lambda_.async_invocations import AsyncEvent, AsyncInvocations
from localaws.services.lambda_.code import CodeFolders
from localaws.services.lambda_.event_source_mappings import MappingRecord, find_queue
from localaws.services.lambda_.invocations import FunctionResult, Invoker
from localaws.services.lambda_.metrics import FunctionMetrics
from localaws.services.lambda_.pool import EnvironmentPool
from localaws.services.lambda_.queue_poller import QueuePoller
from localaws.services.lambda_.records import FunctionRecord

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from localaws.config import LocalAwsConfig
    from localaws.core.clock import SimulatedTime
    from localaws.metering.meter import Meter
    from localaws.process.pid_files import PidFiles
    from localaws.services.cloudwatch.metric_store import MetricStore

__all__ = ["FunctionHost"]


class FunctionHost:
    """Owns all execution environments and the threads that poll queues."""

    _TICK_SECONDS = 0.1

    def __init__(
        self,
        config: "LocalAwsConfig",
        state_dir: "Path",
        pids: "PidFiles",
        store: "MetricStore",
        time: "SimulatedTime",
        meter: "Meter",
        events: list[AsyncEvent],
    ) -> None:
        """Prepare without functions.

        Args:
            config: Limits and durations.
            state_dir: Folder for unpacked code.
            pids: The processes' pid files.
            store: Metrics are recorded there.
            time: The clock of metrics and of retries.
            meter: Counts invocations for the bill.
            events: The queue of asynchronous invocations.
        """
        self._config = config
        metrics = FunctionMetrics(store, time)
        self._pool = EnvironmentPool(config.function_processes, config.idle_seconds)
        self._folder = state_dir / "functions"
        self._invoker = Invoker(config, self._pool, CodeFolders(self._folder), pids, metrics, meter)
        self._pollers: dict[str, QueuePoller] = {}
        self._lock = threading.Lock()
        self._clock = Ticker("function-clock", self._TICK_SECONDS, self._pool.tick)
        self._time = time
        self._async = AsyncInvocations(self._find_for_event, self._invoke_event, time, events)

    def start(self) -> None:
        """Start supervising environments and running asynchronous invocations."""
        self._clock.start()
        self._async.start()

    def now(self) -> "datetime":
        """The simulated time."""
        return self._time.now()

    def serve_on(self, port: int) -> None:
        """Set the port at which functions reach the local AWS."""
        self._invoker.port = port

    def resume(self) -> None:
        """Poll the queues of another local AWS's event source mappings."""
        for _, _, backend in lambda_backends.iter_backends():
            for mapping in list(backend._event_source_mappings.values()):  # noqa: SLF001 - moto has no public access
                mapping.settle()
                self.start_polling(mapping)

    def close(self) -> None:
        """Stop pollers, end environments, and remove the unpacked code."""
        with self._lock:
            pollers = list(self._pollers.values())
            self._pollers.clear()
        for poller in pollers:
            poller.close(wait=False)
        self._async.close(wait=False)
        self._pool.close()
        for poller in pollers:
            poller.close()
        self._async.close()
        self._clock.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def find(self, account_id: str, region: str, name: str, qualifier: str | None = None) -> FunctionRecord:
        """Find a function by name or ARN.

        Raises:
            UnknownFunctionException: It does not exist.
        """
        function: FunctionRecord = lambda_backends[account_id][region].get_function(name, qualifier)
        return function

    def invoke(
        self, function: FunctionRecord, payload: bytes, *, qualifier: str = "", client_context: str | None = None
    ) -> FunctionResult:
        """Run a function and wait; raises as :meth:`Invoker.invoke`."""
        return self._invoker.invoke(
            function,
            payload,
            reserved_elsewhere=self.reserved(function.account_id, function.region),
            qualifier=qualifier,
            client_context=client_context,
        )

    def submit(self, function: FunctionRecord, payload: bytes, qualifier: str = "") -> str:
        """Queue an event for a function; returns the id of the invocation."""
        arn = f"{function.unqualified_arn}:{qualifier}" if qualifier else function.unqualified_arn
        request_id, now = str(uuid.uuid4()), self._time.now()
        event = AsyncEvent(function.account_id, function.region, arn, payload or b"{}", request_id, now, now)
        self._async.submit(event)
        return request_id

    def reserved(self, account_id: str, region: str, *, without: str = "") -> int:
        """Concurrency reserved by the account's functions, except the one named ``without``."""
        functions = lambda_backends[account_id][region].list_functions()
        return sum(int(each.reserved_concurrency or 0) for each in functions if each.function_name != without)

    def changed(self, function: FunctionRecord) -> None:
        """Retire the environments with old code or configuration of a function."""
        versions = lambda_backends[function.account_id][function.region].list_versions_by_function(
            function.function_name
        )
        self._pool.retire(function.unqualified_arn, {version.revision for version in versions})

    def deleted(self, function: FunctionRecord) -> None:
        """End the environments of a function."""
        self._pool.retire(function.unqualified_arn, set())

    def start_polling(self, mapping: MappingRecord) -> None:
        """Poll the queue of a mapping with its current settings, unless it is disabled."""
        self.stop_polling(mapping.uuid)
        if not mapping.enabled:
            return
        queue = find_queue(mapping.event_source_arn)
        settings = mapping.poll_settings(self._config.function_processes)
        poller = QueuePoller(queue, settings, partial(self._invoke_for, mapping))
        with self._lock:
            self._pollers[mapping.uuid] = poller
        poller.start()

    def stop_polling(self, uuid: str) -> None:
        """Stop polling; running batches finish."""
        with self._lock:
            poller = self._pollers.pop(uuid, None)
        if poller is not None:
            poller.close(wait=False)

    def _invoke_for(self, mapping: MappingRecord, event: bytes) -> FunctionResult:
        arn = mapping.function_arn
        return self.invoke(self.find(mapping.account_id, mapping.region, arn), event, qualifier=_qualifier(arn))

    def _find_for_event(self, event: AsyncEvent) -> FunctionRecord:
        return self.find(event.account_id, event.region, event.function_arn)

    def _invoke_event(self, function: FunctionRecord, event: AsyncEvent) -> FunctionResult:
        return self._invoker.invoke(
            function,
            event.payload,
            reserved_elsewhere=self.reserved(function.account_id, function.region),
            qualifier=_qualifier(event.function_arn),
            request_id=event.request_id,
        )


def _qualifier(function_arn: str) -> str:
    """The version or alias of a function's ARN; empty without one."""
    return function_arn.split(":")[7] if function_arn.count(":") == 7 else ""
