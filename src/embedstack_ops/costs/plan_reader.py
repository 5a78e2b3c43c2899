"""Reads a plan: what ``terraform show -json`` prints."""

from pathlib import Path

from embedstack_ops.costs.plan import Plan, Resource
from embedstack_ops.costs.plan_document import read_document
from embedstack_ops.costs.plan_endpoints import EndpointReader

__all__ = ["read_plan"]


def read_plan(path: Path, *, region: str | None = None) -> Plan:
    """Read a plan or a state.

    Args:
        path: What ``terraform show -json`` printed.
        region: Region of resources whose region the document does not tell; None for none.

    Raises:
        ConfigurationError: The file is not a plan or a state, or an endpoint has no region or instance type.
    """
    document = read_document(path, region)
    reader = EndpointReader(document)
    endpoints = tuple(reader.endpoints())
    resources = tuple(
        Resource(resource.address, resource.type, resource.region or "", resource.values)
        for resource in document.resources
        if resource.type.startswith("aws_") and resource.address not in reader.read
    )
    return Plan(endpoints, resources, tuple(reader.unknown))
