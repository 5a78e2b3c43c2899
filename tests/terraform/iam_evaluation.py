"""Decides requests as IAM does: what a role may do by its own policy and under its permissions boundary.

After "Policy evaluation logic" of the IAM user guide, for one account and identity-based policies: a denial anywhere
counts; otherwise both the policy and the boundary must allow.
"""

from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

__all__ = ["ANYTHING", "is_allowed"]

Policy = Mapping[str, Any]

#: The policy that gives a role the most.
ANYTHING: Policy = {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


def _like(value: str, pattern: str) -> bool:
    # fnmatch reads brackets too, which IAM does not; no ARN or action has any.
    return fnmatchcase(value, pattern)


_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "ArnLike": _like,
    "Bool": lambda value, wanted: value == wanted,
    "StringEquals": lambda value, wanted: value == wanted,
    "StringLike": _like,
}


def is_allowed(
    action: str, resource: str, context: Mapping[str, str], policies: Iterable[Policy], boundary: Policy | None
) -> bool:
    """Whether a role may do something.

    Args:
        action: Such as ``iam:CreateRole``.
        resource: ARN of what it is done to; a star where the action knows no resource.
        context: The request's condition keys and their values.
        policies: The role's own.
        boundary: Its permissions boundary; None without one.
    """
    request = (action, resource, context)
    own = {statement["Effect"] for policy in policies for statement in _applying(policy, *request)}
    bounds = {"Allow"} if boundary is None else {statement["Effect"] for statement in _applying(boundary, *request)}
    return own == bounds == {"Allow"}


def _applying(policy: Policy, action: str, resource: str, context: Mapping[str, str]) -> list[Mapping[str, Any]]:
    return [statement for statement in policy["Statement"] if _applies(statement, action, resource, context)]


def _applies(statement: Mapping[str, Any], action: str, resource: str, context: Mapping[str, str]) -> bool:
    unknown = statement.keys() - {"Action", "Condition", "Effect", "NotAction", "NotResource", "Resource", "Sid"}
    if unknown:
        raise NotImplementedError(f"Statements with {', '.join(sorted(unknown))}")
    patterns = _list(statement.get("Action", statement.get("NotAction")))
    if any(_like(action.lower(), pattern.lower()) for pattern in patterns) == ("NotAction" in statement):
        return False
    named = any(_like(resource, pattern) for pattern in _list(statement.get("Resource", statement.get("NotResource"))))
    if named == ("NotResource" in statement):
        return False
    return all(
        _holds(operator, context.get(key), _list(wanted))
        for operator, keys in statement.get("Condition", {}).items()
        for key, wanted in keys.items()
    )


def _holds(operator: str, value: str | None, wanted: list[str]) -> bool:
    """Whether one condition holds: a key that the request does not have fits no value, and so is unlike each.

    A key has one value here, for which ForAnyValue and ForAllValues differ only if the request does not have the key.
    """
    if operator.startswith(("ForAllValues:", "ForAnyValue:")):
        quantifier, _, inner = operator.partition(":")
        return quantifier == "ForAllValues" if value is None else _holds(inner, value, wanted)
    if operator.endswith("IfExists"):
        return value is None or _holds(operator.removesuffix("IfExists"), value, wanted)
    negated = operator.replace("Not", "") if "Not" in operator else None
    if negated is not None:
        return not _holds(negated, value, wanted)
    compare = _OPERATORS[operator]
    return value is not None and any(compare(value, each) for each in wanted)


def _list(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]
