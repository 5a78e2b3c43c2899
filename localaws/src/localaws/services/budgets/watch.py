"""What budgets have spent, and their notifications.

Budgets are evaluated on the simulated clock: now, and at the end of each month that was skipped by advancing it. On AWS
spending is updated several times a day (API reference of CalculatedSpend), here within a second.
"""

import json
import logging
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from moto.budgets.models import Budget, Notification, budgets_backends
from moto.sns.models import sns_backends

from localaws.core.threads import Ticker
from localaws.metering.filters import expression_filter
from localaws.metering.forecast import HISTORY, cost_per_hour
from localaws.metering.usage import month_of, next_month
from localaws.services.ce.allocation_tags import active_tags
from localaws.services.sns.topic_delivery import PublishError, publish

if TYPE_CHECKING:
    from localaws.metering.filters import LineFilter
    from localaws.metering.meter import Meter
    from localaws.metering.prices import UsagePrices

__all__ = ["BudgetWatch", "SentNotification"]

_logger = logging.getLogger(__name__)

_SERVICE = "budgets.amazonaws.com"
#: Names of filters in a budget's CostFilters, with Cost Explorer's dimension.
_FILTERS = {
    "LinkedAccount": "LINKED_ACCOUNT", "Region": "REGION", "Service": "SERVICE", "UsageType": "USAGE_TYPE",
}  # fmt: skip
_COMPARISONS = {"GREATER_THAN": ">", "LESS_THAN": "<", "EQUAL_TO": "="}
_WORDS = {"GREATER_THAN": "greater than", "LESS_THAN": "less than", "EQUAL_TO": "equal to"}
_PERIODS = {"DAILY": "day", "MONTHLY": "month", "QUARTERLY": "quarter", "ANNUALLY": "year"}
_EVALUATED = frozenset({"COST", "USAGE"})


@dataclass(frozen=True, slots=True)
class SentNotification:
    """A notification that was sent to a subscriber.

    Attributes:
        at: The simulated time.
        account_id: The budget's account.
        budget: The budget's name.
        kind: ``SNS`` or ``EMAIL``.
        address: The topic's ARN or the e-mail address. No e-mail is sent.
        subject: The subject.
        message: The message.
        error: Why the topic did not accept it; empty for success.
    """

    at: datetime
    account_id: str
    budget: str
    kind: str
    address: str
    subject: str
    message: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class _Spend:
    """A budget's actual and forecasted spending in a period."""

    period: datetime
    actual: Decimal
    forecasted: Decimal


