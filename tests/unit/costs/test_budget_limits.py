"""Which budgets settings describe, and for which months."""

from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from embedstack.costs.attribution import Attribution
from embedstack.costs.budget_limits import Budget, BudgetLimits, Month, budgets_of, limit_of
from embedstack.errors import ConfigurationError
from embedstack.settings.settings import load_settings


def limits(**settings: object) -> BudgetLimits:
    return BudgetLimits.from_settings(load_settings(**settings))


@pytest.mark.parametrize("value", ["-1", "NaN", "inf", "10,00", "1000001", "ten"])
def test_budget_limit_rejects_what_is_no_amount(value):
    with pytest.raises(ConfigurationError, match="AWS_COST_BUDGET_LIMIT: Write US dollars"):
        load_settings(aws_cost_budget_limit=value)


@pytest.mark.parametrize("value", ["0.8", 0.8, "0.80"])
def test_alert_threshold_asks_what_a_fraction_means(value):
    with pytest.raises(ConfigurationError, match=r"AWS_BILLING_ALERT_THRESHOLD: Is it 80 % or 0.80? %\?"):
        load_settings(aws_billing_alert_threshold=value)


@pytest.mark.parametrize("value", ["0", "150", "-5", "nan", "80%"])
def test_alert_threshold_rejects_what_is_no_percentage(value):
    with pytest.raises(ConfigurationError, match="Write a percentage from 1 to 100"):
        load_settings(aws_billing_alert_threshold=value)


@pytest.mark.parametrize("value", ["[]", "x", '{"alice": -1}', '{"alice": NaN}', '{"alice": "10,00"}', '{" ": 1}'])
def test_named_budgets_reject_bad_json_and_bad_amounts(value):
    with pytest.raises(ConfigurationError, match="COSTS_KEY_BUDGETS"):
        load_settings(costs_key_budgets=value)


def test_budget_time_zone_must_exist():
    with pytest.raises(ConfigurationError, match="COSTS_TIME_ZONE: Write an IANA time zone"):
        load_settings(costs_time_zone="Mars/Olympus")


def test_budgets_of_a_call_are_those_of_month_key_and_context():
    configured = limits(
        aws_cost_budget_limit="220", costs_key_budgets='{"alice": 5, "*": 1.50}', costs_context_budgets='{"code": 0}'
    ).limits
    budgets = budgets_of(Attribution(key="alice", context="docs"), configured)
    assert budgets == [Budget("month"), Budget("key", "alice")]
    assert [limit_of(budget, configured) for budget in budgets] == [220, 5]
    assert budgets_of(Attribution(), configured) == [Budget("month")]
    others = budgets_of(Attribution(key="bob", context="code"), configured)
    assert [limit_of(budget, configured) for budget in others] == [220, Decimal("1.50"), 0]


def test_no_budget_is_configured_by_default():
    assert limits().limits == {}


@pytest.mark.parametrize(
    ("moment", "zone", "start", "end"),
    [
        (datetime(2026, 12, 31, 23, 59, tzinfo=UTC), "UTC", "2026-12-01T00:00Z", "2027-01-01T00:00Z"),
        (datetime(2026, 12, 31, 23, 59, tzinfo=UTC), "Europe/Berlin", "2026-12-31T23:00Z", "2027-01-31T23:00Z"),
        (datetime(2026, 3, 15, tzinfo=UTC), "Europe/Berlin", "2026-02-28T23:00Z", "2026-03-31T22:00Z"),
        (datetime(2028, 2, 29, tzinfo=UTC), "Asia/Kolkata", "2028-01-31T18:30Z", "2028-02-29T18:30Z"),
    ],
)
def test_month_begins_at_midnight_of_its_zone(moment, zone, start, end):
    month = Month.at(moment.timestamp(), UTC if zone == "UTC" else ZoneInfo(zone))
    assert month.start == datetime.fromisoformat(start).timestamp()
    assert month.end == datetime.fromisoformat(end).timestamp()
