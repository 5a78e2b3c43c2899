"""What the Terraform code writes for AWS to read, against what AWS publishes: CloudFormation's schemas, IAM's words."""

import json
import re
from typing import Any

import pytest
from cfnlint.api import lint
from cfnlint.config import ManualArgs

from tests.terraform import iam_definition, iam_policies
from tests.terraform.iam_evaluation import ANYTHING, is_allowed
from tests.terraform.iam_requests import ESCAPES, NEEDED, allowed_requests
from tests.terraform.provider_calls import recorded_calls
from tests.terraform.running import Applied

#: Schemas differ by region; these are where the examples deploy.
REGIONS = ["us-east-1", "eu-central-1"]

#: Data sources that the provider answers itself.
SILENT = {"aws_partition", "aws_region", "aws_sagemaker_prebuilt_ecr_image"}
#: What the README of bootstrap leaves to a person: keys, security groups, and deleting documents
#: (bucket.force_destroy).
LEFT_TO_A_PERSON = {
    "ec2:AuthorizeSecurityGroupEgress",
    "ec2:AuthorizeSecurityGroupIngress",
    "ec2:CreateSecurityGroup",
    "ec2:DeleteSecurityGroup",
    "ec2:RevokeSecurityGroupEgress",
    "ec2:RevokeSecurityGroupIngress",
    "kms:CreateKey",
    "kms:EnableKeyRotation",
    "kms:PutKeyPolicy",
    "kms:ScheduleKeyDeletion",
    "kms:TagResource",
    "kms:UntagResource",
    "kms:UpdateKeyDescription",
    "s3:DeleteObject",
    "s3:ListBucketVersions",
}


def complaints(template: str) -> list[str]:
    """What cfn-lint says of a template, hints included."""
    return [str(match) for match in lint(template, config=ManualArgs(regions=REGIONS, include_checks=["I"]))]


def templates(applied: Applied) -> dict[str, str]:
    return {
        address: values["template_body"] for address, values in applied.resources.items() if "template_body" in values
    }


def test_stack_templates_match_the_cloudformation_schemas(applied_root: Applied) -> None:
    found = templates(applied_root)
    assert len(found) >= 4, "on GPUs, on CPUs, with a key, in a VPC"
    assert {address: complaints(template) for address, template in found.items()} == {key: [] for key in found}


def test_schema_check_detects_an_unknown_property(applied_root: Applied) -> None:
    template = next(iter(templates(applied_root).values()))
    assert "MinMemoryRequiredInMB" in str(
        complaints(template.replace("MinMemoryRequiredInMb", "MinMemoryRequiredInMB"))
    )


def test_root_policies_use_actions_that_iam_knows(applied_root: Applied) -> None:
    found = iam_policies.policies(applied_root)
    assert {"invoke_policy_json", "module.observability.aws_sns_topic_policy.embeddings[0].policy"} <= found.keys()
    assert {name: iam_policies.mistakes(policy, name) for name, policy in found.items()} == {key: [] for key in found}


def test_bootstrap_policies_use_actions_that_iam_knows(applied_bootstrap: Applied) -> None:
    found = iam_policies.policies(applied_bootstrap)
    assert {"aws_iam_role_policy.apply.policy", "aws_iam_policy.boundary.policy"} <= found.keys()
    assert {name: iam_policies.mistakes(policy, name) for name, policy in found.items()} == {key: [] for key in found}


@pytest.fixture(scope="module")
def boundary(applied_bootstrap: Applied) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(applied_bootstrap.resources["aws_iam_policy.boundary"]["policy"])
    return document


def of_github(applied: Applied, role: str) -> list[dict[str, Any]]:
    """What a role of GitHub is given: its own policy, and those that are attached to it."""
    attached = {"apply": ["apply", "plan"], "plan": ["plan"]}[role]
    addresses = [f"aws_iam_role_policy.{role}", *(f'aws_iam_policy.pipeline["{policy}"]' for policy in attached)]
    return [json.loads(applied.resources[address]["policy"]) for address in addresses]


@pytest.mark.parametrize("name", ESCAPES)
def test_no_role_gets_beyond_its_boundary(boundary: dict[str, Any], name: str) -> None:
    """Whatever its own policy: an apply writes that."""
    assert iam_definition.actions(ESCAPES[name][0]), "IAM knows the action"
    assert is_allowed(*ESCAPES[name], [ANYTHING], None)
    assert not is_allowed(*ESCAPES[name], [ANYTHING], boundary)


