"""Identities of variants, endpoints and inference components, which metrics, logs and processes belong to."""

from dataclasses import dataclass

__all__ = ["ComponentId", "EndpointId", "VariantId"]


@dataclass(frozen=True, slots=True)
class VariantId:
    """A production variant."""

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
        """The endpoint's log group."""
        return f"/aws/sagemaker/Endpoints/{self.endpoint}"

    @property
    def log_stream_prefix(self) -> str:
        """The prefix of log streams' names: the variant, followed by the container."""
        return self.variant


@dataclass(frozen=True, slots=True)
class EndpointId:
    """An endpoint, for metrics of the endpoint as a whole."""

    account_id: str
    region: str
    endpoint: str

    @property
    def dimensions(self) -> tuple[tuple[str, str], ...]:
        """The dimensions of an endpoint's metrics."""
        return (("EndpointName", self.endpoint),)


@dataclass(frozen=True, slots=True)
class ComponentId:
    """An inference component."""

    hosted_by: VariantId
    name: str

    @property
    def account_id(self) -> str:
        """The account."""
        return self.hosted_by.account_id

    @property
    def region(self) -> str:
        """The region."""
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
        """The component's log group."""
        return f"/aws/sagemaker/InferenceComponents/{self.name}"

    @property
    def log_stream_prefix(self) -> str:
        """The prefix of the names of the copies' log streams."""
        return self.variant
