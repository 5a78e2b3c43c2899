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
ROLE = f"{_ACCOUNT}:role/embedstack/alex/alex-search-role"
#: Without the boundary: a role of GitHub, one of the account's roles, and one that is named like the project's.
OF_GITHUB, OTHER, NAMESAKE = (f"{_ACCOUNT}:role/{name}" for name in ("alex-github-apply", "admin", "alex-admin"))
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"


def _arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:us-east-1:123456789012:{resource}"


_FUNCTION, _NAMESAKE_FUNCTION = _arn("lambda", "function:deploy"), _arn("lambda", "function:alex-deploy")
_STACK = _arn("cloudformation", "stack/platform/1")
_KEY, _OTHERS_SECRET = _arn("kms", "key/5f0c1d2e"), _arn("secretsmanager", "secret:payments-AbCdEf")
_MASTER_SECRET = _arn("secretsmanager", "secret:rds!cluster-0a1b2c3d-AbCdEf")
_STATE = "arn:aws:s3:::alex-state-123456789012-us-east-1"
_SCALER = "sagemaker.application-autoscaling.amazonaws.com"
_SCALING = f"{_ACCOUNT}:role/aws-service-role/{_SCALER}/AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"


def bounded(by: str | None) -> dict[str, str]:
    """The condition key by which IAM tells the boundary that a role has, or is to get."""
    return {} if by is None else {"iam:PermissionsBoundary": by}


def passed(service: str) -> dict[str, str]:
    """The condition key by which IAM tells which service receives a role."""
    return {"iam:PassedToService": f"{service}.amazonaws.com"}


def of_cluster(name: str) -> dict[str, str]:
    """The tag that RDS sets on the secret of a cluster's master user."""
    return {"aws:ResourceTag/aws:rds:primaryDBClusterArn": _arn("rds", f"cluster:{name}")}


