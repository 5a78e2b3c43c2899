"""The Cost Explorer API: cost anomaly detection and cost allocation tags, as records."""

import json
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from moto.ce.responses import CostExplorerResponse
from moto.core.exceptions import JsonRESTError

__all__ = ["SIMPLIFICATIONS", "CostExplorer"]

SIMPLIFICATIONS = {
    "CreateAnomalyMonitor": "Monitors and subscriptions are stored; no anomalies are detected.",
    "ListCostAllocationTags": "Returned on one page.",
    "UpdateCostAllocationTagsStatus": "Tags can be activated immediately; on AWS about a day after their first use.",
}

_MONITOR_UPDATES = ("MonitorName",)
_SUBSCRIPTION_UPDATES = (
    "Frequency",
    "MonitorArnList",
    "Subscribers",
    "SubscriptionName",
    "Threshold",
    "ThresholdExpression",
)


class CostExplorer(CostExplorerResponse):  # type: ignore[misc]  # moto is untyped
    """The Cost Explorer API. moto's backend holds the records, so that a reset removes them."""

    def create_anomaly_monitor(self) -> str:
        """CreateAnomalyMonitor."""
        monitor = self._get_param("AnomalyMonitor")
        if monitor["MonitorType"] == "DIMENSIONAL":
            if not monitor.get("MonitorDimension"):
                raise _error("ValidationException", "MonitorDimension is required for dimensional monitors")
            if any(other["MonitorType"] == "DIMENSIONAL" for other in self._monitors.values()):
                raise _error("LimitExceededException", "Limit exceeded on dimensional spend monitor creation")
        elif not monitor.get("MonitorSpecification"):
            raise _error("ValidationException", "MonitorSpecification is required for custom monitors")
        today = datetime.now(UTC).date().isoformat()
        arn = self._store(
            self._monitors, "MonitorArn", "anomalymonitor", {**monitor, "CreationDate": today, "LastUpdatedDate": today}
        )
        return json.dumps({"MonitorArn": arn})

    def get_anomaly_monitors(self) -> str:
        """GetAnomalyMonitors."""
        monitors = self._select(self._monitors, self._get_param("MonitorArnList"), _unknown_monitor)
        return json.dumps({"AnomalyMonitors": monitors})

    def update_anomaly_monitor(self) -> str:
        """UpdateAnomalyMonitor: change its name."""
        arn = self._get_param("MonitorArn")
        (monitor,) = self._select(self._monitors, [arn], _unknown_monitor)
        self._change(monitor, _MONITOR_UPDATES)
        monitor["LastUpdatedDate"] = datetime.now(UTC).date().isoformat()
        return json.dumps({"MonitorArn": arn})

    def delete_anomaly_monitor(self) -> str:
        """DeleteAnomalyMonitor."""
        arn = self._get_param("MonitorArn")
        self._select(self._monitors, [arn], _unknown_monitor)
        self._delete(self._monitors, arn)
        return json.dumps({})

    def create_anomaly_subscription(self) -> str:
        """CreateAnomalySubscription."""
        subscription = self._get_param("AnomalySubscription")
        self._check_subscription(subscription)
        arn = self._store(
            self._subscriptions,
            "SubscriptionArn",
            "anomalysubscription",
            {**subscription, "AccountId": self.current_account},
        )
        return json.dumps({"SubscriptionArn": arn})

    def get_anomaly_subscriptions(self) -> str:
        """GetAnomalySubscriptions."""
        subscriptions = self._select(self._subscriptions, self._get_param("SubscriptionArnList"), _unknown_subscription)
        monitor = self._get_param("MonitorArn")
        matching = [item for item in subscriptions if monitor is None or monitor in item["MonitorArnList"]]
        return json.dumps({"AnomalySubscriptions": matching})

    def update_anomaly_subscription(self) -> str:
        """UpdateAnomalySubscription."""
        arn = self._get_param("SubscriptionArn")
        (subscription,) = self._select(self._subscriptions, [arn], _unknown_subscription)
        changed = dict(subscription)
        self._change(changed, _SUBSCRIPTION_UPDATES)
        if self._get_param("ThresholdExpression"):
            changed.pop("Threshold", None)
        self._check_subscription(changed)
        self._subscriptions[arn] = changed
        return json.dumps({"SubscriptionArn": arn})

    def delete_anomaly_subscription(self) -> str:
        """DeleteAnomalySubscription."""
        arn = self._get_param("SubscriptionArn")
        self._select(self._subscriptions, [arn], _unknown_subscription)
        self._delete(self._subscriptions, arn)
        return json.dumps({})

    def update_cost_allocation_tags_status(self) -> str:
        """UpdateCostAllocationTagsStatus."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        for entry in self._get_param("CostAllocationTagsStatus"):
            key = entry["TagKey"]
            kind = "AWSGenerated" if key.startswith("aws:") else "UserDefined"
            tag = self._allocation_tags.setdefault(key, {"TagKey": key, "Type": kind, "LastUsedDate": now})
            tag.update(Status=entry["Status"], LastUpdatedDate=now)
        return json.dumps({"Errors": []})

    def list_cost_allocation_tags(self) -> str:
        """ListCostAllocationTags."""
        keys = self._get_param("TagKeys")
        tags = [
            tag
            for key, tag in self._allocation_tags.items()
            if (not keys or key in keys)
            and self._get_param("Status") in (None, tag["Status"])
            and self._get_param("Type") in (None, tag["Type"])
        ]
        return json.dumps({"CostAllocationTags": tags})

    @property
    def _allocation_tags(self) -> dict[str, dict[str, Any]]:
        tags: dict[str, dict[str, Any]] = self.ce_backend.__dict__.setdefault("cost_allocation_tags", {})
        return tags

    @property
    def _monitors(self) -> dict[str, dict[str, Any]]:
        monitors: dict[str, dict[str, Any]] = self.ce_backend.__dict__.setdefault("anomaly_monitors", {})
        return monitors

    @property
    def _subscriptions(self) -> dict[str, dict[str, Any]]:
        subscriptions: dict[str, dict[str, Any]] = self.ce_backend.__dict__.setdefault("anomaly_subscriptions", {})
        return subscriptions

    def _store(self, records: dict[str, dict[str, Any]], arn_member: str, kind: str, item: dict[str, Any]) -> str:
        arn = f"arn:{self.partition}:ce::{self.current_account}:{kind}/{uuid.uuid4()}"
        records[arn] = {arn_member: arn, **item}
        self.ce_backend.tag_resource(arn, self._get_param("ResourceTags") or [])
        return arn

    def _delete(self, records: dict[str, dict[str, Any]], arn: str) -> None:
        del records[arn]
        self.ce_backend.tagger.delete_all_tags_for_resource(arn)

    def _change(self, item: dict[str, Any], members: Iterable[str]) -> None:
        for member in members:
            value = self._get_param(member)
            if value is not None:
                item[member] = value

    def _check_subscription(self, subscription: dict[str, Any]) -> None:
        if ("Threshold" in subscription) == ("ThresholdExpression" in subscription):
            raise _error("ValidationException", "Either Threshold or ThresholdExpression must be specified")
        kinds = {subscriber["Type"] for subscriber in subscription["Subscribers"]}
        if ("SNS" in kinds) != (subscription["Frequency"] == "IMMEDIATE"):
            raise _error(
                "ValidationException",
                "SNS subscribers need the frequency IMMEDIATE, and email subscribers DAILY or WEEKLY",
            )
        self._select(self._monitors, subscription["MonitorArnList"], _unknown_monitor)

    @staticmethod
    def _select(
        records: dict[str, dict[str, Any]], arns: list[str] | None, unknown: Callable[[str], JsonRESTError]
    ) -> list[dict[str, Any]]:
        if not arns:
            return list(records.values())
        for arn in arns:
            if arn not in records:
                raise unknown(arn)
        return [records[arn] for arn in arns]


def _error(code: str, message: str) -> JsonRESTError:
    return JsonRESTError(code, message)


def _unknown_monitor(arn: str) -> JsonRESTError:
    return JsonRESTError("UnknownMonitorException", f"Unknown anomaly monitor: {arn}")


def _unknown_subscription(arn: str) -> JsonRESTError:
    return JsonRESTError("UnknownSubscriptionException", f"Unknown anomaly subscription: {arn}")
