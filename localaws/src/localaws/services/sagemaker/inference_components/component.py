"""Inference components: what DescribeInferenceComponent shows of them, and the life cycle behind it."""

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

    Creating → InService | Failed; InService → Updating → InService (with the old copies when the new ones do not come
    up); any settled state → Deleting → gone.

    Attributes:
        arn: Its ARN.
        tags: Its tags.
        endpoint_arn: ARN of its endpoint.
        spec: What a copy is.
        status: SageMaker's InferenceComponentStatus.
        desired: How many copies shall run.
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
        """Describe a new component in state Creating; ``run_creation`` brings it up.

        Args:
            arn: Its ARN.
            endpoint_arn: ARN of its endpoint.
            tags: Its tags.
            spec: What a copy is.
            copies: How many there shall be.
            pool: The instances to place them on.
            launcher: Starts them.
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

    @property
    def name(self) -> str:
        """Its name, unique in account and region."""
        return self.spec.identity.name

    @property
    def group(self) -> "ContainerGroup | None":
        """The copies that take requests; None while there are none yet, or none any more."""
        return self._group if self.status in ("InService", "Updating") else None

    @property
    def current(self) -> int:
        """How many copies run."""
        return self._group.current if self._group is not None and not self._launcher.is_stopped else 0

    def run_creation(self) -> None:
        """Place and start the copies: InService, or Failed with its reason. Blocks until decided."""
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
        """Bring another specification or another number of copies into being. Blocks until decided.

        The old copies take requests until the new ones passed their health checks, and go on if those never do.
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
        """Enter Deleting; from here on the component cannot be invoked.

        Raises:
            ComponentInProgressError: Another operation has not finished.
        """
        with self._lock:
            self._require_settled()
            self.status = "Deleting"
            self.last_modified_time = utc_now()

    def run_deletion(self) -> None:
        """Drain and stop the copies, and give up their room. Blocks until nothing runs."""
        self._launcher.retire(self._group)
        self._group = None
        self._pool.release(self.name)

    def abandon(self) -> None:
        """Lose the copies, because the endpoint goes; SageMaker leaves the component itself behind."""
        self._launcher.stop(f'Endpoint "{self.endpoint_arn}" was deleted.', drain=True)

    def stop(self) -> None:
        """Stop everything at once, whatever state the component is in: the local AWS goes down."""
        self._launcher.stop("The local AWS is stopping.", drain=False)

    def tick(self) -> None:
        """Let the copies look after themselves."""
        group = self.group
        if group is not None:
            group.tick()

    def summary(self) -> dict[str, Any]:
        """ListInferenceComponents' line about it."""
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
        """DescribeInferenceComponent's answer."""
        answer = {
            **self.summary(),
            "FailureReason": self.failure_reason,
            "Specification": self.spec.describe(self._deployed),
            "RuntimeConfig": {"DesiredCopyCount": self.desired, "CurrentCopyCount": self.current},
            "LastDeploymentConfig": self.last_deployment_config,
        }
        return {key: value for key, value in answer.items() if value is not None}

    def _replace(self, spec: "ComponentSpec", old: int) -> None:
        """Start copies by another specification, then retire the old ones."""
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
