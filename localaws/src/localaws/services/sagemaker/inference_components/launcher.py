"""Starts and retires the copies of an inference component."""

import shutil
import threading
import uuid
from functools import partial
from typing import TYPE_CHECKING

from localaws.core.threads import at_the_same_time
from localaws.services.sagemaker.containers.container import ContainerFailed
from localaws.services.sagemaker.containers.group import ContainerGroup

if TYPE_CHECKING:
    from pathlib import Path

    from localaws.config import LocalAwsConfig
    from localaws.process.pid_files import PidFiles
    from localaws.services.sagemaker.inference_components.specs import ComponentSpec

__all__ = ["CopyFleetLauncher"]


class CopyFleetLauncher:
    """Starts the copies of one component: one group of them, or two during a replacement."""

    def __init__(self, config: "LocalAwsConfig", pids: "PidFiles", state_dir: "Path") -> None:
        """Prepare a launcher.

        Args:
            config: Limits and durations.
            pids: Where the containers' processes are recorded.
            state_dir: Where artifacts are unpacked.
        """
        self._config = config
        self._pids = pids
        self._state_dir = state_dir
        self._lock = threading.Lock()
        self._stopped_for: str | None = None
        self._groups: dict[ContainerGroup, Path] = {}

    @property
    def is_stopped(self) -> bool:
        """Whether all copies were stopped for good."""
        return self._stopped_for is not None

    def launch(self, spec: "ComponentSpec", copies: int, *, least_outstanding: bool) -> ContainerGroup:
        """Start copies and wait for their health checks.

        Raises:
            ContainerFailed: A copy did not start, or the launcher was stopped.
        """
        work_dir = self._state_dir / "models" / uuid.uuid4().hex
        group = ContainerGroup(
            spec.launch_template(self._config),
            self._config,
            self._pids,
            work_dir,
            size=copies,
            least_outstanding=least_outstanding,
        )
        with self._lock:
            if self._stopped_for is not None:
                raise ContainerFailed(self._stopped_for)
            self._groups[group] = work_dir
        try:
            group.start()
        except ContainerFailed:
            self._retire(group, 0)
            raise
        return group

    def retire(self, group: ContainerGroup | None) -> None:
        """Let a group finish its requests, then stop it."""
        if group is not None:
            self._retire(group, self._config.drain_timeout)

    def stop(self, reason: str, *, drain: bool) -> None:
        """Stop every group for good.

        Args:
            reason: Message of later attempts to start copies.
            drain: Whether to finish requests in flight.
        """
        with self._lock:
            self._stopped_for = reason
            groups = list(self._groups)
        timeout = self._config.drain_timeout if drain else 0
        at_the_same_time([partial(self._retire, group, timeout) for group in groups])

    def _retire(self, group: ContainerGroup, drain_timeout: float) -> None:
        group.retire(drain_timeout)
        with self._lock:
            work_dir = self._groups.pop(group, None)
        if work_dir is not None:
            shutil.rmtree(work_dir, ignore_errors=True)
