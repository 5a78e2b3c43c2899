"""Reads IAM policies as IAM does, and says what in them can never apply."""

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from tests.terraform import iam_definition
from tests.terraform.running import Applied

_ELEMENTS = {
    "Action",
    "Condition",
    "Effect",
    "NotAction",
    "NotPrincipal",
    "NotResource",
    "Principal",
    "Resource",
    "Sid",
}
#: IAM user guide, "IAM JSON policy elements: Condition operators".
_OPERATOR = re.compile(
    r"((ForAllValues|ForAnyValue):)?(String(Not)?(Equals|EqualsIgnoreCase|Like)|Numeric(Not)?Equals|"
    r"(Numeric|Date)(LessThan|GreaterThan)(Equals)?|Date(Not)?Equals|Bool|BinaryEquals|(Not)?IpAddress|"
    r"Arn(Not)?(Equals|Like)|Null)(IfExists)?"
)

#: Where a star is right although the action could be narrowed, by Sid.
STARS = {
    "UseUnnamedResources": "a boundary grants nothing: the roles' policies name resources",
    "UseKeysOfAws": "a key of AWS has a generated id; its alias identifies it",
    "ChangeBoundedRolesOnly": "a denial, whatever the role",
    "KeepTheBoundary": "a denial of everything",
    "NotifyByAlarmsOnly": "a denial, whatever the alarm",
    "ScaleSageMakerOnly": "a denial, whatever the target",
    "PassRolesToTheseServicesOnly": "a denial, whatever the role",
    "UseQueueReaders": "a mapping has a generated id; its function identifies it",
    "ManageByIam": "in a key's policy the star is the key",
    "EncryptNotifications": "in a key's policy the star is the key",
    "LeaveInterfacesToLambda": "a denial of everything",
}
#: Where other statements have the rest of the resources that the actions need, by Sid.
PARTS = {"ManageDatabase": "option groups", "UseOptionGroups": "clusters and instances"}
#: The same by action.
STARRED_ACTIONS = {
    "cloudwatch:DescribeAlarms": "its API reference: to return composite alarms it must be scoped to a star",
}


def policies(applied: Applied) -> dict[str, Any]:
    """Every policy document among what was applied, by address and attribute or by output."""
    strings = {
        **{
            f"{address}.{attribute}": value
            for address, values in applied.resources.items()
            for attribute, value in values.items()
            if attribute.endswith("policy")
        },
        **{name: value for name, value in applied.outputs.items() if name.endswith("policy_json")},
    }
    documents = {name: json.loads(value) for name, value in strings.items() if str(value).startswith("{")}
    # A queue's redrive policies are none of IAM's.
    return {name: document for name, document in documents.items() if "Statement" in document}


def mistakes(policy: dict[str, Any], name: str) -> list[str]:
    """What IAM does not know, or what it will never apply, in a policy."""
    return [f"{statement.get('Sid')}: {said}" for statement in policy["Statement"] for said in _said(statement, name)]


def _said(statement: dict[str, Any], name: str) -> Iterator[str]:
    yield from (f"{element} is no element of a statement" for element in statement.keys() - _ELEMENTS)
    patterns = _list(statement.get("Action", statement.get("NotAction")))
    yield from (f"{pattern} is no action" for pattern in patterns if not iam_definition.actions(pattern))
    actions = sorted({action for pattern in patterns for action in iam_definition.actions(pattern)})
    if "Resource" in statement and statement.get("Sid") not in STARS:
        grouped = any("*" in one for one in patterns) or statement.get("Sid") in PARTS
        yield from _of_resources(actions, _list(statement["Resource"]), grouped=grouped)
    for operator, keys in statement.get("Condition", {}).items():
        if not _OPERATOR.fullmatch(operator):
            yield f"{operator} is no operator"
        federated = str(statement.get("Principal", {}) if isinstance(statement.get("Principal"), dict) else {})
        for key in keys:
            yield from _of_condition(operator, key, actions, federated)


def _of_resources(actions: list[str], resources: list[str], *, grouped: bool) -> Iterator[str]:
    if resources == ["*"]:
        for action in actions:
            types = iam_definition.resource_types(action)
            if types and action not in STARRED_ACTIONS:
                yield f"{action} can be narrowed to {', '.join(types)}"
        return
    if not grouped:  # of the actions that a star stands for, some are about other resources
        for action in actions:
            yield from _of_resources_of(action, resources)
    arns = {entry["arn"] for action in actions for entry in iam_definition.resource_types(action).values()}
    for resource in resources:
        if not any(fits(resource, arn) for arn in arns):
            yield f"{resource} is nothing that these actions are about"


def _of_resources_of(action: str, resources: list[str]) -> Iterator[str]:
    types = iam_definition.resource_types(action)
    if not types:
        yield f"{action} knows no resource, so that it must have a star"
    elif not any(fits(resource, entry["arn"]) for resource in resources for entry in types.values()):
        yield f"{resources} fits none of {action}'s {', '.join(types)}"
    for kind, entry in types.items():
        if entry["required"] and not any(fits(resource, entry["arn"]) for resource in resources):
            yield f"{action} needs a {kind} too, {entry['arn']}"


def _of_condition(operator: str, key: str, actions: list[str], principal: str) -> Iterator[str]:
    if key in iam_definition.GLOBAL_KEYS or operator.endswith("IfExists"):
        return
    if key.partition(":")[0] in principal:  # a claim of the identity provider's token
        return
    known_as = re.sub(r"^([a-z0-9]+:[A-Za-z]+Tag/).+$", r"\1${TagKey}", key)
    for action in actions:
        if known_as not in iam_definition.condition_keys(action):
            yield f"{key} is no condition key of {action}: it would never apply"


def fits(resource: str, pattern: str) -> bool:
    """Whether a policy's resource, with stars, can be an ARN of a pattern, with ``${…}``, part by part."""
    wanted = re.sub(r"\$\{[^}]+\}", "?*", pattern).split(":", 5)
    given = resource.split(":", 5)
    return len(given) == len(wanted) and all(_overlap(one, other) for one, other in zip(given, wanted, strict=True))


@cache
def _overlap(one: str, other: str) -> bool:
    """Whether some text is matched by both patterns, of ``*`` and ``?``."""
    if not one or not other:
        return not (one + other).strip("*")
    if one[0] == "*":
        return _overlap(one[1:], other) or _overlap(one, other[1:])
    if other[0] == "*":
        return _overlap(one, other[1:]) or _overlap(one[1:], other)
    return (one[0] == other[0] or "?" in (one[0], other[0])) and _overlap(one[1:], other[1:])


def _list(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]
