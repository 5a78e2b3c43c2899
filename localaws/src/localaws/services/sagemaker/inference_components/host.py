"""All inference components of a local AWS, with their life cycles in the background."""

import logging
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from localaws.core.threads import at_the_same_time
from localaws.services.sagemaker.endpoints.scaling import CapacityRefused
from localaws.services.sagemaker.inference_components.component import ComponentInProgressError, InferenceComponent
from localaws.services.sagemaker.inference_components.launcher import CopyFleetLauncher

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from localaws.config import LocalAwsConfig
    from localaws.process.pid_files import PidFiles
    from localaws.services.sagemaker.inference_components.pools import InstancePool
    from localaws.services.sagemaker.inference_components.specs import ComponentSpec
    from localaws.services.sagemaker.telemetry.metrics import MetricRecorder

__all__ = ["COPY_COUNT", "ComponentCopies", "ComponentHost"]

#: Application Auto Scaling's dimension of a component's copies.
COPY_COUNT = "sagemaker:inference-component:DesiredCopyCount"

_logger = logging.getLogger(__name__)


class ComponentHost:
    """Owns every inference component from creation to deletion."""

    def __init__(
        self,
        config: "LocalAwsConfig",
        state_dir: "Path",
        pids: "PidFiles",
        metrics: "MetricRecorder",
        run: "Callable[[Callable[[], None]], None]",
    ) -> None:
        """Prepare a host without components.

        Args:
            config: Limits and durations.
            state_dir: Where artifacts are unpacked.
            pids: Where the containers' processes are recorded.
            metrics: Recorder of the copies' metrics.
            run: Runs a long operation in the background.
        """
        self._config = config
        self._state_dir = state_dir
        self._pids = pids
        self._metrics = metrics
        self._run = run
        self._lock = threading.Lock()
        self._components: dict[tuple[str, str, str], InferenceComponent] = {}

    def create(
        self,
        arn: str,
        endpoint_arn: str,
        tags: list[dict[str, str]],
        spec: "ComponentSpec",
        copies: int,
        pool: "InstancePool",
    ) -> InferenceComponent:
        """Create a component and start it in the background."""
        launcher = CopyFleetLauncher(self._config, self._pids, self._state_dir)
        component = InferenceComponent(arn, endpoint_arn, tags, spec, copies, pool, launcher)
        with self._lock:
            self._components[_key(component)] = component
        self._run(component.run_creation)
        return component

    def update(
        self,
        component: InferenceComponent,
        *,
        spec: "ComponentSpec | None" = None,
        copies: int | None = None,
        deployment_config: dict[str, Any] | None = None,
    ) -> None:
        """Change a component's specification or number of copies in the background.

        Raises:
            ComponentInProgressError: Another operation has not finished.
        """
        component.begin_update(copies, deployment_config)
        self._run(partial(component.run_update, spec))

    def delete(self, component: InferenceComponent) -> None:
        """Delete a component in the background. It can be described until its copies have stopped.

        Raises:
            ComponentInProgressError: Another operation has not finished.
        """
        component.begin_deletion()

        def delete() -> None:
            component.run_deletion()
            self._metrics.forget(component.spec.identity)
            with self._lock:
                self._components.pop(_key(component), None)

        self._run(delete)

    def find(self, account_id: str, region: str, name: str) -> InferenceComponent | None:
        """The component of that name, or None."""
        return self._components.get((account_id, region, name))

    def all(self) -> list[InferenceComponent]:
        """All components."""
        with self._lock:
            return list(self._components.values())

    def all_in(self, account_id: str, region: str) -> list[InferenceComponent]:
        """All components of an account in a region."""
        with self._lock:
            return [component for key, component in self._components.items() if key[:2] == (account_id, region)]

    def on_endpoint(self, account_id: str, region: str, endpoint: str) -> list[InferenceComponent]:
        """The components of one endpoint."""
        return [
            component for component in self.all_in(account_id, region) if component.spec.identity.endpoint == endpoint
        ]

    def abandon(self, account_id: str, region: str, endpoint: str) -> None:
        """Stop the copies on an endpoint that is being deleted."""
        at_the_same_time([component.abandon for component in self.on_endpoint(account_id, region, endpoint)])

    def scalable(self, account_id: str, region: str, resource_id: str) -> "ComponentCopies | None":
        """The copies with the resource id ``inference-component/<name>``; None if it does not exist."""
        kind, _, name = resource_id.partition("/")
        component = self.find(account_id, region, name) if kind == "inference-component" else None
        return None if component is None else ComponentCopies(self, component)

    def resume(self, components: "list[InferenceComponent]") -> None:
        """Take over the components of another local AWS, and start their copies. Blocks until then."""
        self._components = {_key(component): component for component in components}

        def resume(component: InferenceComponent) -> None:
            component.resume(CopyFleetLauncher(self._config, self._pids, self._state_dir))

        at_the_same_time([partial(resume, component) for component in components])

    def stop(self) -> None:
        """Stop all copies without draining."""
        at_the_same_time([component.stop for component in self.all()])

    def tick(self) -> None:
        """Maintain the copies' containers. Called periodically."""
        for component in self.all():
            try:
                component.tick()
            except Exception:
                # The other components still get their tick.
                _logger.exception("updating the copies of inference component %s failed", component.name)


class ComponentCopies:
    """A component's copies, as Application Auto Scaling scales them."""

    def __init__(self, host: ComponentHost, component: InferenceComponent) -> None:
        """Wrap a component."""
        self._host = host
        self._component = component

    @property
    def current(self) -> int:
        """Number of running copies."""
        return self._component.current

    @property
    def desired(self) -> int:
        """Desired number of copies."""
        return self._component.desired

    @property
    def changing(self) -> bool:
        """Whether a change has not finished."""
        return self._component.status not in ("InService", "Failed")

    def scale(self, desired: int) -> None:
        """Request another number of copies; the change happens in the background.

        Raises:
            CapacityRefused: Another operation on the component has not finished.
        """
        try:
            self._host.update(self._component, copies=desired)
        except ComponentInProgressError as error:
            message = f'Cannot update in-progress inference component "{self._component.arn}".'
            raise CapacityRefused(message) from error


def _key(component: InferenceComponent) -> tuple[str, str, str]:
    identity = component.spec.identity
    return identity.account_id, identity.region, identity.name
