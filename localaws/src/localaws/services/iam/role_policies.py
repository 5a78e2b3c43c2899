"""What a role's policies allow, and which services may assume it."""

import json
from collections.abc import Iterator
from typing import Any

from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.iam.exceptions import NotFoundException
from moto.iam.models import iam_backends

__all__ = ["allows", "find_role", "trust_statements"]


def find_role(arn: str) -> Any:
    """The role with an ARN, or None."""
    _, partition, _, _, account_id, _ = arn.split(":", 5)
    try:
        return iam_backends[account_id][partition].get_role_by_arn(arn)
    except NotFoundException:
        return None


def allows(role: Any, action: str, resource: str) -> bool:
    """Whether a role's managed and inline policies allow an action.

    Args:
        role: The role.
        action: The action, such as ``sqs:SendMessage``.
        resource: ARN of the resource.
    """
    results = {policy.is_action_permitted(action, resource) for policy in _policies(role)}
    return PermissionResult.PERMITTED in results and PermissionResult.DENIED not in results


def trust_statements(role: Any, service: str) -> list[dict[str, Any]]:
    """The statements of a role's trust policy that name a service, such as ``lambda.amazonaws.com``."""
    return [
        statement
        for statement in _statements(role.assume_role_policy_document)
        if service in (statement.get("Principal", {}).get("Service") or "")
    ]


def _policies(role: Any) -> Iterator[IAMPolicy]:
    """A role's managed and inline policies; conditions count as met in Allow and as unmet in Deny."""
    versions = [version for policy in role.managed_policies.values() for version in policy.versions]
    documents = [*role.policies.values(), *(version.document for version in versions if version.is_default)]
    for document in documents:
        statements = [
            {name: value for name, value in statement.items() if name != "Condition"}
            for statement in _statements(document)
            if statement.get("Effect") == "Allow" or "Condition" not in statement
        ]
        yield IAMPolicy(json.dumps({"Statement": statements}))


def _statements(document: str) -> list[dict[str, Any]]:
    try:
        statements = json.loads(document).get("Statement", [])
    except ValueError:
        # moto's IAM stores any text. One that is no policy allows nothing.
        return []
    return statements if isinstance(statements, list) else [statements]
