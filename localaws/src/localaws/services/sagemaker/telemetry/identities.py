"""What a metric, a log line or a process belongs to: a variant, an endpoint or an inference component."""

from dataclasses import dataclass

__all__ = ["ComponentId", "EndpointId", "VariantId"]


@dataclass(frozen=True, slots=True)
class VariantId:
    """Which production variant a metric, a log line or a process belongs to."""

    account_id: str
    region: str
    endpoint: str
    variant: str

    @property
    def dimensions(self) -> tuple[tuple[str, str], ...]:
        """The dimensions of a variant's metrics."""
        return (("EndpointName", self.endpoint), ("VariantName", self.variant))

    @property
    def log_group(self) -> str:
        """The log group SageMaker gives an endpoint."""
        return f"/aws/sagemaker/Endpoints/{self.endpoint}"

    @property
    def log_stream_prefix(self) -> str:
        """SageMaker's log streams are named by variant, then by container."""
        return self.variant


@dataclass(frozen=True, slots=True)
class EndpointId:
    """Which endpoint a metric belongs to that is not about one of its variants."""

    account_id: str
    region: str
    endpoint: str

    @property
    def dimensions(self) -> tuple[tuple[str, str], ...]:
        """The dimension of an endpoint's own metrics."""
        return (("EndpointName", self.endpoint),)


@dataclass(frozen=True, slots=True)
class ComponentId:
    """Which inference component a metric, a log line or a process belongs to."""

    hosted_by: VariantId
    name: str

    @property
    def account_id(self) -> str:
        """Whose."""
        return self.hosted_by.account_id

    @property
    def region(self) -> str:
        """Where."""
        return self.hosted_by.region

    @property
    def endpoint(self) -> str:
        """Name of the endpoint."""
        return self.hosted_by.endpoint

    @property
    def variant(self) -> str:
        """Name of the variant whose instances it runs on."""
        return self.hosted_by.variant

    @property
    def dimensions(self) -> tuple[tuple[str, str], ...]:
        """The dimensions of a component's metrics."""
        return (("InferenceComponentName", self.name),)

    @property
    def log_group(self) -> str:
        """The log group that SageMaker gives a component."""
        return f"/aws/sagemaker/InferenceComponents/{self.name}"

    @property
    def log_stream_prefix(self) -> str:
        """What the name of each copy's log stream begins with."""
        return self.variant
