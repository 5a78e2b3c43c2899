"""Fleets of an inference component's copies: made, started, retired, and what they unpacked removed."""

import shutil
import threading
import uuid
from functools import partial
from typing import TYPE_CHECKING

from embedstack.localaws.fleet import Fleet
from embedstack.localaws.model_container import ContainerFailed
from embedstack.localaws.threads import at_the_same_time

if TYPE_CHECKING:
    from pathlib import Path

    from embedstack.localaws.component_specs import ComponentSpec
    from embedstack.localaws.config import LocalAwsConfig
    from embedstack.localaws.pidfiles import PidFiles

__all__ = ["CopyLauncher"]


class CopyLauncher:
    """Starts the copies of one component; two fleets of them for as long as one takes over from the other."""

    def __init__(self, config: "LocalAwsConfig", pids: "PidFiles", state_dir: "Path") -> None:
        """Prepare a launcher.

        Args:
            config: Limits and durations.
            pids: Where processes are recorded.
            state_dir: Where artefacts are unpacked.
        """
        self._config = config
        self._pids = pids
        self._state_dir = state_dir
        self._lock = threading.Lock()
        self._stopped = False
        self._fleets: dict[Fleet, Path] = {}

    def launch(self, spec: "ComponentSpec", copies: int, *, least_outstanding: bool) -> Fleet:
        """Start copies and wait for their health checks.

        Raises:
            ContainerFailed: One did not come up, or the local AWS stops.
        """
        work_dir = self._state_dir / "models" / uuid.uuid4().hex
        fleet = Fleet(
            spec.launch_template(self._config),
            self._config,
            self._pids,
            work_dir,
            size=copies,
            least_outstanding=least_outstanding,
        )
        with self._lock:
            if self._stopped:
                raise ContainerFailed("The local AWS is stopping.")
            self._fleets[fleet] = work_dir
        try:
            fleet.start()
        except ContainerFailed:
            self._retire(fleet, 0)
            raise
        return fleet

    def retire(self, fleet: Fleet | None) -> None:
        """Let a fleet finish its requests, and stop it."""
        if fleet is not None:
            self._retire(fleet, self._config.drain_timeout)

    def stop(self) -> None:
        """Stop every fleet at once, and start no more."""
        with self._lock:
            self._stopped = True
            fleets = list(self._fleets)
        at_the_same_time([partial(self._retire, fleet, 0) for fleet in fleets])

    def _retire(self, fleet: Fleet, drain_timeout: float) -> None:
        fleet.retire(drain_timeout)
        with self._lock:
            work_dir = self._fleets.pop(fleet, None)
        if work_dir is not None:
            shutil.rmtree(work_dir, ignore_errors=True)
