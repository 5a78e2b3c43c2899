"""The services of one local AWS, with the processes and threads behind them."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from moto.moto_api._internal.models import moto_api_backend

from localaws.config import LocalAwsConfig
from localaws.conformance import ConformanceCheck
from localaws.core.clock import SimulatedTime, TimeControl
from localaws.core.wsgi import chain
from localaws.faults.injector import FaultInjector, Faults
from localaws.gateway.caller_account import CallerAccount
from localaws.gateway.dispatcher import LocalAwsApplication, ServiceParts
from localaws.gateway.own_paths import ClosedPaths, HealthCheck
from localaws.gateway.response_filters import CorsHeaderFilter, NullMemberFilter
from localaws.gateway.retry_deduplicator import RetryDeduplicator
from localaws.gateway.state import State, read_state_file, write_state_file
from localaws.metering.meter import Meter
from localaws.metering.prices import UsagePrices
from localaws.process.databases import remove_databases
from localaws.process.pid_files import PidFiles
from localaws.process.saved_file import SavedFile
from localaws.services.application_autoscaling.service import AutoScaling
from localaws.services.budgets.inspection import CostInspection
from localaws.services.budgets.watch import BudgetWatch
from localaws.services.cloudwatch.service import Monitoring
from localaws.services.cloudwatch.usage_meter import alarm_rates
from localaws.services.iam.managed_policies import disable_managed_policies, enable_managed_policies
from localaws.services.lambda_.function_urls import FunctionUrls
from localaws.services.lambda_.service import FunctionHost
from localaws.services.pricing.price_list import PriceListControl, PriceLists
from localaws.services.rds.records import clusters
from localaws.services.rds.service import DatabaseHost
from localaws.services.s3vectors.service import S3Vectors
from localaws.services.sagemaker.async_inference.service import AsyncInference
from localaws.services.sagemaker.endpoints.launch_faults import LAUNCH_FAULTS
from localaws.services.sagemaker.host import EndpointHost
from localaws.services.sagemaker.quotas import QuotaControl
from localaws.services.sagemaker.telemetry.metrics import MetricRecorder
from localaws.services.scheduler.service import Schedules
from localaws.services.sqs.inspection import QueueInspection
from localaws.services.sqs.message_queue import queue_class
from localaws.services.sqs.metrics import QueueMetrics

if TYPE_CHECKING:
    from localaws.core.wsgi import Middleware

__all__ = ["Services"]


class _Background(Protocol):
    """A service with threads or processes."""

    def start(self) -> None:
        """Start them."""

    def close(self) -> None:
        """Stop them."""


class Services:
    """All services from :meth:`start` to :meth:`close`.

    Attributes:
        application: Handles requests that passed the request guard.
        host: The endpoints behind SageMaker.
    """

    def __init__(
        self, config: LocalAwsConfig, state_dir: Path, describe: Callable[[], dict[str, Any]], *, resume: bool = False
    ) -> None:
        """Create the services, after removing what an earlier local AWS left behind.

        Args:
            config: Limits and durations.
            state_dir: Folder for pid files, artifacts, functions and databases.
            describe: Returns the health check's response.
            resume: Whether to continue with the state that an earlier local AWS has kept in the folder.

        Raises:
            LocalAwsError: The kept state cannot be read.
        """
        for folder in ("models", "functions"):
            shutil.rmtree(state_dir / folder, ignore_errors=True)
        self._state_dir = state_dir
        self._pids = PidFiles(state_dir / "containers")
        self._pids.reap(config.stop_grace)
        self._time = simulated = SimulatedTime(config.clock_speed)
        self._queue_class = queue_class(simulated)
        self._state = read_state_file(state_dir, self._named) if resume else State()
        remove_databases(state_dir, kept=[cluster.database.folder for cluster in clusters()])
        if self._state.clock is not None:
            simulated.resume(*self._state.clock)
        self._state.scaling.end_open_changes(simulated.now())
        monitoring = Monitoring(simulated, self._state.metrics, self._state.alarm_history)
        recorder = MetricRecorder(simulated, monitoring.metrics)
        meter = Meter(simulated, self._state.usage, config.cost_delay)
        meter.watch(alarm_rates)
        prices = UsagePrices(config.prices_file)
        price_lists = PriceLists(prices)
        budgets = BudgetWatch(meter, prices, self._state.budget_notifications)
        self.host = EndpointHost(config, state_dir, self._pids, recorder, simulated, meter)
        scaling = AutoScaling(self.host.scalable, monitoring, self._state.scaling)
        self.host.is_scalable_target = scaling.is_target
        faults = Faults(deferred={"sagemaker": frozenset(LAUNCH_FAULTS)})
        self.host.next_launch_fault = partial(faults.deferred_fault, "sagemaker")
        async_inference = AsyncInference(self.host, self._state.async_queues)
        monitoring.alarms.on_minute(async_inference.sample)
        vectors = S3Vectors(
            config.vector_writes_per_second, config.vectors_per_second, self._state.vectors, time=simulated, meter=meter
        )
        monitoring.alarms.on_minute(QueueMetrics(monitoring.metrics).sample)
        self._functions = FunctionHost(
            config, state_dir, self._pids, monitoring.metrics, simulated, meter, self._state.function_events
        )
        self._schedules = Schedules(config, simulated, self._state.schedule_deliveries)
        self._databases = DatabaseHost(state_dir, self._pids)
        enable_managed_policies()
        self._background: list[_Background] = [
            monitoring.alarms, scaling, async_inference, budgets, self._schedules, self._functions, self._databases
        ]  # fmt: skip
        middlewares: list[Middleware] = [
            CallerAccount,
            partial(TimeControl, simulated=simulated),
            partial(FaultInjector, faults=faults),
            partial(QuotaControl, quotas=self.host.quotas),
            partial(FunctionUrls, host=self._functions),
            QueueInspection,
            partial(PriceListControl, lists=price_lists),
            partial(CostInspection, meter=meter, prices=prices, budgets=budgets),
            RetryDeduplicator,
            *([ConformanceCheck] if config.check_answers else []),
            partial(HealthCheck, describe=describe),
            ClosedPaths,
            CorsHeaderFilter,
            NullMemberFilter,
        ]
        parts = ServiceParts(
            host=self.host,
            monitoring=monitoring,
            auto_scaling=scaling,
            async_inference=async_inference,
            functions=self._functions,
            vectors=vectors,
            databases=self._databases,
            schedules=self._schedules,
            meter=meter,
            budgets=budgets,
            prices=prices,
            price_lists=price_lists,
            queue_class=self._queue_class,
        )
        dispatcher = LocalAwsApplication(parts)
        self.application = chain(middlewares, dispatcher)

    def start(self, port: int) -> None:
        """Start the services' threads, and the processes of the state that was kept.

        Args:
            port: The port under which functions reach the local AWS.
        """
        self._functions.serve_on(port)
        self._schedules.serve_on(port)
        self.host.resume(self._state.components)
        self._databases.resume([cluster.database for cluster in clusters() if cluster.runs])
        for service in self._background:
            service.start()
        self._functions.resume()

    def close(self) -> None:
        """Stop every thread and process."""
        for service in self._background:
            service.close()
        self.host.close()
        self._pids.reap(grace=0)

    def keep(self) -> None:
        """Write the state to a file, once the services are closed and no request is handled any more.

        Raises:
            OSError: The file cannot be written.
            SnapshotError: The state cannot be written.
        """
        ahead = (self._time.now() - datetime.now(UTC)).total_seconds()
        state = replace(self._state, clock=(max(ahead, 0.0), self._time.speed), components=self.host.components.all())
        write_state_file(self._state_dir, state, self._named)

    def clear(self, *, delete_files: bool = True) -> None:
        """Delete moto's state, once no request is handled any more.

        Args:
            delete_files: Whether to delete what is on disk, too: the databases and the state that was kept before.
        """
        if delete_files:
            SavedFile(self._state_dir).discard()
            remove_databases(self._state_dir)
        disable_managed_policies()
        moto_api_backend.reset()

    @property
    def _named(self) -> dict[str, Any]:
        """The objects that the state refers to and that exist in every local AWS."""
        return {"time": self._time, "queue class": self._queue_class}
