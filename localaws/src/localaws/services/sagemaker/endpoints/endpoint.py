"""An endpoint: its description and its life cycle."""

import threading
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from moto.sagemaker.models import FakeEndpoint

from localaws.core.timestamps import utc_now
from localaws.services.sagemaker.containers.container import ContainerFailed
from localaws.services.sagemaker.endpoints.capacity import CapacityChange
from localaws.services.sagemaker.endpoints.deployment_policy import DeploymentPolicy
from localaws.services.sagemaker.endpoints.rollout import RolledBack, Rollout, RolloutContext, RolloutStopped
from localaws.services.sagemaker.endpoints.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from localaws.core.clock import SimulatedTime
    from localaws.services.sagemaker.endpoints.capacity import VariantChange
    from localaws.services.sagemaker.endpoints.deployment import Deployment
    from localaws.services.sagemaker.endpoints.launch_faults import LaunchFault
    from localaws.services.sagemaker.endpoints.settings import EndpointSettings

_IN_PROGRESS = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"})
_INVOCABLE = frozenset({"InService", "Updating", "RollingBack", "UpdateRollbackFailed"})


class EndpointInProgressError(Exception):
    """Another operation on the endpoint has not finished."""


class EndpointFailedError(Exception):
    """The endpoint has failed and can only be deleted."""


class DeploymentFactory(Protocol):
    """Creates deployments that are not started yet."""

    def __call__(self, settings: "EndpointSettings", *, empty: bool = False) -> "Deployment":
        """A deployment with all its instances or, for a rolling update, with none."""


