"""Cost Anomaly Detection: monitors and subscriptions, kept and described. Nothing is detected here."""

import json
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from moto.ce.responses import CostExplorerResponse
from moto.core.exceptions import JsonRESTError

_MONITOR_UPDATES = ("MonitorName",)
_SUBSCRIPTION_UPDATES = (
    "Frequency",
    "MonitorArnList",
    "Subscribers",
    "SubscriptionName",
    "Threshold",
    "ThresholdExpression",
)


class CostAnomalies(CostExplorerResponse):  # type: ignore[misc]  # moto is untyped
    """The part of the Cost Explorer API that Cost Anomaly Detection is in."""

    def create_anomaly_monitor(self) -> str:
        """CreateAnomalyMonitor."""
        monitor = self._get_param("AnomalyMonitor")
        if monitor["MonitorType"] == "DIMENSIONAL":
            if not monitor.get("MonitorDimension"):
                raise _refused("ValidationException", "MonitorDimension is required for dimensional monitors")
            if any(other["MonitorType"] == "DIMENSIONAL" for other in self._monitors.values()):
                raise _refused("LimitExceededException", "Limit exceeded on dimensional spend monitor creation")
        elif not monitor.get("MonitorSpecification"):
            raise _refused("ValidationException", "MonitorSpecification is required for custom monitors")
        today = datetime.now(UTC).date().isoformat()
        arn = self._keep(
            self._monitors, "MonitorArn", "anomalymonitor", {**monitor, "CreationDate": today, "LastUpdatedDate": today}
        )
        return json.dumps({"MonitorArn": arn})

    def get_anomaly_monitors(self) -> str:
        """GetAnomalyMonitors."""
        found = self._chosen(self._monitors, self._get_param("MonitorArnList"), _unknown_monitor)
        return json.dumps({"AnomalyMonitors": found})

    def update_anomaly_monitor(self) -> str:
        """UpdateAnomalyMonitor: its name."""
        arn = self._get_param("MonitorArn")
        (monitor,) = self._chosen(self._monitors, [arn], _unknown_monitor)
        self._change(monitor, _MONITOR_UPDATES)
        monitor["LastUpdatedDate"] = datetime.now(UTC).date().isoformat()
        return json.dumps({"MonitorArn": arn})

    def delete_anomaly_monitor(self) -> str:
        """DeleteAnomalyMonitor."""
        arn = self._get_param("MonitorArn")
        self._chosen(self._monitors, [arn], _unknown_monitor)
        self._drop(self._monitors, arn)
        return json.dumps({})

    def create_anomaly_subscription(self) -> str:
        """CreateAnomalySubscription."""
        subscription = self._get_param("AnomalySubscription")
        self._check(subscription)
        arn = self._keep(
            self._subscriptions,
            "SubscriptionArn",
            "anomalysubscription",
            {**subscription, "AccountId": self.current_account},
        )
        return json.dumps({"SubscriptionArn": arn})

    def get_anomaly_subscriptions(self) -> str:
        """GetAnomalySubscriptions."""
        found = self._chosen(self._subscriptions, self._get_param("SubscriptionArnList"), _unknown_subscription)
        monitor = self._get_param("MonitorArn")
        chosen = [item for item in found if monitor is None or monitor in item["MonitorArnList"]]
        return json.dumps({"AnomalySubscriptions": chosen})

    def update_anomaly_subscription(self) -> str:
        """UpdateAnomalySubscription."""
        arn = self._get_param("SubscriptionArn")
        (subscription,) = self._chosen(self._subscriptions, [arn], _unknown_subscription)
        changed = dict(subscription)
        self._change(changed, _SUBSCRIPTION_UPDATES)
        if self._get_param("ThresholdExpression"):
            changed.pop("Threshold", None)
        self._check(changed)
        self._subscriptions[arn] = changed
        return json.dumps({"SubscriptionArn": arn})

    def delete_anomaly_subscription(self) -> str:
        """DeleteAnomalySubscription."""
        arn = self._get_param("SubscriptionArn")
        self._chosen(self._subscriptions, [arn], _unknown_subscription)
        self._drop(self._subscriptions, arn)
        return json.dumps({})

    @property
    def _monitors(self) -> dict[str, dict[str, Any]]:
        # moto's backend carries them, so that they go when its state is reset.
        monitors: dict[str, dict[str, Any]] = self.ce_backend.__dict__.setdefault("anomaly_monitors", {})
        return monitors

    @property
    def _subscriptions(self) -> dict[str, dict[str, Any]]:
        subscriptions: dict[str, dict[str, Any]] = self.ce_backend.__dict__.setdefault("anomaly_subscriptions", {})
        return subscriptions

    def _keep(self, kept: dict[str, dict[str, Any]], arn_member: str, kind: str, item: dict[str, Any]) -> str:
        arn = f"arn:{self.partition}:ce::{self.current_account}:{kind}/{uuid.uuid4()}"
        kept[arn] = {arn_member: arn, **item}
        self.ce_backend.tag_resource(arn, self._get_param("ResourceTags") or [])
        return arn

    def _drop(self, kept: dict[str, dict[str, Any]], arn: str) -> None:
        del kept[arn]
        self.ce_backend.tagger.delete_all_tags_for_resource(arn)

    def _change(self, item: dict[str, Any], members: Iterable[str]) -> None:
        for member in members:
            value = self._get_param(member)
            if value is not None:
                item[member] = value

    def _check(self, subscription: dict[str, Any]) -> None:
        if ("Threshold" in subscription) == ("ThresholdExpression" in subscription):
            raise _refused("ValidationException", "Either Threshold or ThresholdExpression must be specified")
        kinds = {subscriber["Type"] for subscriber in subscription["Subscribers"]}
        if ("SNS" in kinds) != (subscription["Frequency"] == "IMMEDIATE"):
            raise _refused(
                "ValidationException", "SNS subscribers need the frequency IMMEDIATE, and email ones DAILY or WEEKLY"
            )
        self._chosen(self._monitors, subscription["MonitorArnList"], _unknown_monitor)

    @staticmethod
    def _chosen(
        kept: dict[str, dict[str, Any]], arns: list[str] | None, unknown: Callable[[str], JsonRESTError]
    ) -> list[dict[str, Any]]:
        if not arns:
            return list(kept.values())
        for arn in arns:
            if arn not in kept:
                raise unknown(arn)
        return [kept[arn] for arn in arns]


def _refused(code: str, message: str) -> JsonRESTError:
    return JsonRESTError(code, message)


def _unknown_monitor(arn: str) -> JsonRESTError:
    return JsonRESTError("UnknownMonitorException", f"Unknown anomaly monitor: {arn}")


def _unknown_subscription(arn: str) -> JsonRESTError:
    return JsonRESTError("UnknownSubscriptionException", f"Unknown anomaly subscription: {arn}")
