"""Requests to IAM: ways out of the permissions boundary, and what has to be possible within it."""

from collections.abc import Iterator, Mapping
from typing import Any

from tests.terraform import iam_definition, iam_policies

__all__ = ["ESCAPES", "NEEDED", "Request", "allowed_requests"]

#: An action, the ARN of what it is done to (a star where the action knows no resource), and the condition keys that
#: come with it.
Request = tuple[str, str, dict[str, str]]

_ACCOUNT = "arn:aws:iam::123456789012"
BOUNDARY = f"{_ACCOUNT}:policy/alex-boundary"
ROLE, OF_GITHUB, OTHER = (f"{_ACCOUNT}:role/{name}" for name in ("alex-search-role", "alex-github-apply", "admin"))
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"
_LAMBDA, _STACK, _OTHERS_SECRET = (
    f"arn:aws:{service}:us-east-1:123456789012:{kind}"
    for service, kind in (
        ("lambda", "function"),
        ("cloudformation", "stack"),
        ("secretsmanager", "secret:payments-AbCdEf"),
    )
)
_SCALER = "sagemaker.application-autoscaling.amazonaws.com"
_SCALING = f"{_ACCOUNT}:role/aws-service-role/{_SCALER}/AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"


def bounded(by: str | None) -> dict[str, str]:
    """The condition key by which IAM tells the boundary that a role has, or is to get."""
    return {} if by is None else {"iam:PermissionsBoundary": by}


#: What a role whose own policy allows everything must not do: each is a way to a role that nothing bounds.
ESCAPES: dict[str, Request] = {
    "a role without a boundary": ("iam:CreateRole", ROLE, bounded(None)),
    "a role under another boundary": ("iam:CreateRole", ROLE, bounded(ADMINISTRATOR)),
    "another boundary for itself": ("iam:PutRolePermissionsBoundary", ROLE, bounded(ADMINISTRATOR)),
    "no boundary for itself": ("iam:DeleteRolePermissionsBoundary", ROLE, bounded(BOUNDARY)),
    "a managed policy for an unbounded role": ("iam:AttachRolePolicy", ROLE, bounded(None)),
    "a policy for an unbounded role": ("iam:PutRolePolicy", ROLE, bounded(None)),
    "no policy for an unbounded role": ("iam:DeleteRolePolicy", ROLE, bounded(None)),
    "a policy for a role of GitHub": ("iam:PutRolePolicy", OF_GITHUB, bounded(BOUNDARY)),
    "a managed policy for a role of GitHub": ("iam:AttachRolePolicy", OF_GITHUB, bounded(BOUNDARY)),
    "who may assume a role of GitHub": ("iam:UpdateAssumeRolePolicy", OF_GITHUB, bounded(BOUNDARY)),
    "the end of a role of GitHub": ("iam:DeleteRole", OF_GITHUB, bounded(BOUNDARY)),
    "one more role of GitHub": ("iam:CreateRole", f"{_ACCOUNT}:role/alex-github-mine", bounded(BOUNDARY)),
    "a role of GitHub for a function": ("iam:PassRole", OF_GITHUB, {"iam:PassedToService": "lambda.amazonaws.com"}),
    "another's role for a function": ("iam:PassRole", OTHER, {"iam:PassedToService": "lambda.amazonaws.com"}),
    "who may assume another's role": ("iam:UpdateAssumeRolePolicy", OTHER, bounded(BOUNDARY)),
    "another's role itself": ("sts:AssumeRole", OTHER, {}),
    "a wider boundary": ("iam:CreatePolicyVersion", BOUNDARY, {}),
    "an older boundary": ("iam:SetDefaultPolicyVersion", BOUNDARY, {}),
    "a user": ("iam:CreateUser", f"{_ACCOUNT}:user/alex-me", bounded(BOUNDARY)),
    "a user's key": ("iam:CreateAccessKey", f"{_ACCOUNT}:user/somebody", {}),
    "another provider of identities": ("iam:CreateOpenIDConnectProvider", f"{_ACCOUNT}:oidc-provider/example.com", {}),
    "another's role on a machine": ("iam:AddRoleToInstanceProfile", f"{_ACCOUNT}:instance-profile/alex-mine", {}),
    "the code of another's function": ("lambda:UpdateFunctionCode", f"{_LAMBDA}:deploy", {}),
    "the settings of another's function": ("lambda:UpdateFunctionConfiguration", f"{_LAMBDA}:deploy", {}),
    "who may call another's function": ("lambda:AddPermission", f"{_LAMBDA}:deploy", {}),
    "another's stack, under its own role": ("cloudformation:UpdateStack", f"{_STACK}/platform/1", {}),
    "a change set of another's stack": ("cloudformation:ExecuteChangeSet", f"{_STACK}/platform/1", {}),
    "stacks by the role of stack sets": ("cloudformation:CreateStackSet", "*", {}),
    "resources by Cloud Control": ("cloudformation:CreateResource", "*", {}),
    "a notebook of another": ("sagemaker:CreatePresignedNotebookInstanceUrl", "*", {}),
    "a training job": ("sagemaker:CreateTrainingJob", "*", {}),
    "others' secrets": ("secretsmanager:GetSecretValue", _OTHERS_SECRET, {}),
    "a machine": ("ec2:RunInstances", "*", {}),
}

#: What the role that applies has to be able to do.
NEEDED: dict[str, Request] = {
    "a bounded role": ("iam:CreateRole", ROLE, bounded(BOUNDARY)),
    "a policy for a bounded role": ("iam:PutRolePolicy", ROLE, bounded(BOUNDARY)),
    "no policy for a bounded role": ("iam:DeleteRolePolicy", ROLE, bounded(BOUNDARY)),
    "the boundary for a role that is there": ("iam:PutRolePermissionsBoundary", ROLE, bounded(BOUNDARY)),
    "the end of a role": ("iam:DeleteRole", ROLE, {}),
    "who may assume a role": ("iam:UpdateAssumeRolePolicy", ROLE, {}),
    "a role's tags": ("iam:TagRole", ROLE, {}),
    "a role for SageMaker": ("iam:PassRole", ROLE, {"iam:PassedToService": "sagemaker.amazonaws.com"}),
    # It makes a role that has no boundary, and none can be asked for.
    "the role of auto scaling": ("iam:CreateServiceLinkedRole", _SCALING, {"iam:AWSServiceName": _SCALER}),
    "a stack": ("cloudformation:CreateStack", f"{_STACK}/alex-search-stack/1", {}),
    "a function's code": ("lambda:UpdateFunctionCode", f"{_LAMBDA}:alex-pipeline-ingest", {}),
}


def allowed_requests(policy: Mapping[str, Any]) -> Iterator[Request]:
    """One request for each action and resource that a policy allows, with something in place of its stars."""
    for statement in policy["Statement"]:
        if statement["Effect"] == "Allow":
            context = {
                key: wanted if isinstance(wanted, str) else wanted[0]
                for keys in statement.get("Condition", {}).values()
                for key, wanted in keys.items()
            }
            for action, resource in _pairs(_list(statement["Action"]), _list(statement["Resource"])):
                yield action, resource.replace("*", "x"), context


def _pairs(patterns: list[str], resources: list[str]) -> Iterator[tuple[str, str]]:
    """Each action with those of the resources that it can be about."""
    for action in (action for pattern in patterns for action in iam_definition.actions(pattern)):
        arns = [entry["arn"] for entry in iam_definition.resource_types(action).values()]
        for resource in resources:
            if resource == "*" or any(iam_policies.fits(resource, arn) for arn in arns):
                yield action, resource


def _list(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]