class Endpoint(FakeEndpoint):  # type: ignore[misc]  # moto is untyped
    """One endpoint. moto lists and tags it; its deployments are ours.

    - Creation: Creating → InService or Failed.
    - Update: InService → Updating → InService, rolled back if the new deployment fails.
    - Change of capacity: InService → Updating [→ RollingBack] → InService. By the API reference of DescribeEndpoint,
      RollingBack is for changes of capacity only.
    - Deletion: any settled state → Deleting → deleted.
    """

    def __init__(
        self,
        name: str,
        arn: str,
        tags: list[dict[str, str]],
        settings: "EndpointSettings",
        deploy: DeploymentFactory,
        drain_timeout: float,
        time: "SimulatedTime",
        deployment_config: dict[str, Any] | None = None,
    ) -> None:
        """Create an endpoint in state Creating; ``run_creation`` starts it.

        moto's ``__init__`` is not called, since it sets the state InService.
        """
        self.endpoint_name = name
        self.arn = arn
        self.tags = tags
        self.endpoint_config_name = settings.config_name
        self.endpoint_status = "Creating"
        self.failure_reason: str | None = None
        self.creation_time = self.last_modified_time = utc_now()
        self.last_deployment_config = deployment_config
        self.settings = settings
        self.traffic = Traffic()
        self._deploy = deploy
        self._drain_timeout = drain_timeout
        self._time = time
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._rollout: Rollout | None = None
        self._at_stop: dict[str, Any] = {}

    @property
    def in_progress(self) -> bool:
        """Whether an operation has not finished."""
        return self.endpoint_status in _IN_PROGRESS

    @property
    def invocable(self) -> bool:
        """Whether it accepts requests."""
        return self.endpoint_status in _INVOCABLE

    def route(self) -> "Deployment | None":
        """The deployment for one request; None if the endpoint cannot be invoked."""
        return self.traffic.route() if self.invocable else None

    @property
    def instances(self) -> Counter[str]:
        """Its instances by instance type, including those that are starting."""
        if self.endpoint_status == "Creating":
            return self.settings.instances
        instances: Counter[str] = Counter()
        for deployment in (self.traffic.current, self.traffic.pending):
            if deployment is not None:
                instances += deployment.instances
        return instances

    def run_creation(self, fault: "LaunchFault | None" = None) -> None:
        """Start the endpoint: InService, or Failed with a reason. Blocks until then.

        Args:
            fault: Makes the launch fail.
        """
        if fault is not None:
            self._fail(fault, "Failed")
            return
        deployment = self._deploy(self.settings)
        self._rollout = self._new_rollout(deployment, DeploymentPolicy({}))
        self.traffic.prepare(deployment)
        try:
            self._rollout.run()
        except RolledBack as error:
            self._settle("Failed", reason=str(error))
        else:
            self._settle("InService")

    def begin_update(self, deployment_config: dict[str, Any] | None) -> None:
        """Enter Updating, with this DeploymentConfig.

        Raises:
            EndpointInProgressError: Another operation has not finished.
            EndpointFailedError: The endpoint has failed.
        """
        self._begin("Updating")
        self.last_deployment_config = deployment_config

    def run_update(self, settings: "EndpointSettings", fault: "LaunchFault | None" = None) -> None:
        """Start the new deployment, shift traffic to it and drain the old one. Blocks until then.

        As in SageMaker, the old deployment keeps all traffic if the new one does not pass its health check, or if an
        alarm fires.

        Args:
            settings: The new settings.
            fault: Makes the launch of the new deployment fail.
        """
        if fault is not None:
            self._fail(fault, "InService")
            return
        policy = DeploymentPolicy(self.last_deployment_config or {})
        deployment = self._deploy(settings, empty=policy.rolling is not None)
        self._rollout = self._new_rollout(deployment, policy)
        self.traffic.prepare(deployment)
        try:
            retired = self._rollout.run()
        except RolledBack as error:
            self._settle("InService" if error.complete else "UpdateRollbackFailed", reason=str(error))
            return
        except RolloutStopped:
            return
        self.settings = settings
        self.endpoint_config_name = settings.config_name
        if retired is not None:
            retired.retire(self._drain_timeout)
        self._settle("InService")

    def begin_capacity_change(self, changes: "Sequence[VariantChange]") -> CapacityChange:
        """Enter Updating; weights and concurrency are applied immediately.

        Raises:
            EndpointInProgressError: Another operation has not finished.
            EndpointFailedError: The endpoint has failed.
        """
        deployment = self.traffic.current
        if deployment is None:
            raise EndpointInProgressError if self.in_progress else EndpointFailedError
        self._begin("Updating")
        change = CapacityChange(changes, self.traffic.current or deployment)
        change.apply_immediately(utc_now())
        return change

    def run_capacity_change(self, change: CapacityChange, fault: "LaunchFault | None" = None) -> None:
        """Scale to the instance counts, or roll back. Blocks until then.

        Args:
            change: The change.
            fault: Makes the launch of its instances fail.
        """
        reason = None
        try:
            if fault is None:
                change.scale()
            else:
                self._time.wait(fault.seconds, self._stopped)
                reason = fault.reason
        except ContainerFailed as error:
            reason = str(error)
        if reason is not None:
            self.endpoint_status = "RollingBack"
            change.roll_back()
        change.finish()
        self._settle("InService", reason=reason)

    def begin_deletion(self) -> None:
        """Enter Deleting; the endpoint can no longer be invoked.

        Raises:
            EndpointInProgressError: Another operation has not finished.
        """
        self._begin("Deleting")

    def run_deletion(self) -> None:
        """Drain and stop all containers. Blocks until then."""
        if self.traffic.current is not None:
            self.traffic.current.retire(self._drain_timeout)

    def stop(self) -> None:
        """Stop all containers without draining, in any state: the local AWS is stopping."""
        # Operations in progress fail when their containers stop.
        self._at_stop = self._kept()
        self._stopped.set()
        for deployment in (self.traffic.current, self.traffic.pending):
            if deployment is not None:
                deployment.retire(0)

    def resume(self, deploy: DeploymentFactory, drain_timeout: float, time: "SimulatedTime") -> None:
        """Start the containers of an endpoint that another local AWS has stopped. Blocks until then.

        A creation starts again; an update that had not finished is dropped.
        """
        self._deploy, self._drain_timeout, self._time = deploy, drain_timeout, time
        self.traffic, self._rollout = Traffic(), None
        self._lock, self._stopped = threading.Lock(), threading.Event()
        if self.endpoint_status != "Failed":
            self.run_creation()

    def __getstate__(self) -> dict[str, Any]:
        """What is kept when the local AWS stops; see :meth:`resume`."""
        lost = {"_deploy", "_drain_timeout", "_time", "traffic", "_rollout", "_lock", "_stopped", "_at_stop"}
        kept = {name: value for name, value in vars(self).items() if name not in lost}
        return {**kept, **self._at_stop}

    def _kept(self) -> dict[str, Any]:
        """The members that stopping changes: the state, and the capacities, which start from the configuration's."""
        deployment = self.traffic.current
        specs = self.settings.specs if deployment is None else tuple(each.current_spec for each in deployment.variants)
        status = self.endpoint_status if self.endpoint_status in ("Creating", "Failed") else "InService"
        return {
            "endpoint_status": status,
            "failure_reason": self.failure_reason,
            "settings": replace(self.settings, specs=specs),
        }

    def tick(self) -> None:
        """Maintain the variants' containers."""
        if not self.invocable:
            return
        for deployment in (self.traffic.current, self.traffic.pending):
            if deployment is not None:
                deployment.tick()

    @property
    def production_variants(self) -> list[dict[str, Any]]:
        """The ProductionVariants of DescribeEndpoint, which moto reads, too."""
        deployment = self.traffic.current
        return deployment.describe() if deployment is not None else []

    @property
    def response_object(self) -> dict[str, Any]:
        """The response of DescribeEndpoint."""
        description: dict[str, Any] = {
            "EndpointName": self.endpoint_name,
            "EndpointArn": self.arn,
            "EndpointConfigName": self.endpoint_config_name,
            "EndpointStatus": self.endpoint_status,
            "CreationTime": self.creation_time,
            "LastModifiedTime": self.last_modified_time,
            "ProductionVariants": self.production_variants or None,
            "FailureReason": self.failure_reason,
            "LastDeploymentConfig": self.last_deployment_config,
        }
        if self.settings.data_capture:
            description["DataCaptureConfig"] = {
                "EnableCapture": self.settings.captures_data,
                "CaptureStatus": "Started" if self.settings.captures_data else "Stopped",
                "CurrentSamplingPercentage": self.settings.data_capture["InitialSamplingPercentage"],
                "DestinationS3Uri": self.settings.data_capture["DestinationS3Uri"],
                "KmsKeyId": self.settings.data_capture.get("KmsKeyId", ""),
            }
        if self.settings.async_inference is not None:
            description["AsyncInferenceConfig"] = self.settings.async_inference.request
        pending, rollout = self.traffic.pending, self._rollout
        if pending is not None and rollout is not None and self.in_progress:
            description["PendingDeploymentSummary"] = {
                "EndpointConfigName": pending.config_name,
                "ProductionVariants": rollout.describe(),
                "StartTime": pending.created,
            }
        return {key: value for key, value in description.items() if value is not None}

    def _new_rollout(self, deployment: "Deployment", policy: DeploymentPolicy) -> Rollout:
        identity = self.settings.specs[0].identity
        context = RolloutContext(identity.account_id, identity.region, self._time, self._stopped, self._drain_timeout)
        return Rollout(self.traffic, deployment, policy, context)

    def _begin(self, status: str) -> None:
        """Enter a state, unless another operation runs or the endpoint has failed."""
        with self._lock:
            if self.in_progress:
                raise EndpointInProgressError
            if self.endpoint_status == "Failed" and status != "Deleting":
                raise EndpointFailedError
            self.endpoint_status = status
            self.last_modified_time = utc_now()

    def _fail(self, fault: "LaunchFault", status: str) -> None:
        """Stay in the current state for as long as the fault lasts, then settle with its reason."""
        if not self._time.wait(fault.seconds, self._stopped):
            self._settle(status, reason=fault.reason)

    def _settle(self, status: str, reason: str | None = None) -> None:
        with self._lock:
            self._rollout = None
            self.failure_reason = reason
            self.last_modified_time = utc_now()
            self.endpoint_status = status
