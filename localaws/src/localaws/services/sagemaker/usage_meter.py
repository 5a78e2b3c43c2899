"""What endpoints cost: instance-hours, provisioned concurrency, and the time and data of requests.

Instances are counted while they accept requests, the ones of a new deployment beside the old ones. Serverless requests
are billed by the millisecond.
"""

import math
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import TYPE_CHECKING

from localaws.metering.lines import instance_hours, sagemaker_data, serverless_compute, serverless_concurrency
from localaws.metering.meter import Rate
from localaws.services.sagemaker.containers.instance_types import preferred_type
from localaws.services.sagemaker.inference_components.endpoint import ComponentEndpoint

if TYPE_CHECKING:
    from localaws.metering.meter import Meter
    from localaws.services.sagemaker.endpoints.endpoint import Endpoint

__all__ = ["endpoint_rates", "meter_request"]

#: States without instances.
_NOT_RUNNING = frozenset({"Creating", "Failed"})
_GB = 1024**3
_SECONDS_OF_HOUR = 3600


def endpoint_rates(endpoints: "Iterable[Endpoint]") -> Iterator[Rate]:
    """What endpoints run now."""
    for endpoint in endpoints:
        if endpoint.endpoint_status in _NOT_RUNNING:
            continue
        identity, tags = endpoint.settings.variants[0], _tags(endpoint)
        kind = "hosting" if endpoint.settings.async_inference is None else "async"
        for instance_type, count in _instances(endpoint):
            line = instance_hours(identity.account_id, identity.region, kind, instance_type, tags)
            yield Rate(line, Decimal(count))
        for memory_mb, concurrency in _provisioned(endpoint):
            line = serverless_concurrency(identity.account_id, identity.region, memory_mb, tags)
            yield Rate(line, Decimal(concurrency * _SECONDS_OF_HOUR))


def meter_request(
    meter: "Meter", endpoint: "Endpoint", *, sent: int, received: int, memory_mb: int | None, seconds: float
) -> None:
    """Count a request.

    Args:
        meter: The meter.
        endpoint: The endpoint.
        sent: Bytes of the request.
        received: Bytes of the response.
        memory_mb: The memory of a serverless variant; None on instances.
        seconds: Duration in the container.
    """
    identity, tags = endpoint.settings.variants[0], _tags(endpoint)
    account_id, region = identity.account_id, identity.region
    meter.add(sagemaker_data(account_id, region, "in", tags), Decimal(sent) / _GB)
    meter.add(sagemaker_data(account_id, region, "out", tags), Decimal(received) / _GB)
    if memory_mb is not None:
        billed = Decimal(math.ceil(seconds * 1000)) / 1000
        meter.add(serverless_compute(account_id, region, memory_mb, tags), billed)


def _instances(endpoint: "Endpoint") -> Iterator[tuple[str, int]]:
    """Instance types and numbers of instances that run."""
    if isinstance(endpoint, ComponentEndpoint):
        for pool in endpoint.pools.values():
            yield pool.spec.instance_type, pool.instance_count
    for deployment in (endpoint.traffic.current, endpoint.traffic.pending):
        for variant in () if deployment is None else deployment.variants:
            if variant.serverless is None:
                yield str(preferred_type(variant.spec.production_variant)), variant.group.current


def _provisioned(endpoint: "Endpoint") -> Iterator[tuple[int, int]]:
    """Memory and provisioned concurrency of the serverless variants that have it."""
    deployment = endpoint.traffic.current
    for variant in () if deployment is None else deployment.variants:
        config = variant.serverless or {}
        if config.get("ProvisionedConcurrency"):
            yield config["MemorySizeInMB"], config["ProvisionedConcurrency"]


def _tags(endpoint: "Endpoint") -> tuple[tuple[str, str], ...]:
    return tuple(sorted((tag["Key"], tag["Value"]) for tag in endpoint.tags or ()))
