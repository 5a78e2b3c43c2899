"""The AWS Budgets API: moto's, with notifications, subscribers and tags that can be read and changed.

:mod:`localaws.services.budgets.watch` updates what budgets have spent, and sends their notifications.
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from moto.budgets.exceptions import DuplicateRecordException, NotFoundException
from moto.budgets.models import Budget, Notification
from moto.budgets.responses import BudgetsResponse
from moto.core.exceptions import JsonRESTError
from moto.core.utils import unix_time

if TYPE_CHECKING:
    from localaws.services.budgets.watch import BudgetWatch

__all__ = ["SIMPLIFICATIONS", "Budgets"]

SIMPLIFICATIONS = {
    "CreateBudget": (
        "Spending is metered usage, as in Cost Explorer, and is updated within a second; on AWS several times a day. "
        "E-mail is recorded and not sent. Budgets of the types COST and USAGE with a fixed limit; no actions."
    ),
}

#: "Each notification can be associated with at most one SNS subscriber and up to 10 email subscribers" and "up to 10
#: notifications per budget" (Budgets user guide, quotas and API reference of CreateNotification).
MAX_NOTIFICATIONS = 10
MAX_EMAILS = 10
MAX_TOPICS = 1

_KEY = ("NotificationType", "ComparisonOperator", "Threshold", "ThresholdType")


class Budgets(BudgetsResponse):  # type: ignore[misc]  # moto is untyped
    """The Budgets API."""

    watch: ClassVar["BudgetWatch"]

    def describe_budget(self) -> str:
        """DescribeBudget, with the spending so far."""
        self.watch.evaluate()
        return str(super().describe_budget())

    def describe_budgets(self) -> str:
        """DescribeBudgets, with the spending so far."""
        self.watch.evaluate()
        return str(super().describe_budgets())

    def create_budget(self) -> str:
        """CreateBudget."""
        notifications = self._get_param("NotificationsWithSubscribers") or []
        for notification in notifications:
            _check_subscribers(notification["Subscribers"])
        _check_count(notifications)
        # What was spent in skipped months does not concern the new budget.
        self.watch.evaluate()
        response: str = super().create_budget()
        budget = self._find(self._get_param("Budget")["BudgetName"], "create budget")
        vars(budget)["tags"] = {tag["Key"]: tag["Value"] for tag in self._get_param("ResourceTags") or []}
        return response

    def update_budget(self) -> str:
        """UpdateBudget, except its notifications."""
        new = self._get_param("NewBudget")
        budget = self._find(new["BudgetName"], "update budget")
        unchanged = {name: budget.budget[name] for name in ("TimePeriod", "CalculatedSpend") if name in budget.budget}
        budget.budget = {**unchanged, **new, "LastUpdatedTime": unix_time()}
        return json.dumps({})

    def describe_notifications_for_budget(self) -> str:
        """DescribeNotificationsForBudget."""
        budget = self._find(self._get_param("BudgetName"), "get notifications")
        return json.dumps({"Notifications": [_describe(item) for item in budget.notifications]})

    def create_notification(self) -> str:
        """CreateNotification."""
        budget = self._find(self._get_param("BudgetName"), "create notification")
        notification = self._get_param("Notification")
        if any(_key(item.details) == _key(notification) for item in budget.notifications):
            raise DuplicateRecordException("notification", budget.budget["BudgetName"])
        _check_subscribers(self._get_param("Subscribers"))
        _check_count([*budget.notifications, notification])
        budget.add_notification(notification, self._get_param("Subscribers"))
        return json.dumps({})

    def update_notification(self) -> str:
        """UpdateNotification, except its subscribers."""
        self._notification(self._get_param("OldNotification")).details = self._get_param("NewNotification")
        return json.dumps({})

    def delete_notification(self) -> str:
        """DeleteNotification, with its subscribers."""
        budget = self._find(self._get_param("BudgetName"), "delete notification")
        budget.notifications.remove(self._notification(self._get_param("Notification")))
        return json.dumps({})

    def describe_subscribers_for_notification(self) -> str:
        """DescribeSubscribersForNotification."""
        return json.dumps({"Subscribers": self._notification(self._get_param("Notification")).subscribers})

    def create_subscriber(self) -> str:
        """CreateSubscriber."""
        notification, new = self._notification(self._get_param("Notification")), self._get_param("Subscriber")
        if new in notification.subscribers:
            raise DuplicateRecordException("subscriber", new["Address"])
        _check_subscribers([*notification.subscribers, new])
        notification.subscribers.append(new)
        return json.dumps({})

    def update_subscriber(self) -> str:
        """UpdateSubscriber."""
        subscribers = self._notification(self._get_param("Notification")).subscribers
        subscribers[_position(subscribers, self._get_param("OldSubscriber"))] = self._get_param("NewSubscriber")
        return json.dumps({})

    def delete_subscriber(self) -> str:
        """DeleteSubscriber; deleting the last subscriber deletes the notification."""
        notification = self._notification(self._get_param("Notification"))
        del notification.subscribers[_position(notification.subscribers, self._get_param("Subscriber"))]
        if not notification.subscribers:
            self._find(self._get_param("BudgetName"), "delete subscriber").notifications.remove(notification)
        return json.dumps({})

    def list_tags_for_resource(self) -> str:
        """ListTagsForResource."""
        tags = self._tags()
        return json.dumps({"ResourceTags": [{"Key": key, "Value": value} for key, value in tags.items()]})

    def tag_resource(self) -> str:
        """TagResource."""
        self._tags().update({tag["Key"]: tag["Value"] for tag in self._get_param("ResourceTags")})
        return json.dumps({})

    def untag_resource(self) -> str:
        """UntagResource."""
        tags = self._tags()
        for key in self._get_param("ResourceTagKeys"):
            tags.pop(key, None)
        return json.dumps({})

    def _find(self, name: str, action: str) -> Budget:
        return _budget(self.backend, self._get_param("AccountId") or self.current_account, name, action)

    def _notification(self, details: Mapping[str, Any]) -> Notification:
        budget = self._find(self._get_param("BudgetName"), "get notification")
        notification = next((item for item in budget.notifications if _key(item.details) == _key(details)), None)
        if notification is None:
            raise NotFoundException("Unable to get notification - the notification doesn't exist.")
        return notification

    def _tags(self) -> dict[str, str]:
        name = str(self._get_param("ResourceARN")).partition(":budget/")[2]
        tags: dict[str, str] = vars(self._find(name, "get budget")).setdefault("tags", {})
        return tags


class _CreationLimitExceeded(JsonRESTError):  # type: ignore[misc]  # moto is untyped
    """CreationLimitExceededException."""

    code = 400

    def __init__(self, message: str) -> None:
        super().__init__("CreationLimitExceededException", message)


def _budget(backend: Any, account_id: str, name: str, action: str) -> Budget:
    budget = backend.budgets[account_id].get(name)
    if budget is None:
        raise NotFoundException(f"Unable to {action}: {name} - the budget doesn't exist.")
    return budget


def _key(notification: Mapping[str, Any]) -> tuple[Any, ...]:
    """The identity of a notification, in which the thresholds 80 and 80.0 are equal."""
    full = {"ThresholdType": "PERCENTAGE", **notification}
    return tuple(float(full[name]) if name == "Threshold" else full[name] for name in _KEY)


def _describe(notification: Notification) -> dict[str, Any]:
    state = "ALARM" if vars(notification).get("is_alarming") else "OK"
    return {"ThresholdType": "PERCENTAGE", "NotificationState": state, **notification.details}


def _check_count(notifications: list[Any]) -> None:
    if len(notifications) > MAX_NOTIFICATIONS:
        raise _CreationLimitExceeded(f"A budget may have up to {MAX_NOTIFICATIONS} notifications.")


def _check_subscribers(subscribers: list[dict[str, str]]) -> None:
    for kind, limit in (("SNS", MAX_TOPICS), ("EMAIL", MAX_EMAILS)):
        if sum(item["SubscriptionType"] == kind for item in subscribers) > limit:
            raise _CreationLimitExceeded(f"A notification may have up to {limit} subscribers of type {kind}.")


def _position(subscribers: list[dict[str, str]], subscriber: dict[str, str]) -> int:
    if subscriber not in subscribers:
        raise NotFoundException("Unable to get subscriber - the subscriber doesn't exist.")
    return subscribers.index(subscriber)
