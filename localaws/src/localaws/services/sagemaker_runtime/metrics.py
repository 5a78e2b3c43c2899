"""What one invocation adds to SageMaker's metrics."""

from typing import TYPE_CHECKING

from localaws.services.sagemaker_runtime.component_copies import Copies

if TYPE_CHECKING:
    from localaws.services.sagemaker.containers.group import Lease
    from localaws.services.sagemaker.endpoints.variants import Variant

__all__ = ["capacity_samples", "error_samples"]


def capacity_samples(variant: "Variant | Copies", lease: "Lease") -> list[tuple[str, float]]:
    """How much of the capacity a request found in use, by the metrics that capacity is scaled by.

    Source: "Amazon SageMaker AI metrics in Amazon CloudWatch" and "Monitoring a serverless endpoint" in the
    developer guide. InvocationsPerInstance is 1 / instances for each request, so that its sum is what it says.
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
    """SageMaker sends 0 for a good response too, so that the average is the rate; status 0 is no response at all."""
    return [
        ("Invocation4XXErrors", float(400 <= status < 500)),
        ("Invocation5XXErrors", float(status == 0 or status >= 500)),
        ("InvocationModelErrors", float(not 200 <= status < 300)),
    ]
