"""The state of a local AWS that is kept when it is stopped with ``--keep``.

Everything that a client created is kept: moto's backends with all resources, and the state of the services that
localaws extends. Processes are not: endpoints, functions and databases are started again.
"""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from moto.core.base_backend import BackendDict
from moto.s3.models import s3_backends

from localaws.core.snapshots import SnapshotError, dump, load
from localaws.errors import LocalAwsError
from localaws.metering.usage import UsageRecords
from localaws.process.saved_file import SavedFile, SavedHeader, code_digest
from localaws.services.application_autoscaling.records import Registry
from localaws.services.cloudwatch.alarm_history import AlarmHistory
from localaws.services.cloudwatch.metric_store import MetricStore

if TYPE_CHECKING:
    from localaws.services.budgets.watch import SentNotification
    from localaws.services.lambda_.async_invocations import AsyncEvent
    from localaws.services.s3vectors.records import VectorsBackend
    from localaws.services.sagemaker.async_inference.queue import RequestQueue
    from localaws.services.sagemaker.endpoints.endpoint import Endpoint
    from localaws.services.sagemaker.inference_components.component import InferenceComponent
    from localaws.services.scheduler.deliveries import Delivery

__all__ = ["State", "read_state_file", "write_state_file"]

_logger = logging.getLogger(__name__)

#: moto's backends of one service: by account and region.
_Backends = dict[str, dict[str, Any]]


@dataclass(slots=True)
class State:
    """What is kept besides moto's backends.

    Attributes:
        clock: Seconds by which the clock of the local AWS is ahead of the machine's, and its speed; None for a
            new clock.
        metrics: CloudWatch's metrics.
        alarm_history: The history of alarms.
        scaling: The targets of Application Auto Scaling.
        vectors: The vector buckets by account and region.
        components: The inference components.
        async_queues: The queues of asynchronous endpoints.
        function_events: The queue of asynchronous invocations of functions.
        usage: The metered usage.
        budget_notifications: The notifications of budgets that were sent.
        schedule_deliveries: The invocations of schedules' targets that failed and are retried.
    """

    clock: tuple[float, float] | None = None
    metrics: MetricStore = field(default_factory=MetricStore)
    alarm_history: AlarmHistory = field(default_factory=AlarmHistory)
    scaling: Registry = field(default_factory=Registry)
    vectors: "dict[tuple[str, str], VectorsBackend]" = field(default_factory=dict)
    components: "list[InferenceComponent]" = field(default_factory=list)
    async_queues: "dict[Endpoint, RequestQueue]" = field(default_factory=dict)
    function_events: "list[AsyncEvent]" = field(default_factory=list)
    schedule_deliveries: "list[Delivery]" = field(default_factory=list)
    budget_notifications: "list[SentNotification]" = field(default_factory=list)
    usage: UsageRecords = field(default_factory=UsageRecords)


def write_state_file(state_dir: Path, state: State, named: Mapping[str, Any]) -> None:
    """Write a state and moto's backends.

    Args:
        state_dir: The state directory.
        state: The state of a local AWS whose services are closed.
        named: Objects that exist in every local AWS, by name.

    Raises:
        OSError: The file cannot be written.
        SnapshotError: The state of a service that localaws extends cannot be written.
    """
    names = {id(value): name for name, value in named.items()}
    backends = _moto_backends()
    left_out: list[str] = []
    saved_file = SavedFile(state_dir)
    while True:
        header = SavedHeader(code_digest(), os.getpid(), datetime.now(UTC).isoformat(timespec="seconds"), left_out)
        try:
            with saved_file.writing(header) as file:
                dump((backends, s3_backends.bucket_accounts, state), file, names)
        except SnapshotError:
            unwritable = _unwritable(backends, names)
            if not unwritable:
                raise
            for service in unwritable:
                del backends[service]
            left_out = sorted([*left_out, *unwritable])
        else:
            return


def read_state_file(state_dir: Path, named: Mapping[str, Any]) -> State:
    """Read the state, if one was kept, and fill moto's backends.

    Args:
        state_dir: The state directory.
        named: Objects that exist in every local AWS, by name.

    Returns:
        The state; an empty one without a file.

    Raises:
        LocalAwsError: The file is damaged, or another version wrote it.
    """
    saved_file = SavedFile(state_dir)
    if not saved_file.path.exists():
        return State()
    with saved_file.reading() as file:
        backends, bucket_accounts, state = _load(file, named, saved_file.path)
    for service, accounts in backends.values():
        for account_id, regions in accounts.items():
            for region, backend in regions.items():
                service[account_id][region] = backend
    s3_backends.bucket_accounts.update(bucket_accounts)
    kept: State = state
    return kept


def _load(file: IO[bytes], named: Mapping[str, Any], path: Path) -> Any:
    try:
        return load(file, named)
    except SnapshotError as error:
        raise LocalAwsError(
            f"The kept state {path} cannot be read: {error}. Delete it with `make down` and start again."
        ) from error


def _moto_backends() -> dict[str, tuple[Any, _Backends]]:
    """Each service's backends in use, by its name."""
    return {
        service.service_name: (service, {account_id: dict(regions.items()) for account_id, regions in service.items()})
        for service in list(BackendDict._instances)  # noqa: SLF001 - moto has no public access
    }


def _unwritable(backends: dict[str, Any], names: Mapping[int, str]) -> list[str]:
    """The services whose state cannot be written."""
    unwritable = []
    with Path(os.devnull).open("wb") as null:
        for service, content in backends.items():
            try:
                dump(content, null, names)
            except SnapshotError as error:
                _logger.warning("the state of %s cannot be kept: %s", service, error)
                unwritable.append(service)
    return unwritable