class BudgetWatch:
    """Evaluates the budgets of all accounts from :meth:`start` to :meth:`close`."""

    _TICK_SECONDS = 0.5

    def __init__(self, meter: "Meter", prices: "UsagePrices", sent: list[SentNotification]) -> None:
        """Prepare.

        Args:
            meter: The metered usage.
            prices: Its prices.
            sent: The notifications so far.
        """
        self._meter = meter
        self._prices = prices
        self.sent = sent
        self._lock = threading.RLock()
        self._evaluated = meter.time.now()
        self._clock = Ticker("budget-watch", self._TICK_SECONDS, self.evaluate)

    def start(self) -> None:
        """Start evaluating."""
        self._clock.start()

    def close(self) -> None:
        """Stop evaluating."""
        self._clock.close()

    def evaluate(self) -> None:
        """Update what all budgets have spent, and send the notifications that are due."""
        with self._lock:
            now = self._meter.time.now()
            moments = [*_ends_of_months(self._evaluated, now), now]
            self._evaluated = now
            for backend in [backend for _, _, backend in budgets_backends.iter_backends()]:
                for account_id, budgets in list(backend.budgets.items()):
                    for budget in list(budgets.values()):
                        created = vars(budget).setdefault("created", now)
                        for moment in moments:
                            if moment >= created:
                                self._evaluate(account_id, budget, moment)

    def _evaluate(self, account_id: str, budget: Budget, moment: datetime) -> None:
        details = budget.budget
        limit = details.get("BudgetLimit")
        if details["BudgetType"] not in _EVALUATED or details["TimeUnit"] not in _PERIODS or limit is None:
            return
        spend = self._spend(account_id, details, moment)
        details["CalculatedSpend"] = {
            "ActualSpend": {"Amount": f"{spend.actual:.3f}", "Unit": limit["Unit"]},
            "ForecastedSpend": {"Amount": f"{spend.forecasted:.3f}", "Unit": limit["Unit"]},
        }
        for notification in list(budget.notifications):
            self._notify(account_id, details, notification, spend, moment)

    def _spend(self, account_id: str, details: Mapping[str, Any], moment: datetime) -> _Spend:
        start, end = _period(details["TimeUnit"], moment)
        is_included = _filter(account_id, details)
        usage = [
            each
            for each in self._meter.usage(account_id, min(start, moment - HISTORY), moment)
            if is_included(each.line)
        ]
        inside = [each for each in usage if each.hour >= start]
        if details["BudgetType"] == "USAGE":
            actual = sum((each.quantity for each in inside), Decimal(0))
            return _Spend(start, actual, actual)
        actual = self._prices.total(inside)
        rate = cost_per_hour([each for each in usage if each.hour >= moment - HISTORY], self._prices, moment)
        return _Spend(start, actual, actual + rate * Decimal((end - moment) // timedelta(seconds=1)) / 3600)

    def _notify(
        self, account_id: str, details: Mapping[str, Any], notification: Notification, spend: _Spend, moment: datetime
    ) -> None:
        """Send a notification once per period."""
        settings = notification.details
        limit, threshold = Decimal(details["BudgetLimit"]["Amount"]), Decimal(str(settings["Threshold"]))
        if settings.get("ThresholdType", "PERCENTAGE") == "PERCENTAGE":
            threshold = limit * threshold / 100
        amount = spend.actual if settings["NotificationType"] == "ACTUAL" else spend.forecasted
        match settings["ComparisonOperator"]:
            case "GREATER_THAN":
                is_due = amount > threshold
            case "LESS_THAN":
                is_due = amount < threshold
            case _:
                is_due = amount == threshold
        state = vars(notification)
        state["is_alarming"] = is_due
        if not is_due or state.get("sent_for") == spend.period:
            return
        state["sent_for"] = spend.period
        subject = f"AWS Budgets: {details['BudgetName']} has exceeded your alert threshold"
        message = _message(account_id, details, settings, threshold, amount, moment)
        for subscriber in notification.subscribers:
            kind, address = subscriber["SubscriptionType"], subscriber["Address"]
            error = _publish(address, message, subject) if kind == "SNS" else ""
            if error:
                _logger.warning("budget %s could not notify %s: %s", details["BudgetName"], address, error)
            self.sent.append(
                SentNotification(moment, account_id, details["BudgetName"], kind, address, subject, message, error)
            )


def _ends_of_months(start: datetime, end: datetime) -> Iterator[datetime]:
    """The last moments of the months that end between two moments."""
    boundary = next_month(start)
    while boundary <= end:
        yield boundary - timedelta(microseconds=1)
        boundary = next_month(boundary)


def _period(unit: str, moment: datetime) -> tuple[datetime, datetime]:
    """The budget period that contains a moment, UTC."""
    month = month_of(moment)
    match unit:
        case "DAILY":
            start = moment.replace(hour=0, minute=0, second=0, microsecond=0)
            return start, start + timedelta(days=1)
        case "MONTHLY":
            return month, next_month(month)
        case "QUARTERLY":
            start = month.replace(month=(month.month - 1) // 3 * 3 + 1)
            return start, month_of(start + timedelta(days=95))
        case _:
            start = month.replace(month=1)
            return start, start.replace(year=start.year + 1)


def _filter(account_id: str, details: Mapping[str, Any]) -> "LineFilter":
    """The filter of a budget: its FilterExpression, or its CostFilters, all of which apply."""
    active = active_tags(account_id)
    if details.get("FilterExpression"):
        return expression_filter(details["FilterExpression"], active)
    parts: list[dict[str, Any]] = []
    for name, values in (details.get("CostFilters") or {}).items():
        if name in _FILTERS:
            parts.append({"Dimensions": {"Key": _FILTERS[name], "Values": values}})
        elif name == "TagKeyValue":
            tags = [value.removeprefix("user:").partition("$") for value in values]
            parts.append(_any([{"Tags": {"Key": key, "Values": [value]}} for key, _, value in tags]))
        else:
            raise NotImplementedError(f"budgets with the filter {name}")
    return expression_filter({"And": parts} if parts else None, active)


def _any(parts: list[dict[str, Any]]) -> dict[str, Any]:
    return parts[0] if len(parts) == 1 else {"Or": parts}


def _message(
    account_id: str,
    details: Mapping[str, Any],
    settings: Mapping[str, Any],
    threshold: Decimal,
    amount: Decimal,
    moment: datetime,
) -> str:
    """The text of a notification, as AWS sends it."""
    kind, name, operator = settings["NotificationType"], details["BudgetName"], settings["ComparisonOperator"]
    period = _PERIODS[details["TimeUnit"]]
    budgeted = Decimal(details["BudgetLimit"]["Amount"])
    return f"""AWS Budget Notification {moment.astimezone(UTC):%B %d, %Y}
AWS Account {account_id}

Dear AWS Customer,

You requested that we alert you when the {kind} Cost associated with your {name} budget is {_WORDS[operator]} \
${threshold:,.2f} for the current {period}. The {kind} Cost associated with this budget is ${amount:,.2f}. You can \
find additional details below and by accessing the AWS Budgets dashboard [1].

Budget Name: {name}
Budget Type: {details["BudgetType"].capitalize()}
Budgeted Amount: ${budgeted:,.2f}
Alert Type: {kind}
Alert Threshold: {_COMPARISONS[operator]} ${threshold:,.2f}
{kind} Amount: ${amount:,.2f}

[1] https://console.aws.amazon.com/billing/home#/budgets
"""


def _publish(topic_arn: str, message: str, subject: str) -> str:
    """Publish a message; returns why the topic does not accept it."""
    _, _, _, region, owner, _ = topic_arn.split(":", 5)
    topic = sns_backends[owner][region].topics.get(topic_arn)
    if topic is not None and not _may_publish(topic.policy):
        return f"The policy of the topic does not allow {_SERVICE} to publish."
    try:
        publish(topic_arn, message, subject)
    except PublishError as error:
        return str(error)
    return ""


def _may_publish(policy: str) -> bool:
    """Whether a topic's policy allows Budgets to publish ("Creating an Amazon SNS topic for budget notifications")."""
    for statement in json.loads(policy).get("Statement", []):
        principal = statement.get("Principal")
        services = principal.get("Service", []) if isinstance(principal, dict) else []
        actions = statement.get("Action")
        named = [actions] if isinstance(actions, str) else list(actions or ())
        allowed = {action.lower() for action in named} & {"sns:publish", "sns:*", "*"}
        if statement.get("Effect") == "Allow" and allowed and _SERVICE in services:
            return True
    return False
