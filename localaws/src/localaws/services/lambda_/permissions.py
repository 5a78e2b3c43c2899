"""The checks of a function's role that Lambda makes when a function or an event source mapping is created.

Lambda checks that it can assume the role, and that the role may read the queue and create network interfaces. The
calls that the function's code makes are not checked against the role.
"""

from typing import TYPE_CHECKING, Any

from moto.awslambda.exceptions import InvalidParameterValueException, LambdaClientError
from moto.iam.models import iam_backends

from localaws.services.iam.role_policies import allows, trust_statements

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localaws.services.lambda_.records import FunctionRecord

__all__ = ["check_reader", "check_role"]

_QUEUE_ACTIONS = ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")


class _CrossAccountRole(LambdaClientError):  # type: ignore[misc]  # moto is untyped
    code = 403

    def __init__(self) -> None:
        super().__init__("AccessDeniedException", "Cross-account pass role is not allowed.")


def check_role(function: "FunctionRecord") -> None:
    """Check that Lambda can assume the role, and that the role has the permissions that the configuration needs.

    Raises:
        LambdaClientError: A permission is missing, or the role is another account's.
    """
    if function.role.split(":")[4] != function.account_id:
        raise _CrossAccountRole
    role = _role(function)
    if not trust_statements(role, "lambda.amazonaws.com"):
        raise InvalidParameterValueException("The role defined for the function cannot be assumed by Lambda.")
    for resource in _interface_resources(function):
        _require(role, "ec2", "CreateNetworkInterface", resource)


def check_reader(function: "FunctionRecord", queue_arn: str) -> None:
    """Check that a function's role may read a queue.

    Raises:
        InvalidParameterValueException: A permission is missing.
    """
    for action in _QUEUE_ACTIONS:
        _require(_role(function), "sqs", action, queue_arn)


def _interface_resources(function: "FunctionRecord") -> "Iterator[str]":
    """Resources of CreateNetworkInterface for a function in a VPC: the interface, its subnets and security groups.

    From "Actions, resources, and condition keys for Amazon EC2" (Service Authorization Reference).
    """
    network = function.vpc_config
    if not network:
        return
    prefix = f"arn:{function.partition}:ec2:{function.region}:{function.account_id}"
    yield f"{prefix}:network-interface/*"
    yield from (f"{prefix}:subnet/{subnet}" for subnet in network.get("SubnetIds", ()))
    yield from (f"{prefix}:security-group/{group}" for group in network.get("SecurityGroupIds", ()))


def _role(function: "FunctionRecord") -> Any:
    return iam_backends[function.account_id][function.partition].get_role_by_arn(function.role)


def _require(role: Any, service: str, action: str, resource: str) -> None:
    if not allows(role, f"{service}:{action}", resource):
        raise InvalidParameterValueException(
            f"The provided execution role does not have permissions to call {action} on {service.upper()}"
        )
