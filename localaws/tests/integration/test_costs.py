"""AWS Budgets and Cost Explorer, used as by Terraform and the CLI."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.localaws.harness import Aws

ACCOUNT = "123456789012"
TOPIC = {"SubscriptionType": "SNS", "Address": "arn:aws:sns:us-east-1:123456789012:costs"}
EMAIL = {"SubscriptionType": "EMAIL", "Address": "team@example.com"}


def notification(threshold: float, kind: str = "ACTUAL") -> dict[str, Any]:
    return {"NotificationType": kind, "ComparisonOperator": "GREATER_THAN", "Threshold": threshold}


def create_budget(aws: Aws, name: str) -> Any:
    budgets = aws.client("budgets")
    budgets.create_budget(
        AccountId=ACCOUNT,
        Budget={
            "BudgetName": name,
            "BudgetLimit": {"Amount": "50", "Unit": "USD"},
            "TimeUnit": "MONTHLY",
            "BudgetType": "COST",
        },
        NotificationsWithSubscribers=[{"Notification": notification(80), "Subscribers": [TOPIC, EMAIL]}],
        ResourceTags=[{"Key": "Project", "Value": "alex"}],
    )
    return budgets


def test_budget_notifications_and_subscribers_are_changed(aws: Aws) -> None:
    budgets = create_budget(aws, "alex")
    budget = {"AccountId": ACCOUNT, "BudgetName": "alex"}
    (described,) = budgets.describe_notifications_for_budget(**budget)["Notifications"]
    assert described == notification(80) | {"ThresholdType": "PERCENTAGE", "NotificationState": "OK"}
    assert budgets.describe_subscribers_for_notification(**budget, Notification=notification(80))["Subscribers"] == [
        TOPIC,
        EMAIL,
    ]
    budgets.update_notification(**budget, OldNotification=notification(80), NewNotification=notification(90))
    budgets.delete_subscriber(**budget, Notification=notification(90), Subscriber=EMAIL)
    assert budgets.describe_subscribers_for_notification(**budget, Notification=notification(90))["Subscribers"] == [
        TOPIC
    ]
    with pytest.raises(budgets.exceptions.NotFoundException):
        budgets.describe_subscribers_for_notification(**budget, Notification=notification(80))
    budgets.create_notification(**budget, Notification=notification(80, "FORECASTED"), Subscribers=[TOPIC])
    with pytest.raises(budgets.exceptions.DuplicateRecordException):
        budgets.create_notification(**budget, Notification=notification(80, "FORECASTED"), Subscribers=[TOPIC])
    with pytest.raises(budgets.exceptions.CreationLimitExceededException):
        budgets.create_subscriber(**budget, Notification=notification(90), Subscriber=TOPIC | {"Address": "another"})
    budgets.delete_notification(**budget, Notification=notification(90))
    (left,) = budgets.describe_notifications_for_budget(**budget)["Notifications"]
    assert left["NotificationType"] == "FORECASTED"


def test_update_budget_keeps_notifications_and_tags(aws: Aws) -> None:
    budgets = create_budget(aws, "changed")
    limit = {"Amount": "60", "Unit": "USD"}
    new = {"BudgetName": "changed", "BudgetLimit": limit, "TimeUnit": "MONTHLY", "BudgetType": "COST"}
    budgets.update_budget(AccountId=ACCOUNT, NewBudget=new)
    described = budgets.describe_budget(AccountId=ACCOUNT, BudgetName="changed")["Budget"]
    assert described["BudgetLimit"] == limit
    assert float(described["CalculatedSpend"]["ActualSpend"]["Amount"]) == 0
    assert budgets.describe_notifications_for_budget(AccountId=ACCOUNT, BudgetName="changed")["Notifications"]
    arn = f"arn:aws:budgets::{ACCOUNT}:budget/changed"
    budgets.tag_resource(ResourceARN=arn, ResourceTags=[{"Key": "Team", "Value": "search"}])
    budgets.untag_resource(ResourceARN=arn, ResourceTagKeys=["Project"])
    assert budgets.list_tags_for_resource(ResourceARN=arn)["ResourceTags"] == [{"Key": "Team", "Value": "search"}]
    with pytest.raises(budgets.exceptions.NotFoundException):
        budgets.update_budget(AccountId=ACCOUNT, NewBudget=new | {"BudgetName": "unknown"})


def test_cost_allocation_tags_are_activated_and_deactivated(aws: Aws) -> None:
    costs = aws.client("ce")
    statuses = [{"TagKey": "Project", "Status": "Active"}, {"TagKey": "aws:createdBy", "Status": "Inactive"}]
    assert costs.update_cost_allocation_tags_status(CostAllocationTagsStatus=statuses)["Errors"] == []

    def keys(**chosen: Any) -> list[str]:
        return [tag["TagKey"] for tag in costs.list_cost_allocation_tags(**chosen)["CostAllocationTags"]]

    assert keys() == ["Project", "aws:createdBy"]
    assert keys(Status="Active") == keys(Type="UserDefined") == keys(TagKeys=["Project", "Team"]) == ["Project"]
    costs.update_cost_allocation_tags_status(CostAllocationTagsStatus=[{"TagKey": "Project", "Status": "Inactive"}])
    assert keys(Status="Active") == []


def test_anomaly_monitor_and_subscription_are_stored(aws: Aws) -> None:
    costs = aws.client("ce")
    monitor = {
        "MonitorName": "embeddings",
        "MonitorType": "CUSTOM",
        "MonitorSpecification": {"Tags": {"Key": "Project", "Values": ["alex"]}},
    }
    arn = costs.create_anomaly_monitor(AnomalyMonitor=monitor, ResourceTags=[{"Key": "a", "Value": "b"}])["MonitorArn"]
    subscription: dict[str, Any] = {
        "SubscriptionName": "embeddings",
        "MonitorArnList": [arn],
        "Subscribers": [{"Type": "SNS", "Address": TOPIC["Address"]}],
        "Frequency": "IMMEDIATE",
        "Threshold": 10,
    }
    with pytest.raises(costs.exceptions.UnknownMonitorException):
        costs.create_anomaly_subscription(
            AnomalySubscription=subscription | {"MonitorArnList": ["arn:aws:ce::123456789012:anomalymonitor/no"]}
        )
    with pytest.raises(ClientError, match="IMMEDIATE"):
        costs.create_anomaly_subscription(AnomalySubscription=subscription | {"Frequency": "DAILY"})
    subscription_arn = costs.create_anomaly_subscription(AnomalySubscription=subscription)["SubscriptionArn"]
    costs.update_anomaly_monitor(MonitorArn=arn, MonitorName="renamed")
    costs.update_anomaly_subscription(SubscriptionArn=subscription_arn, Threshold=20)

    (stored_monitor,) = costs.get_anomaly_monitors(MonitorArnList=[arn])["AnomalyMonitors"]
    assert (stored_monitor["MonitorName"], stored_monitor["MonitorSpecification"]) == (
        "renamed",
        monitor["MonitorSpecification"],
    )
    (stored_subscription,) = costs.get_anomaly_subscriptions(MonitorArn=arn)["AnomalySubscriptions"]
    assert (stored_subscription["Threshold"], stored_subscription["AccountId"]) == (20, ACCOUNT)
    assert costs.list_tags_for_resource(ResourceArn=arn)["ResourceTags"] == [{"Key": "a", "Value": "b"}]

    costs.delete_anomaly_subscription(SubscriptionArn=subscription_arn)
    costs.delete_anomaly_monitor(MonitorArn=arn)
    with pytest.raises(costs.exceptions.UnknownMonitorException):
        costs.get_anomaly_monitors(MonitorArnList=[arn])
    with pytest.raises(costs.exceptions.UnknownSubscriptionException):
        costs.delete_anomaly_subscription(SubscriptionArn=subscription_arn)
