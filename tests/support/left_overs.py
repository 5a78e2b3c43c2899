"""What is still there of what Terraform applied, in any service."""

import time
from typing import Any

from localaws.config import ACCOUNT_ID
from tests.integration.conftest import Stack

_SCALED = {"ServiceNamespace": "sagemaker"}
_ALARM_TYPES = {"AlarmTypes": ["MetricAlarm", "CompositeAlarm"]}

#: Service, operation, its arguments, its lists, and what each thing in them is known by; None for a list of names.
_LISTS: list[tuple[str, str, dict[str, Any], tuple[str, ...], str | None]] = [
    ("sagemaker", "list_endpoints", {}, ("Endpoints",), "EndpointName"),
    ("sagemaker", "list_endpoint_configs", {}, ("EndpointConfigs",), "EndpointConfigName"),
    ("sagemaker", "list_models", {}, ("Models",), "ModelName"),
    ("sagemaker", "list_inference_components", {}, ("InferenceComponents",), "InferenceComponentName"),
    ("application-autoscaling", "describe_scalable_targets", _SCALED, ("ScalableTargets",), "ResourceId"),
    ("application-autoscaling", "describe_scaling_policies", _SCALED, ("ScalingPolicies",), "PolicyName"),
    ("application-autoscaling", "describe_scheduled_actions", _SCALED, ("ScheduledActions",), "ScheduledActionName"),
    ("cloudwatch", "describe_alarms", _ALARM_TYPES, ("MetricAlarms", "CompositeAlarms"), "AlarmName"),
    ("cloudwatch", "list_dashboards", {}, ("DashboardEntries",), "DashboardName"),
    ("logs", "describe_log_groups", {}, ("logGroups",), "logGroupName"),
    ("iam", "list_roles", {}, ("Roles",), "RoleName"),
    ("sns", "list_topics", {}, ("Topics",), "TopicArn"),
    ("sqs", "list_queues", {}, ("QueueUrls",), None),
    ("lambda", "list_functions", {}, ("Functions",), "FunctionName"),
    ("lambda", "list_event_source_mappings", {}, ("EventSourceMappings",), "FunctionArn"),
    ("s3", "list_buckets", {}, ("Buckets",), "Name"),
    ("rds", "describe_db_clusters", {}, ("DBClusters",), "DBClusterIdentifier"),
    ("rds", "describe_db_subnet_groups", {}, ("DBSubnetGroups",), "DBSubnetGroupName"),
    ("secretsmanager", "list_secrets", {}, ("SecretList",), "Name"),
    ("ec2", "describe_security_groups", {}, ("SecurityGroups",), "GroupName"),
    ("s3vectors", "list_vector_buckets", {}, ("vectorBuckets",), "vectorBucketName"),
    ("budgets", "describe_budgets", {"AccountId": ACCOUNT_ID}, ("Budgets",), "BudgetName"),
    ("ce", "get_anomaly_monitors", {}, ("AnomalyMonitors",), "MonitorName"),
    ("ce", "get_anomaly_subscriptions", {}, ("AnomalySubscriptions",), "SubscriptionName"),
    ("cloudformation", "describe_stacks", {}, ("Stacks",), "StackName"),
]


def left_overs(stack: Stack, prefix: str, patience: float = 60) -> list[str]:
    """Names of what belongs to a project; looked for again while there are any, since deletions take their time."""
    deadline = time.monotonic() + patience
    while True:
        found = [name for lists in _LISTS for name in _names(stack, *lists) if prefix in name]
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(1)


def _names(
    stack: Stack, service: str, operation: str, arguments: dict[str, Any], lists: tuple[str, ...], name: str | None
) -> list[str]:
    answer = getattr(stack.client(service), operation)(**arguments)
    return [each if name is None else each[name] for key in lists for each in answer.get(key, [])]
