"""An endpoint configuration, resolved to what a deployment needs."""

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from localaws.services.sagemaker.containers.instance_types import preferred_type

if TYPE_CHECKING:
    from localaws.services.sagemaker.endpoints.variants import VariantSpec
    from localaws.services.sagemaker.telemetry.identities import VariantId

__all__ = ["AsyncSettings", "EndpointSettings", "PoolSpec"]

#: Without MaxConcurrentInvocationsPerInstance "SageMaker chooses an optimal value", which it does not publish.
_DEFAULT_CONCURRENCY = 4


@dataclass(frozen=True, slots=True)
class AsyncSettings:
    """An endpoint's AsyncInferenceConfig.

    Attributes:
        request: The AsyncInferenceConfig as requested.
        concurrency: MaxConcurrentInvocationsPerInstance.
        output_path: S3OutputPath, or None.
        failure_path: S3FailurePath, or None.
        kms_key_id: Key for responses; None for the bucket's default.
        success_topic: SuccessTopic, or None.
        error_topic: ErrorTopic, or None.
    """

    request: dict[str, Any]
    concurrency: int
    output_path: str | None
    failure_path: str | None
    kms_key_id: str | None
    success_topic: str | None
    error_topic: str | None

    @classmethod
    def from_request(cls, request: dict[str, Any] | None) -> Self | None:
        """Read an AsyncInferenceConfig.

        Raises:
            NotImplementedError: It uses a feature that the local AWS does not implement.
        """
        if not request:
            return None
        client, output = request.get("ClientConfig") or {}, request["OutputConfig"]
        topics = output.get("NotificationConfig") or {}
        if topics.get("IncludeInferenceResponseIn"):
            raise NotImplementedError("CreateEndpoint with IncludeInferenceResponseIn")
        return cls(
            request=request,
            concurrency=client.get("MaxConcurrentInvocationsPerInstance") or _DEFAULT_CONCURRENCY,
            output_path=output.get("S3OutputPath") or None,
            failure_path=output.get("S3FailurePath") or None,
            kms_key_id=output.get("KmsKeyId") or None,
            success_topic=topics.get("SuccessTopic") or None,
            error_topic=topics.get("ErrorTopic") or None,
        )


@dataclass(frozen=True, slots=True)
class PoolSpec:
    """A production variant without a model, as its endpoint configuration describes it.

    Attributes:
        identity: Endpoint and variant.
        production_variant: The ProductionVariant of the API.
    """

    identity: "VariantId"
    production_variant: dict[str, Any]

    @property
    def instance_type(self) -> str:
        """``ml.g5.xlarge`` and the like; with instance pools, the type that all instances have here."""
        return str(preferred_type(self.production_variant))

    @property
    def routes_by_load(self) -> bool:
        """Whether requests go to the copy with the fewest outstanding ones; the default is random."""
        routing = self.production_variant.get("RoutingConfig") or {}
        return bool(routing.get("RoutingStrategy") == "LEAST_OUTSTANDING_REQUESTS")

    @property
    def is_managed(self) -> bool:
        """Whether the number of instances follows the copies."""
        scaling = self.production_variant.get("ManagedInstanceScaling") or {}
        return bool(scaling.get("Status") == "ENABLED")

    @property
    def bounds(self) -> tuple[int, int]:
        """Minimum and maximum number of instances."""
        initial = int(self.production_variant["InitialInstanceCount"])
        if not self.is_managed:
            return initial, initial
        scaling = self.production_variant["ManagedInstanceScaling"]
        low = int(scaling.get("MinInstanceCount", initial))
        return low, int(scaling.get("MaxInstanceCount", max(initial, low)))


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """An endpoint configuration, resolved: everything a deployment needs.

    Attributes:
        config_name: Name of the endpoint configuration.
        specs: Its production variants.
        data_capture: Its DataCaptureConfig, or None.
        pools: Its production variants without a model, which host inference components.
        async_inference: Its AsyncInferenceConfig; None for a synchronous endpoint.
    """

    config_name: str
    specs: "tuple[VariantSpec, ...]"
    data_capture: dict[str, Any] | None = None
    pools: "tuple[PoolSpec, ...]" = ()
    async_inference: "AsyncSettings | None" = None

    @property
    def variants(self) -> "list[VariantId]":
        """Its variants of either kind."""
        return [*(spec.identity for spec in self.specs), *(pool.identity for pool in self.pools)]

    @property
    def instances(self) -> Counter[str]:
        """Instances that it starts with, by instance type."""
        instances: Counter[str] = Counter()
        variants = [spec.production_variant for spec in self.specs]
        variants += [pool.production_variant for pool in self.pools]
        for variant in variants:
            if instance_type := preferred_type(variant):
                instances[instance_type] += int(variant["InitialInstanceCount"])
        return instances

    @property
    def scales_to_zero(self) -> bool:
        """Whether a variant may have zero instances."""
        return self.async_inference is not None

    @property
    def captures_data(self) -> bool:
        """Whether requests and responses are recorded: the default with a DataCaptureConfig (API reference)."""
        return bool(self.data_capture) and (self.data_capture or {}).get("EnableCapture") is not False

    @property
    def is_serverless(self) -> bool:
        """Whether its variants are serverless; SageMaker does not mix the two kinds."""
        return any(spec.serverless for spec in self.specs)
