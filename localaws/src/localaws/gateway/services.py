"""The services of one local AWS, with the processes and threads behind them."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from moto.moto_api._internal.models import moto_api_backend

from localaws.config import LocalAwsConfig
from localaws.conformance import ConformanceCheck
from localaws.core.clock import SimulatedTime, TimeControl
from localaws.core.wsgi import chain
from localaws.faults.injector import FaultInjector
from localaws.gateway.caller_account import CallerAccount
from localaws.gateway.dispatcher import LocalAwsApplication
from localaws.gateway.own_paths import ClosedPaths, HealthCheck
from localaws.gateway.response_filters import CorsHeaderFilter, NullMemberFilter
from localaws.gateway.retry_deduplicator import RetryDeduplicator
from localaws.process.databases import remove_databases
from localaws.process.pid_files import PidFiles
from localaws.services.application_autoscaling.service import AutoScaling
from localaws.services.cloudwatch.service import Monitoring
from localaws.services.iam.managed_policies import disable_managed_policies, enable_managed_policies
from localaws.services.lambda_.function_urls import FunctionUrls
from localaws.services.lambda_.service import FunctionHost
from localaws.services.rds.service import DatabaseHost
from localaws.services.s3vectors.service import S3Vectors
from localaws.services.sagemaker.async_inference.service import AsyncInference
from localaws.services.sagemaker.host import EndpointHost
from localaws.services.sagemaker.telemetry.metrics import MetricRecorder
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

    def __init__(self, config: LocalAwsConfig, state_dir: Path, describe: Callable[[], dict[str, Any]]) -> None:
        """Create the services, after removing what an earlier local AWS left behind.

        Args:
            config: Limits and durations.
            state_dir: Folder for pid files, artifacts, functions and databases.
            describe: Returns the health check's response.
        """
        for folder in ("models", "functions"):
            shutil.rmtree(state_dir / folder, ignore_errors=True)
        remove_databases(state_dir)
        self._pids = PidFiles(state_dir / "containers")
        self._pids.reap(config.stop_grace)
        simulated = SimulatedTime(config.clock_speed)
        monitoring = Monitoring(simulated)
        recorder = MetricRecorder(simulated, monitoring.metrics)
        self.host = EndpointHost(config, state_dir, self._pids, recorder, simulated)
        scaling = AutoScaling(self.host.scalable, monitoring)
        self.host.is_scalable_target = scaling.is_target
        async_inference = AsyncInference(self.host)
        monitoring.alarms.on_minute(async_inference.sample)
        vectors = S3Vectors(config.vector_writes_per_second, config.vectors_per_second)
        monitoring.alarms.on_minute(QueueMetrics(monitoring.metrics).sample)
        self._functions = FunctionHost(config, state_dir, self._pids, monitoring.metrics, simulated)
        databases = DatabaseHost(state_dir, self._pids)
        enable_managed_policies()
        self._background: list[_Background] = [monitoring.alarms, scaling, async_inference, self._functions, databases]
        middlewares: list[Middleware] = [
            CallerAccount,
            partial(TimeControl, simulated=simulated),
            FaultInjector,
            partial(FunctionUrls, host=self._functions),
            RetryDeduplicator,
            *([ConformanceCheck] if config.check_answers else []),
            partial(HealthCheck, describe=describe),
            ClosedPaths,
            CorsHeaderFilter,
            NullMemberFilter,
        ]
        dispatcher = LocalAwsApplication(
            self.host, monitoring, scaling, async_inference, self._functions, vectors, databases
        )
        self.application = chain(middlewares, dispatcher)

    def start(self, port: int) -> None:
        """Start the services' threads.

        Args:
            port: The port under which functions reach the local AWS.
        """
        for service in self._background:
            service.start()
        self._functions.serve_on(port)

    def close(self) -> None:
        """Stop every thread and process."""
        for service in self._background:
            service.close()
        self.host.close()
        self._pids.reap(grace=0)

    def clear(self) -> None:
        """Delete moto's state, once no request is handled any more."""
        disable_managed_policies()
        moto_api_backend.reset()
