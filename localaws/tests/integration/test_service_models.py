"""Responses to actions that other tests reach only through Terraform, or not at all, follow the service models.

The check is part of the local AWS (localaws.conformance) and is on in all tests. Error responses are checked, too.
"""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.localaws.harness import Aws

TRUST = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
READING = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
ROLE_POLICY, POLICY = (
    json.dumps({"Version": "2012-10-17", "Statement": [statement]}) for statement in (TRUST, READING)
)
TEMPLATE = json.dumps({"Resources": {"Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "t"}}}})
ACCOUNT = {"AccountId": "123456789012"}
ALARM = {
    "AlarmName": "answers",
    "MetricName": "Invocations",
    "Namespace": "AWS/SageMaker",
    "Statistic": "Sum",
    "Period": 60,
    "EvaluationPeriods": 1,
    "Threshold": 1.0,
    "ComparisonOperator": "GreaterThanThreshold",
    "Tags": [{"Key": "Project", "Value": "alex"}],
}
BUDGET = {
    "BudgetName": "answers",
    "BudgetLimit": {"Amount": "100", "Unit": "USD"},
    "TimeUnit": "MONTHLY",
    "BudgetType": "COST",
}
VARIANT = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": "endpoint/answers/variant/AllTraffic",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}
TOPIC = {"TopicArn": "arn:aws:sns:us-east-1:123456789012:answers"}
ROLE = {"RoleName": "answers"}
BUCKET = {"Bucket": "answers-to-questions"}
GROUP = {"logGroupName": "/answers"}

QUESTIONS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "budgets": [
        ("create_budget", {**ACCOUNT, "Budget": BUDGET}),
        ("describe_budget", {**ACCOUNT, "BudgetName": "answers"}),
        ("describe_budgets", ACCOUNT),
        ("describe_notifications_for_budget", {**ACCOUNT, "BudgetName": "answers"}),
        ("describe_budget", {**ACCOUNT, "BudgetName": "none"}),
        ("delete_budget", {**ACCOUNT, "BudgetName": "answers"}),
    ],
    "cloudformation": [
        ("create_stack", {"StackName": "answers", "TemplateBody": TEMPLATE}),
        ("describe_stacks", {"StackName": "answers"}),
        ("describe_stack_events", {"StackName": "answers"}),
        ("describe_stack_resources", {"StackName": "answers"}),
        ("get_template", {"StackName": "answers"}),
        ("delete_stack", {"StackName": "answers"}),
        ("describe_stacks", {"StackName": "none"}),
    ],
    "cloudwatch": [
        ("put_metric_alarm", ALARM),
        ("describe_alarms", {}),
        ("list_tags_for_resource", {"ResourceARN": "arn:aws:cloudwatch:us-east-1:123456789012:alarm:answers"}),
        ("put_dashboard", {"DashboardName": "answers", "DashboardBody": '{"widgets": []}'}),
        ("get_dashboard", {"DashboardName": "answers"}),
        ("list_dashboards", {}),
        ("delete_dashboards", {"DashboardNames": ["answers"]}),
        ("get_dashboard", {"DashboardName": "none"}),
        ("put_metric_data", {"Namespace": "answers", "MetricData": [{"MetricName": "m", "Value": 1.0}]}),
        ("list_metrics", {"Namespace": "answers"}),
        ("delete_alarms", {"AlarmNames": ["answers"]}),
    ],
    "ecr": [
        ("create_repository", {"repositoryName": "answers"}),
        ("describe_repositories", {}),
        ("describe_images", {"repositoryName": "answers"}),
        ("describe_images", {"repositoryName": "none"}),
        ("delete_repository", {"repositoryName": "answers"}),
    ],
    "iam": [
        ("create_role", {**ROLE, "AssumeRolePolicyDocument": ROLE_POLICY, "Tags": [{"Key": "a", "Value": "b"}]}),
        ("get_role", ROLE),
        ("put_role_policy", {**ROLE, "PolicyName": "p", "PolicyDocument": POLICY}),
        ("get_role_policy", {**ROLE, "PolicyName": "p"}),
        ("get_role_policy", {**ROLE, "PolicyName": "none"}),
        ("list_role_policies", ROLE),
        ("list_attached_role_policies", ROLE),
        ("list_instance_profiles_for_role", ROLE),
        ("list_role_tags", ROLE),
        ("update_role", {**ROLE, "Description": "other"}),
        ("delete_role_policy", {**ROLE, "PolicyName": "p"}),
        ("delete_role", ROLE),
        ("get_role", {"RoleName": "none"}),
        ("list_open_id_connect_providers", {}),
    ],
    "kms": [
        ("create_key", {"Description": "answers", "Tags": [{"TagKey": "Project", "TagValue": "alex"}]}),
        ("list_keys", {}),
        ("describe_key", {"KeyId": "0a1b2c3d-0000-4000-8000-000000000000"}),
    ],
    "logs": [
        ("create_log_group", {**GROUP, "tags": {"Project": "alex"}}),
        ("create_log_group", GROUP),
        ("describe_log_groups", {}),
        ("put_retention_policy", {**GROUP, "retentionInDays": 7}),
        ("list_tags_for_resource", {"resourceArn": "arn:aws:logs:us-east-1:123456789012:log-group:/answers"}),
        ("create_log_stream", {**GROUP, "logStreamName": "s"}),
        ("describe_log_streams", GROUP),
        ("get_log_events", {**GROUP, "logStreamName": "s"}),
        ("filter_log_events", GROUP),
        ("describe_log_streams", {"logGroupName": "none"}),
        ("delete_log_group", GROUP),
    ],
    "s3": [
        ("create_bucket", BUCKET),
        ("put_object", {**BUCKET, "Key": "k", "Body": b"text"}),
        ("get_object", {**BUCKET, "Key": "k"}),
        ("head_object", {**BUCKET, "Key": "k"}),
        ("get_object", {**BUCKET, "Key": "none"}),
        ("list_objects_v2", BUCKET),
        ("get_bucket_acl", BUCKET),
        ("get_bucket_encryption", BUCKET),
        ("get_bucket_lifecycle_configuration", BUCKET),
        ("get_bucket_location", BUCKET),
        ("get_bucket_policy", BUCKET),
        ("get_bucket_request_payment", BUCKET),
        ("get_bucket_tagging", BUCKET),
        ("get_bucket_versioning", BUCKET),
        ("get_public_access_block", BUCKET),
        ("delete_objects", {**BUCKET, "Delete": {"Objects": [{"Key": "k"}]}}),
        ("delete_bucket", BUCKET),
        ("delete_bucket", BUCKET),
        ("list_buckets", {}),
    ],
    "sagemaker": [
        ("list_models", {}),
        ("list_endpoint_configs", {}),
        ("list_endpoints", {}),
    ],
    "sns": [
        ("create_topic", {"Name": "answers"}),
        ("get_topic_attributes", TOPIC),
        ("subscribe", {**TOPIC, "Protocol": "email", "Endpoint": "a@example.com", "ReturnSubscriptionArn": True}),
        ("list_subscriptions_by_topic", TOPIC),
        ("list_tags_for_resource", {"ResourceArn": TOPIC["TopicArn"]}),
        ("publish", {**TOPIC, "Message": "m"}),
        ("delete_topic", TOPIC),
        ("get_topic_attributes", TOPIC),
    ],
    "sts": [("get_caller_identity", {})],
    "application-autoscaling": [
        ("describe_scaling_policies", {"ServiceNamespace": "sagemaker"}),
        ("describe_scheduled_actions", {"ServiceNamespace": "sagemaker"}),
        ("describe_scalable_targets", {"ServiceNamespace": "sagemaker"}),
        ("delete_scaling_policy", {**VARIANT, "PolicyName": "none"}),
    ],
}


@pytest.mark.parametrize("service", QUESTIONS)
def test_responses_follow_the_service_models(aws: Aws, service: str) -> None:
    client, wrong = aws.client(service), []
    for operation, parameters in QUESTIONS[service]:
        try:
            getattr(client, operation)(**parameters)
        except ClientError as error:
            if error.response["Error"]["Code"] == "NotImplementedException":
                wrong.append(error.response["Error"]["Message"])
    assert wrong == []


def test_request_payment_is_readable(aws: Aws) -> None:
    aws.s3.create_bucket(Bucket="paid-for")
    assert aws.s3.get_bucket_request_payment(Bucket="paid-for")["Payer"] == "BucketOwner"
    aws.s3.delete_bucket(Bucket="paid-for")
    with pytest.raises(ClientError, match="NoSuchBucket"):
        aws.s3.get_bucket_request_payment(Bucket="paid-for")


def test_null_members_are_omitted(aws: Aws) -> None:
    # botocore drops nulls, so that only the raw answer tells.
    raw: list[bytes] = []
    client = aws.client("logs")
    client.meta.events.register("after-call.logs", lambda http_response, **_: raw.append(http_response.content))
    client.describe_log_groups(logGroupNamePrefix="/none")
    assert json.loads(raw[0]) == {"logGroups": []}
