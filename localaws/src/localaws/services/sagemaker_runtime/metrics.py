"""The metrics of one invocation."""

from typing import TYPE_CHECKING

from localaws.services.sagemaker_runtime.component_copies import Copies

if TYPE_CHECKING:
    from localaws.services.sagemaker.containers.group import Lease
    from localaws.services.sagemaker.endpoints.variants import Variant

__all__ = ["capacity_samples", "error_samples"]


def capacity_samples(variant: "Variant | Copies", lease: "Lease") -> list[tuple[str, float]]:
    """The use of the capacity, in the metrics that autoscaling is based on.

    Source: "Amazon SageMaker AI metrics in Amazon CloudWatch" and "Monitoring a serverless endpoint" in the
    developer guide. InvocationsPerInstance is 1 / instances for each request, so that the sum is per instance.
    """
    if isinstance(variant, Copies):
        return [("InvocationsPerCopy", 1 / lease.size)]
    if variant.serverless is None:
        return [("InvocationsPerInstance", 1 / lease.size)]
    samples = [("ServerlessConcurrentExecutionsUtilization", lease.in_flight / variant.serverless["MaxConcurrency"])]
    provisioned = variant.serverless.get("ProvisionedConcurrency")
    if provisioned:
        spilled = lease.in_flight > provisioned
        samples += [
            ("ServerlessProvisionedConcurrencyExecutions", float(min(lease.in_flight, provisioned))),
            ("ServerlessProvisionedConcurrencyUtilization", min(1.0, lease.in_flight / provisioned)),
            ("ServerlessProvisionedConcurrencyInvocations", float(not spilled)),
            ("ServerlessProvisionedConcurrencySpilloverInvocations", float(spilled)),
        ]
    return samples


def error_samples(status: int) -> list[tuple[str, float]]:
    """Error metrics: 0 for a success, so that the average is the rate. Status 0 means no response."""
    return [
        ("Invocation4XXErrors", float(400 <= status < 500)),
        ("Invocation5XXErrors", float(status == 0 or status >= 500)),
        ("InvocationModelErrors", float(not 200 <= status < 300)),
    ]
