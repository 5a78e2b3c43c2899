"""An inference component: its description and its life cycle."""

import threading
from typing import TYPE_CHECKING, Any

from localaws.core.timestamps import utc_now
from localaws.services.sagemaker.containers.container import ContainerFailed
from localaws.services.sagemaker.inference_components.pools import NotEnoughResources

if TYPE_CHECKING:
    from localaws.services.sagemaker.containers.group import ContainerGroup
    from localaws.services.sagemaker.inference_components.launcher import CopyFleetLauncher
    from localaws.services.sagemaker.inference_components.pools import InstancePool
    from localaws.services.sagemaker.inference_components.specs import ComponentSpec

__all__ = ["ComponentInProgressError", "InferenceComponent"]


class ComponentInProgressError(Exception):
    """Another operation on the component has not finished."""


class InferenceComponent:
    """Copies of one model on the instances of an endpoint's variant.

    - Creation: Creating → InService or Failed.
    - Update: InService → Updating → InService, with the old copies if the new ones do not start.
    - Deletion: any settled state → Deleting → deleted.

    Attributes:
        arn: Its ARN.
        tags: Its tags.
        endpoint_arn: ARN of its endpoint.
        spec: Its specification.
        status: SageMaker's InferenceComponentStatus.
        desired: Desired number of copies.
    """

    def __init__(
        self,
        arn: str,
        endpoint_arn: str,
        tags: list[dict[str, str]],
        spec: "ComponentSpec",
        copies: int,
        pool: "InstancePool",
        launcher: "CopyFleetLauncher",
    ) -> None:
        """Create a component in state Creating; ``run_creation`` starts it.

        Args:
            arn: Its ARN.
            endpoint_arn: ARN of its endpoint.
            tags: Its tags.
            spec: Its specification.
            copies: Desired number of copies.
            pool: The instances for the copies.
            launcher: Starts the copies.
        """
        self.arn = arn
        self.endpoint_arn = endpoint_arn
        self.tags = tags
        self.spec = spec
        self.desired = copies
        self.status = "Creating"
        self.failure_reason: str | None = None
        self.creation_time = self.last_modified_time = utc_now()
        self.last_deployment_config: dict[str, Any] | None = None
        self._pool = pool
        self._launcher = launcher
        self._lock = threading.Lock()
        self._group: ContainerGroup | None = None
        self._deployed = self.creation_time
        self._at_stop = self.status

    @property
    def name(self) -> str:
        """Its name, unique in account and region."""
        return self.spec.identity.name

    @property
    def group(self) -> "ContainerGroup | None":
        """The copies that accept requests; None before creation and after deletion."""
        return self._group if self.status in ("InService", "Updating") else None

    @property
    def current(self) -> int:
        """Number of running copies."""
        return self._group.current if self._group is not None and not self._launcher.is_stopped else 0

    def run_creation(self) -> None:
        """Place and start the copies: InService, or Failed with a reason. Blocks until then."""
        try:
            self._pool.place(self.name, self.spec.need, self.desired)
            self._group = self._new_group(self.spec, self.desired)
        except (NotEnoughResources, ContainerFailed) as error:
            self._pool.release(self.name)
            self._settle("Failed", reason=str(error))
        else:
            self._settle("InService")

    def begin_update(self, copies: int | None, deployment_config: dict[str, Any] | None = None) -> None:
        """Enter Updating.

        Raises:
            ComponentInProgressError: Another operation has not finished.
        """
        with self._lock:
            self._require_settled()
            self.status = "Updating"
            self.desired = self.desired if copies is None else copies
            self.last_modified_time = utc_now()
            self.last_deployment_config = deployment_config or self.last_deployment_config

    def run_update(self, spec: "ComponentSpec | None") -> None:
        """Apply another specification or number of copies. Blocks until then.

        The old copies accept requests until the new ones have passed their health checks.
        """
        old = self._group.current if self._group is not None else 0
        try:
            if spec is not None or self._group is None:
                self._replace(spec or self.spec, old)
            else:
                self._scale(self._group, old)
        except (NotEnoughResources, ContainerFailed) as error:
            self.desired = old
            self._settle("InService" if self._group is not None else "Failed", reason=str(error))
        else:
            self._settle("InService")

    def begin_deletion(self) -> None:
        """Enter Deleting; the component can no longer be invoked.

        Raises:
            ComponentInProgressError: Another operation has not finished.
        """
        with self._lock:
            self._require_settled()
            self.status = "Deleting"
            self.last_modified_time = utc_now()

    def run_deletion(self) -> None:
        """Drain and stop the copies, and release their resources. Blocks until then."""
        self._launcher.retire(self._group)
        self._group = None
        self._pool.release(self.name)

    def abandon(self) -> None:
        """Stop the copies because the endpoint is deleted. As in SageMaker, the component itself remains."""
        self._launcher.stop(f'Endpoint "{self.endpoint_arn}" was deleted.', drain=True)

    def stop(self) -> None:
        """Stop the copies without draining, in any state: the local AWS is stopping."""
        # A creation in progress fails when its containers stop.
        self._at_stop = self.status
        self._launcher.stop("The local AWS is stopping.", drain=False)

    def resume(self, launcher: "CopyFleetLauncher") -> None:
        """Start the copies of a component that another local AWS has stopped. Blocks until then."""
        self._launcher, self._group, self._lock = launcher, None, threading.Lock()
        if self.status == "Creating":
            self.run_creation()
        elif self.status != "Failed":
            try:
                self._group = self._new_group(self.spec, self.desired)
            except ContainerFailed as error:
                self._settle("Failed", reason=str(error))
            else:
                self._settle("InService")

    def __getstate__(self) -> dict[str, Any]:
        """What is kept when the local AWS stops; see :meth:`resume`."""
        lost = ("_launcher", "_group", "_lock", "_at_stop")
        kept = {name: value for name, value in vars(self).items() if name not in lost}
        return {**kept, "status": self._at_stop}

    def tick(self) -> None:
        """Maintain the copies' containers."""
        group = self.group
        if group is not None:
            group.tick()

    def summary(self) -> dict[str, Any]:
        """Its entry in ListInferenceComponents."""
        return {
            "InferenceComponentName": self.name,
            "InferenceComponentArn": self.arn,
            "EndpointName": self.spec.identity.endpoint,
            "EndpointArn": self.endpoint_arn,
            "VariantName": self.spec.identity.variant,
            "InferenceComponentStatus": self.status,
            "CreationTime": self.creation_time,
            "LastModifiedTime": self.last_modified_time,
        }

    def describe(self) -> dict[str, Any]:
        """The response of DescribeInferenceComponent."""
        description = {
            **self.summary(),
            "FailureReason": self.failure_reason,
            "Specification": self.spec.describe(self._deployed),
            "RuntimeConfig": {"DesiredCopyCount": self.desired, "CurrentCopyCount": self.current},
            "LastDeploymentConfig": self.last_deployment_config,
        }
        return {key: value for key, value in description.items() if value is not None}

    def _replace(self, spec: "ComponentSpec", old: int) -> None:
        """Start copies with another specification, then retire the old ones."""
        self._pool.replace(self.name, spec.need, self.desired)
        try:
            group = self._new_group(spec, self.desired)
        except ContainerFailed:
            self._pool.replace(self.name, self.spec.need, old)
            raise
        retired, self._group = self._group, group
        self.spec = spec
        self._launcher.retire(retired)

    def _scale(self, group: "ContainerGroup", old: int) -> None:
        more = self.desired - old
        if more <= 0:
            group.scale(self.desired)
            self._pool.release(self.name, -more)
            return
        self._pool.place(self.name, self.spec.need, more)
        try:
            group.scale(self.desired)
        except ContainerFailed:
            self._pool.release(self.name, more)
            raise

    def _new_group(self, spec: "ComponentSpec", copies: int) -> "ContainerGroup":
        group = self._launcher.launch(spec, copies, least_outstanding=self._pool.spec.routes_by_load)
        self._deployed = utc_now()
        return group

    def _require_settled(self) -> None:
        if self.status not in ("InService", "Failed"):
            raise ComponentInProgressError

    def _settle(self, status: str, reason: str | None = None) -> None:
        with self._lock:
            self.failure_reason = reason
            self.last_modified_time = utc_now()
            self.status = status
