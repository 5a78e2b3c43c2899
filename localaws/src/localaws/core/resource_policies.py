"""What a resource's policy decides for a caller of another account, or for an anonymous one.

Conditions are not evaluated: they count as unmet in Allow and as met in Deny. Requests stay on this machine and count
as encrypted, so a statement that denies requests without TLS does not apply.
"""

import json
from typing import Any

from moto.iam.access_control import IAMPolicy, PermissionResult

__all__ = ["decide", "is_allowed"]

_WITHOUT_TLS = {"Bool": {"aws:SecureTransport": "false"}}


def decide(policy: str | None, account_id: str | None, action: str, resource: str) -> PermissionResult:
    """The decision of a resource's policy.

    Args:
        policy: The policy's document; None without one.
        account_id: The caller's account; None for an anonymous caller.
        action: The action, such as ``s3:GetObject``.
        resource: ARN of the resource.
    """
    if policy is None:
        return PermissionResult.NEUTRAL
    applicable = [
        {name: value for name, value in statement.items() if name not in ("Condition", "Principal")}
        for statement in _as_list(json.loads(policy).get("Statement"))
        if _names(statement.get("Principal"), account_id) and _applies(statement)
    ]
    return IAMPolicy(json.dumps({"Statement": applicable})).is_action_permitted(action, resource)


def is_allowed(policy: str | None, account_id: str, action: str, resource: str) -> bool:
    """Whether a policy allows an action to the callers of another account."""
    return bool(decide(policy, account_id, action, resource) == PermissionResult.PERMITTED)


def _names(principal: Any, account_id: str | None) -> bool:
    """Whether a statement is for everyone, or for principals of the account."""
    listed = _as_list(principal.get("AWS") if isinstance(principal, dict) else principal)
    return "*" in listed or (account_id is not None and any(_account_of(each) == account_id for each in listed))


def _account_of(principal: str) -> str:
    return "".join(principal.split(":")[4:5]) if principal.startswith("arn:") else principal


def _applies(statement: dict[str, Any]) -> bool:
    condition = statement.get("Condition")
    return not condition or (statement.get("Effect") == "Deny" and condition != _WITHOUT_TLS)


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