#: What a role whose own policy allows everything must not do: each is a way to a role that nothing bounds, or to what
#: belongs to others.
ESCAPES: dict[str, Request] = {
    # Roles
    "a role without a boundary": ("iam:CreateRole", ROLE, bounded(None)),
    "a role under another boundary": ("iam:CreateRole", ROLE, bounded(ADMINISTRATOR)),
    "a role outside the path": ("iam:CreateRole", NAMESAKE, bounded(BOUNDARY)),
    "another boundary for itself": ("iam:PutRolePermissionsBoundary", ROLE, bounded(ADMINISTRATOR)),
    "no boundary for itself": ("iam:DeleteRolePermissionsBoundary", ROLE, bounded(BOUNDARY)),
    "a managed policy for an unbounded role": ("iam:AttachRolePolicy", ROLE, bounded(None)),
    "a policy for an unbounded role": ("iam:PutRolePolicy", ROLE, bounded(None)),
    "no policy for an unbounded role": ("iam:DeleteRolePolicy", ROLE, bounded(None)),
    "a policy for a role of GitHub": ("iam:PutRolePolicy", OF_GITHUB, bounded(BOUNDARY)),
    "a managed policy for a role of GitHub": ("iam:AttachRolePolicy", OF_GITHUB, bounded(BOUNDARY)),
    "who may assume a role of GitHub": ("iam:UpdateAssumeRolePolicy", OF_GITHUB, bounded(BOUNDARY)),
    "the end of a role of GitHub": ("iam:DeleteRole", OF_GITHUB, bounded(BOUNDARY)),
    "the tags of a role of GitHub": ("iam:TagRole", OF_GITHUB, {}),
    "one more role of GitHub": ("iam:CreateRole", f"{_ACCOUNT}:role/alex-github-mine", bounded(BOUNDARY)),
    "a role of GitHub for a function": ("iam:PassRole", OF_GITHUB, passed("lambda")),
    "another's role for a function": ("iam:PassRole", OTHER, passed("lambda")),
    "a namesake's role for a function": ("iam:PassRole", NAMESAKE, passed("lambda")),
    "a namesake's role for a model": ("iam:PassRole", NAMESAKE, passed("sagemaker")),
    "its role for a machine": ("iam:PassRole", ROLE, passed("ec2")),
    "its role for a stack": ("iam:PassRole", ROLE, passed("cloudformation")),
    "who may assume another's role": ("iam:UpdateAssumeRolePolicy", OTHER, bounded(BOUNDARY)),
    "who may assume a namesake's role": ("iam:UpdateAssumeRolePolicy", NAMESAKE, bounded(None)),
    "the tags of a namesake's role": ("iam:TagRole", NAMESAKE, {}),
    "the session of a namesake's role": ("iam:UpdateRole", NAMESAKE, bounded(None)),
    "another's role itself": ("sts:AssumeRole", OTHER, {}),
    "a namesake's role itself": ("sts:AssumeRole", NAMESAKE, {}),
    "a role of another service": (
        "iam:CreateServiceLinkedRole",
        f"{_ACCOUNT}:role/aws-service-role/ops.apigateway.amazonaws.com/AWSServiceRoleForAPIGateway",
        {"iam:AWSServiceName": "ops.apigateway.amazonaws.com"},
    ),
    # The boundary and other policies
    "a wider boundary": ("iam:CreatePolicyVersion", BOUNDARY, {}),
    "an older boundary": ("iam:SetDefaultPolicyVersion", BOUNDARY, {}),
    "no boundary": ("iam:DeletePolicy", BOUNDARY, {}),
    "a wider policy of GitHub": ("iam:CreatePolicyVersion", f"{_ACCOUNT}:policy/alex-github-apply-pipeline", {}),
    "a policy": ("iam:CreatePolicy", f"{_ACCOUNT}:policy/alex-mine", {}),
    # Users and machines
    "a user": ("iam:CreateUser", f"{_ACCOUNT}:user/alex-me", bounded(BOUNDARY)),
    "a user's key": ("iam:CreateAccessKey", f"{_ACCOUNT}:user/somebody", {}),
    "another provider of identities": ("iam:CreateOpenIDConnectProvider", f"{_ACCOUNT}:oidc-provider/example.com", {}),
    "another's role on a machine": ("iam:AddRoleToInstanceProfile", f"{_ACCOUNT}:instance-profile/alex-mine", {}),
    "a machine": ("ec2:RunInstances", "*", {}),
    "another's network interface": ("ec2:ModifyNetworkInterfaceAttribute", _arn("ec2", "network-interface/eni-1"), {}),
    "the end of a machine by an alarm": (
        "cloudwatch:PutMetricAlarm",
        _arn("cloudwatch", "alarm:alex-mine"),
        {"cloudwatch:AlarmActions": "arn:aws:automate:us-east-1:ec2:terminate"},
    ),
    "a function by an alarm": (
        "cloudwatch:PutMetricAlarm",
        _arn("cloudwatch", "alarm:alex-mine"),
        {"cloudwatch:AlarmActions": _FUNCTION},
    ),
    # Functions, each with a role of its own
    "the code of another's function": ("lambda:UpdateFunctionCode", _FUNCTION, {}),
    "the code of a namesake's function": ("lambda:UpdateFunctionCode", _NAMESAKE_FUNCTION, {}),
    "the settings of another's function": ("lambda:UpdateFunctionConfiguration", _FUNCTION, {}),
    "the version that another's alias means": ("lambda:UpdateAlias", _FUNCTION, {}),
    "who may call another's function": ("lambda:AddPermission", _FUNCTION, {}),
    "a call of another's function": ("lambda:InvokeFunction", _FUNCTION, {}),
    "calls of another's function by a queue": (
        "lambda:CreateEventSourceMapping",
        "*",
        {"lambda:FunctionArn": _FUNCTION},
    ),
    "another's layer": ("lambda:PublishLayerVersion", _arn("lambda", "layer:deploy"), {}),
    # Stacks and other ways to create resources
    "another's stack, under its own role": ("cloudformation:UpdateStack", _STACK, {}),
    "a namesake's stack, under its own role": (
        "cloudformation:UpdateStack",
        _arn("cloudformation", "stack/alex-platform/1"),
        {},
    ),
    "another service's scaling": (
        "application-autoscaling:RegisterScalableTarget",
        _arn("application-autoscaling", "scalable-target/1"),
        {"application-autoscaling:service-namespace": "ecs"},
    ),
    "a change set of another's stack": ("cloudformation:ExecuteChangeSet", _STACK, {}),
    "a change set of its stack": (
        "cloudformation:ExecuteChangeSet",
        _arn("cloudformation", "stack/alex-a-stack/1"),
        {},
    ),
    "what another's stack protects": ("cloudformation:SetStackPolicy", _STACK, {}),
    "stacks by the role of stack sets": ("cloudformation:CreateStackSet", "*", {}),
    "resources by Cloud Control": ("cloudformation:CreateResource", "*", {}),
    "an action on exceeding a budget": (
        "budgets:CreateBudgetAction",
        "arn:aws:budgets::123456789012:budget/alex-mine/action/1",
        {},
    ),
    "a notebook of another": ("sagemaker:CreatePresignedNotebookInstanceUrl", "*", {}),
    "a training job": ("sagemaker:CreateTrainingJob", _arn("sagemaker", "training-job/alex-mine"), {}),
    "another's endpoint": ("sagemaker:UpdateEndpoint", _arn("sagemaker", "endpoint/chat"), {}),
    # Keys, secrets and data, to which tags may give access
    "the tags of another's key": ("kms:TagResource", _KEY, {"aws:RequestTag/Project": "alex"}),
    "another's key": ("kms:Decrypt", _KEY, {}),
    "another's key with the project's tag": ("kms:Decrypt", _KEY, {"aws:ResourceTag/Project": "alex"}),
    "the end of another's key": ("kms:ScheduleKeyDeletion", _KEY, {"aws:ResourceTag/Project": "alex"}),
    "the policy of another's key": ("kms:PutKeyPolicy", _KEY, {"aws:ResourceTag/Project": "alex"}),
    "a grant of another's key": ("kms:CreateGrant", _KEY, {"kms:GrantIsForAWSResource": "true"}),
    "an alias of another's key": ("kms:CreateAlias", _KEY, {}),
    "others' secrets": ("secretsmanager:GetSecretValue", _OTHERS_SECRET, {}),
    "a namesake's secret": ("secretsmanager:GetSecretValue", _arn("secretsmanager", "secret:alex-payments-AbCdEf"), {}),
    "a namesake's database": ("rds:ModifyDBCluster", _arn("rds", "cluster:alex-payments"), {}),
    "the tags of others' secrets": ("secretsmanager:TagResource", _OTHERS_SECRET, {"aws:TagKeys": "Project"}),
    "the master user of another's database": ("secretsmanager:GetSecretValue", _MASTER_SECRET, of_cluster("payments")),
    "the tags of another's master user": ("secretsmanager:TagResource", _MASTER_SECRET, {"aws:TagKeys": "Project"}),
    "another's database": ("rds:ModifyDBCluster", _arn("rds", "cluster:payments"), {}),
    "others' documents": ("s3:GetObject", "arn:aws:s3:::payments/2026.csv", {}),
    "the policy of another's bucket": ("s3:PutBucketPolicy", "arn:aws:s3:::payments", {}),
    "the tags of others' documents": ("s3:PutObjectTagging", "arn:aws:s3:::payments/2026.csv", {}),
    "the policy of the state's bucket": ("s3:PutBucketPolicy", _STATE, {}),
    "earlier states": ("s3:DeleteObjectVersion", f"{_STATE}/alex/terraform.tfstate", {}),
    "others' messages": ("sqs:ReceiveMessage", _arn("sqs", "payments"), {}),
    "others' vectors": ("s3vectors:DeleteIndex", _arn("s3vectors", "bucket/payments/index/all"), {}),
    "others' logs": ("logs:FilterLogEvents", _arn("logs", "log-group:/aws/lambda/payments"), {}),
    "a repository of images": ("ecr:SetRepositoryPolicy", _arn("ecr", "repository/embeddings"), {}),
    "an image": ("ecr:PutImage", _arn("ecr", "repository/embeddings"), {}),
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
    "a role for SageMaker": ("iam:PassRole", ROLE, passed("sagemaker")),
    "a role for Lambda": ("iam:PassRole", ROLE, passed("lambda")),
    # It makes a role that has no boundary, and none can be asked for.
    "the role of auto scaling": ("iam:CreateServiceLinkedRole", _SCALING, {"iam:AWSServiceName": _SCALER}),
    "a stack": ("cloudformation:CreateStack", _arn("cloudformation", "stack/alex-search-stack/1"), {}),
    "a function's code": ("lambda:UpdateFunctionCode", _arn("lambda", "function:alex-pipeline-ingest"), {}),
    "an alarm that notifies": (
        "cloudwatch:PutMetricAlarm",
        _arn("cloudwatch", "alarm:alex-embedding-errors"),
        {"cloudwatch:AlarmActions": _arn("sns", "alex-notifications")},
    ),
    "an alarm of a scaling policy": (
        "cloudwatch:PutMetricAlarm",
        _arn("cloudwatch", "alarm:TargetTracking-endpoint/alex-embedding-endpoint/variant/AllTraffic-AlarmHigh-1"),
        {"cloudwatch:AlarmActions": "arn:aws:autoscaling:us-east-1:123456789012:scalingPolicy:1"},
    ),
    "the secret of a database": ("secretsmanager:CreateSecret", _MASTER_SECRET, {}),
    "the tags of a database's secret": (
        "secretsmanager:TagResource",
        _MASTER_SECRET,
        {"aws:TagKeys": "aws:rds:primaryDBClusterArn"},
    ),
    "the secret of a database's reader": (
        "secretsmanager:CreateSecret",
        _arn("secretsmanager", "secret:alex-vectors-reader-AbCdEf"),
        {},
    ),
    "the state": ("s3:PutObject", f"{_STATE}/alex/terraform.tfstate", {}),
    "the lock": ("s3:DeleteObject", f"{_STATE}/alex/terraform.tfstate.tflock", {}),
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
                tags = of_cluster("alex-vectors") if ":secret:rds!" in resource else {}
                yield action, resource.replace("*", "x"), {**tags, **context}


def _pairs(patterns: list[str], resources: list[str]) -> Iterator[tuple[str, str]]:
    """Each action with those of the resources that it can be about."""
    for action in (action for pattern in patterns for action in iam_definition.actions(pattern)):
        arns = [entry["arn"] for entry in iam_definition.resource_types(action).values()]
        for resource in resources:
            if resource == "*" or any(iam_policies.fits(resource, arn) for arn in arns):
                yield action, resource


def _list(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]
