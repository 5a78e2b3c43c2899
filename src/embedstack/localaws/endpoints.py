"""Endpoints: what DescribeEndpoint shows of them, and the life cycle behind it."""

import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from moto.sagemaker.models import FakeEndpoint

from embedstack.localaws.model_container import ContainerFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from embedstack.localaws.deployments import Deployment
    from embedstack.localaws.variants import VariantSpec

_IN_PROGRESS = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"})


class EndpointInProgressError(Exception):
    """Another operation on the endpoint has not finished."""


class EndpointFailedError(Exception):
    """The endpoint has failed: deleting is all that can be done with it."""


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """An endpoint configuration, resolved: everything a deployment needs.

    Attributes:
        config_name: Name of the endpoint configuration.
        specs: Its production variants.
        data_capture: Its DataCaptureConfig, or None.
    """

    config_name: str
    specs: "tuple[VariantSpec, ...]"
    data_capture: dict[str, Any] | None = None

    @property
    def is_serverless(self) -> bool:
        """Whether its variants are serverless; SageMaker does not mix the two kinds."""
        return any(spec.serverless for spec in self.specs)


class Endpoint(FakeEndpoint):  # type: ignore[misc]  # moto is untyped
    """One endpoint. moto lists and tags it; the deployments behind it are ours.

    Creating → InService | Failed; InService → Updating → InService (rolled back when the new deployment does not
    come up); any settled state → Deleting → gone.
    """

    def __init__(
        self,
        name: str,
        arn: str,
        tags: list[dict[str, str]],
        settings: EndpointSettings,
        deploy: "Callable[[EndpointSettings], Deployment]",
        drain_timeout: float,
    ) -> None:
        """Describe a new endpoint in state Creating; ``run_creation`` brings it up.

        moto's own ``__init__`` is not called: it declares the endpoint InService.
        """
        self.endpoint_name = name
        self.arn = arn
        self.tags = tags
        self.endpoint_config_name = settings.config_name
        self.endpoint_status = "Creating"
        self.failure_reason: str | None = None
        self.creation_time = self.last_modified_time = _now()
        self.last_deployment_config: dict[str, Any] | None = None
        self.settings = settings
        self._deploy = deploy
        self._drain_timeout = drain_timeout
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._current: Deployment | None = None
        self._pending: Deployment | None = None

    @property
    def deployment(self) -> "Deployment | None":
        """What takes requests now; None unless the endpoint can be invoked."""
        return self._current if self.endpoint_status in ("InService", "Updating", "RollingBack") else None

    def run_creation(self) -> None:
        """Bring the endpoint up: InService, or Failed with its reason. Blocks until decided."""
        deployment = self._pending = self._deploy(self.settings)
        try:
            self._start(deployment)
        except ContainerFailed as error:
            self._settle("Failed", reason=str(error))
        else:
            self._current = deployment
            self._settle("InService")

    def begin_update(self, deployment_config: dict[str, Any] | None) -> None:
        """Enter Updating.

        Raises:
            EndpointInProgressError: Another operation has not finished.
            EndpointFailedError: The endpoint has failed.
        """
        with self._lock:
            self._require_settled()
            if self.endpoint_status == "Failed":
                raise EndpointFailedError
            self.endpoint_status = "Updating"
            self.last_modified_time = _now()
            self.last_deployment_config = deployment_config or self.last_deployment_config

    def run_update(self, settings: EndpointSettings) -> None:
        """Blue/green: start the new deployment beside the old, switch, drain the old. Blocks until decided.

        The old deployment keeps taking requests until the new one passed its health check, and goes on with the old
        configuration if it never does, as SageMaker rolls back.
        """
        deployment = self._pending = self._deploy(settings)
        try:
            self._start(deployment)
        except ContainerFailed as error:
            self._settle("InService", reason=str(error))
            return
        retired, self._current = self._current, deployment
        self.settings = settings
        self.endpoint_config_name = settings.config_name
        if retired is not None:
            retired.retire(self._drain_timeout)
        self._settle("InService")

    def begin_deletion(self) -> None:
        """Enter Deleting; from here on the endpoint cannot be invoked.

        Raises:
            EndpointInProgressError: Another operation has not finished.
        """
        with self._lock:
            self._require_settled()
            self.endpoint_status = "Deleting"
            self.last_modified_time = _now()

    def run_deletion(self) -> None:
        """Drain and stop what runs. Blocks until nothing does."""
        if self._current is not None:
            self._current.retire(self._drain_timeout)

    def stop(self) -> None:
        """Stop everything at once, whatever state the endpoint is in: the local AWS goes down."""
        self._stopped.set()
        for deployment in {self._current, self._pending} - {None}:
            if deployment is not None:
                deployment.retire(0)

    def tick(self) -> None:
        """Let the variants look after their containers."""
        deployment = self.deployment
        if deployment is not None:
            for variant in deployment.variants:
                variant.fleet.tick()

    @property
    def production_variants(self) -> list[dict[str, Any]]:
        """What moto and DescribeEndpoint know as ProductionVariants."""
        return self._current.describe() if self._current is not None else []

    @property
    def response_object(self) -> dict[str, Any]:
        """DescribeEndpoint's answer."""
        answer: dict[str, Any] = {
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
            answer["DataCaptureConfig"] = {
                "EnableCapture": self.settings.data_capture.get("EnableCapture", False),
                "CaptureStatus": "Stopped",
                "CurrentSamplingPercentage": self.settings.data_capture["InitialSamplingPercentage"],
                "DestinationS3Uri": self.settings.data_capture["DestinationS3Uri"],
                "KmsKeyId": self.settings.data_capture.get("KmsKeyId", ""),
            }
        pending = self._pending
        if pending is not None and self.endpoint_status in ("Creating", "Updating"):
            answer["PendingDeploymentSummary"] = {
                "EndpointConfigName": pending.config_name,
                "ProductionVariants": [
                    {"VariantName": variant["VariantName"], "DeployedImages": variant["DeployedImages"]}
                    for variant in pending.describe()
                ],
                "StartTime": pending.created,
            }
        return {key: value for key, value in answer.items() if value is not None}

    def _start(self, deployment: "Deployment") -> None:
        if self._stopped.is_set():
            raise ContainerFailed("The local AWS is stopping.")
        try:
            deployment.start()
        except ContainerFailed:
            deployment.retire(0)
            raise

    def _require_settled(self) -> None:
        if self.endpoint_status in _IN_PROGRESS:
            raise EndpointInProgressError

    def _settle(self, status: str, reason: str | None = None) -> None:
        with self._lock:
            self._pending = None
            self.failure_reason = reason
            self.last_modified_time = _now()
            self.endpoint_status = status


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
