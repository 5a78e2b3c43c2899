"""The Cost Explorer API: costs of metered usage; cost anomaly detection and cost allocation tags, as records."""

import json
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from moto.ce.responses import CostExplorerResponse
from moto.core.exceptions import JsonRESTError

from localaws.metering.filters import InvalidQuery, dimension_of, expression_filter, tag_of
from localaws.metering.forecast import HISTORY, cost_per_hour
from localaws.metering.usage import HOUR
from localaws.services.ce.allocation_tags import active_tags, allocation_tags
from localaws.services.ce.cost_query import CostQuery, format_amount, parse_period

if TYPE_CHECKING:
    from localaws.metering.meter import Meter
    from localaws.metering.prices import UsagePrices
    from localaws.metering.usage import Usage

__all__ = ["SIMPLIFICATIONS", "CostExplorer"]

SIMPLIFICATIONS = {
    "GetCostAndUsage": (
        "Usage appears immediately, or after LOCALAWS_COST_DELAY_SECONDS; on AWS after up to 24 hours. Metered are "
        "endpoints without their volumes, Bedrock, S3 Vectors, functions and metric alarms, at the prices of the price "
        "book, without free tiers and discounts. Usage without a price counts as quantity only."
    ),
    "GetCostForecast": "Continues the costs of the last seven days; no prediction interval.",
    "CreateAnomalyMonitor": "Monitors and subscriptions are stored; no anomalies are detected.",
    "ListCostAllocationTags": "Returned on one page.",
    "UpdateCostAllocationTagsStatus": "Tags can be activated immediately; on AWS about a day after their first use.",
}

#: Most groups on a page of GetCostAndUsage. AWS does not document its number.
_PAGE_GROUPS = 1000
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

    meter: ClassVar["Meter"]
    prices: ClassVar["UsagePrices"]

    def get_cost_and_usage(self) -> str:
        """GetCostAndUsage. Results that a test has put into moto's queue take precedence."""
        if self.ce_backend.cost_usage_results_queue or self.ce_backend.cost_usage_results:
            return str(super().get_cost_and_usage())
        now = self.meter.time.now()
        query = CostQuery.parse(json.loads(self.body), now)
        usage = self.meter.usage(self.current_account, query.start, query.end)
        results = query.run(usage, self.prices, active_tags(self.current_account), now)
        results, more = _page(results, self._get_param("NextPageToken"))
        groups = {"GroupDefinitions": list(query.groups)} if query.groups else {}
        return json.dumps({**groups, "ResultsByTime": results, "DimensionValueAttributes": [], **more})

    def get_dimension_values(self) -> str:
        """GetDimensionValues."""
        name, search = self._get_param("Dimension"), self._get_param("SearchString") or ""
        values = {dimension_of(name, each.line) for each in self._usage()}
        found = [{"Value": value, "Attributes": {}} for value in sorted(values) if search.lower() in value.lower()]
        return json.dumps({"DimensionValues": found, "ReturnSize": len(found), "TotalSize": len(found)})

    def get_tags(self) -> str:
        """GetTags: the activated keys, or the values of one."""
        key, search = self._get_param("TagKey"), self._get_param("SearchString") or ""
        active = active_tags(self.current_account)
        usage = self._usage()
        if key:
            tags = {tag_of(key, each.line, active) for each in usage}
        else:
            tags = {name for each in usage for name, _ in each.line.tags if name in active}
        found = [tag for tag in sorted(tags) if search.lower() in tag.lower()]
        return json.dumps({"Tags": found, "ReturnSize": len(found), "TotalSize": len(found)})

    def get_cost_forecast(self) -> str:
        """GetCostForecast."""
        now, granularity = self.meter.time.now(), self._get_param("Granularity")
        start, end = parse_period(self._get_param("TimePeriod"), granularity)
        if start < now.replace(hour=0, minute=0, second=0, microsecond=0):
            raise InvalidQuery("Start date should be the current date or a future date")
        usage = self._usage(now - HISTORY, now + HOUR)
        if not usage:
            message = "Insufficient amount of historical data to generate forecast"
            raise _error("DataUnavailableException", message)
        rate = cost_per_hour(usage, self.prices, now)
        periods = CostQuery(start, end, granularity, (), (), None).run([], self.prices, (), now)
        amounts = [
            (each["TimePeriod"], rate * ((last - first) // HOUR))
            for each in periods
            for first, last in [parse_period(each["TimePeriod"], granularity)]
        ]
        forecast = [{"TimePeriod": period, "MeanValue": format_amount(amount)} for period, amount in amounts]
        total = {"Amount": format_amount(rate * ((end - start) // HOUR)), "Unit": "USD"}
        return json.dumps({"Total": total, "ForecastResultsByTime": forecast})

    def _usage(self, start: datetime | None = None, end: datetime | None = None) -> "list[Usage]":
        """The account's usage that matches the request's filter, in a time; by default, in the request's."""
        if start is None or end is None:
            start, end = parse_period(self._get_param("TimePeriod"), "DAILY")
        is_included = expression_filter(self._get_param("Filter"), active_tags(self.current_account))
        return [each for each in self.meter.usage(self.current_account, start, end) if is_included(each.line)]

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
        return allocation_tags(self.current_account)

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


def _page(results: list[dict[str, Any]], token: str | None) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """One page of whole periods, and the token of the next one."""
    first = int(token) if token and token.isdecimal() else 0
    last, groups = first, 0
    while last < len(results) and (last == first or groups + len(results[last]["Groups"]) <= _PAGE_GROUPS):
        groups += len(results[last]["Groups"])
        last += 1
    return results[first:last], ({"NextPageToken": str(last)} if last < len(results) else {})


def _error(code: str, message: str) -> JsonRESTError:
    return JsonRESTError(code, message)


def _unknown_monitor(arn: str) -> JsonRESTError:
    return JsonRESTError("UnknownMonitorException", f"Unknown anomaly monitor: {arn}")


def _unknown_subscription(arn: str) -> JsonRESTError:
    return JsonRESTError("UnknownSubscriptionException", f"Unknown anomaly subscription: {arn}")