@pytest.mark.parametrize(
    "name", [name for name, request in ESCAPES.items() if "cloudwatch:AlarmActions" not in request[2]]
)
def test_no_apply_gets_beyond_the_project(applied_bootstrap: Applied, name: str) -> None:
    """By its own policies alone; only what alarms do is left to the boundary."""
    assert not is_allowed(*ESCAPES[name], of_github(applied_bootstrap, "apply"), None)


@pytest.mark.parametrize("name", NEEDED)
def test_an_apply_may_do_what_it_has_to(applied_bootstrap: Applied, boundary: dict[str, Any], name: str) -> None:
    assert is_allowed(*NEEDED[name], of_github(applied_bootstrap, "apply"), boundary)


def test_role_policies_are_within_the_boundary(
    applied_bootstrap: Applied, applied_root: Applied, boundary: dict[str, Any]
) -> None:
    """One that is too narrow shows on AWS alone, when what a policy allows is denied."""
    roles = [policy for name, policy in iam_policies.policies(applied_root).items() if "aws_iam_role_policy." in name]
    assert len(roles) > 5
    given = [*roles, *of_github(applied_bootstrap, "apply"), *of_github(applied_bootstrap, "plan")]
    asked = [request for policy in given for request in allowed_requests(policy)]
    assert [request for request in asked if not is_allowed(*request, [ANYTHING], boundary)] == []


@pytest.mark.parametrize(("role", "steps"), [("plan", ["plan"]), ("apply", ["plan", "apply"])])
def test_github_roles_allow_the_calls_of_the_provider(
    applied_bootstrap: Applied, applied_root: Applied, role: str, steps: list[str]
) -> None:
    """The local AWS asks nobody for permissions: what the roles lack would show in the first run at GitHub."""
    calls = recorded_calls()
    managed = {found[0] for address in applied_root.resources if (found := re.findall(r"\baws_\w+(?=\.)", address))}
    assert managed - SILENT <= {kind.removeprefix("data.") for kind in calls}, "of these nothing is recorded"
    given = {action for policy in of_github(applied_bootstrap, role) for action, *_ in allowed_requests(policy)}
    enough = given | LEFT_TO_A_PERSON
    lacking = {kind: {action for step in steps for action in found[step]} - enough for kind, found in calls.items()}
    assert {kind: actions for kind, actions in lacking.items() if actions} == {}


def test_rollback_alarms_of_deployments_exist(applied_root: Applied) -> None:
    """CloudWatch takes any name: one of no alarm would be found out by the first bad deployment."""
    alarms = {values.get("alarm_name") for values in applied_root.resources.values()}
    endpoint = applied_root.resources['module.realtime_endpoint["search"].aws_sagemaker_endpoint.embeddings']
    (rollback,) = endpoint["deployment_config"][0]["auto_rollback_configuration"]
    named = {alarm["alarm_name"] for alarm in rollback["alarms"]}
    assert {"alex-search-errors", "alex-search-candidate-errors"} <= named
    assert named <= alarms


@pytest.mark.parametrize(
    ("statement", "mistake"),
    [
        ({"Action": "sagemaker:InvokeEndpoints"}, "is no action"),
        ({"Action": "sagemaker:Invoke*Endpoints"}, "is no action"),
        ({"Resource": "arn:aws:sagemaker:us-east-1:123456789012:model/alex"}, "fits none of"),
        ({"Resource": "*"}, "can be narrowed to"),
        ({"Action": "ecr:GetAuthorizationToken"}, "knows no resource"),
        ({"Condition": {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}}, "is no condition key of"),
        ({"Condition": {"StringEquals": {"aws:SourceAcount": "123456789012"}}}, "is no condition key of"),
        ({"Condition": {"StringIs": {"aws:SourceAccount": "123456789012"}}}, "is no operator"),
        ({"Resouce": "*"}, "is no element"),
    ],
)
def test_mistakes_are_found(statement: dict[str, Any], mistake: str) -> None:
    right = {
        "Sid": "Invoke",
        "Effect": "Allow",
        "Action": "sagemaker:InvokeEndpoint",
        "Resource": "arn:aws:sagemaker:us-east-1:123456789012:endpoint/alex",
    }
    assert iam_policies.mistakes({"Version": "2012-10-17", "Statement": [right]}, "a policy") == []
    (found, *_) = iam_policies.mistakes({"Version": "2012-10-17", "Statement": [right | statement]}, "a policy")
    assert mistake in found
