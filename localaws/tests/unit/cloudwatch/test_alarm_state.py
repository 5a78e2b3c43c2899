"""M of N, missing data and early alarms, by the tables of CloudWatch's user guide."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, strategies as st

from localaws.services.cloudwatch.alarm_state import Condition, Reading, evaluate

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
KEPT = None


def condition(datapoints: int, treat: str = "missing", periods: int = 3) -> Condition:
    return Condition("GreaterThanThreshold", 1.0, periods, datapoints, treat)


def periods(drawn: str) -> list[Reading | None]:
    """``0 - X``: fine, missing, breaching; the latest last, as in the guide."""
    values = {"0": 0.0, "X": 5.0}
    count = len(drawn.split())
    drawings = enumerate(drawn.split())
    readings = [
        Reading(NOON - timedelta(minutes=count - at), values[sign], 1.0) if sign in values else None
        for at, sign in drawings
    ]
    return readings[::-1]


# "Configuring how CloudWatch alarms treat missing data": both tables, with a range of 5 for 3 evaluation periods.
TREATMENTS = ("missing", "ignore", "breaching", "notBreaching")
TABLES = [
    (3, "0 - X - X", ("OK", "OK", "OK", "OK")),
    (3, "- - - - 0", ("OK", "OK", "OK", "OK")),
    (3, "- - - - -", ("INSUFFICIENT_DATA", KEPT, "ALARM", "OK")),
    (3, "0 X X - X", ("ALARM", "ALARM", "ALARM", "ALARM")),
    (3, "- - X - -", ("ALARM", KEPT, "ALARM", "OK")),
    (2, "0 - X - X", ("ALARM", "ALARM", "ALARM", "ALARM")),
    (2, "0 0 X 0 X", ("ALARM", "ALARM", "ALARM", "ALARM")),
    (2, "0 - X - -", ("OK", "OK", "ALARM", "OK")),
    (2, "- - - - 0", ("OK", "OK", "ALARM", "OK")),
    (2, "- - - X -", ("ALARM", KEPT, "ALARM", "OK")),
]


@pytest.mark.parametrize(("datapoints", "drawn", "states"), TABLES)
def test_the_guide_s_tables(datapoints: int, drawn: str, states: tuple[str | None, ...]) -> None:
    for treat, expected in zip(TREATMENTS, states, strict=True):
        verdict = evaluate(condition(datapoints, treat), periods(drawn))
        assert (verdict and verdict.state) == expected, treat


@pytest.mark.parametrize("drawn", ["- - - - X", "- - - X -"])
def test_one_breach_of_three_does_not_alarm_too_early(drawn: str) -> None:
    verdict = evaluate(condition(3), periods(drawn))
    assert verdict is not None
    assert verdict.state != "ALARM"


@given(st.lists(st.sampled_from("0X"), min_size=3, max_size=8), st.integers(1, 3), st.sampled_from(TREATMENTS))
def test_with_all_data_only_the_last_periods_count(signs: list[str], datapoints: int, treat: str) -> None:
    verdict = evaluate(condition(datapoints, treat), periods(" ".join(signs)))
    assert verdict is not None
    assert (verdict.state == "ALARM") == (signs[-3:].count("X") >= datapoints)


@given(st.lists(st.sampled_from("0X-"), min_size=5, max_size=5), st.integers(1, 3))
def test_treatments_are_ordered(signs: list[str], datapoints: int) -> None:
    """What alarms when missing data is fine alarms however it is treated; breaching alarms wherever another does."""
    states = {}
    for treat in TREATMENTS:
        verdict = evaluate(condition(datapoints, treat), periods(" ".join(signs)))
        states[treat] = verdict.state if verdict else "OK"
    if states["notBreaching"] == "ALARM":
        assert set(states.values()) == {"ALARM"}
    if "ALARM" in states.values():
        assert states["breaching"] == "ALARM"


@pytest.mark.parametrize(
    ("comparison", "breaching"),
    [
        ("GreaterThanThreshold", [2.0]),
        ("GreaterThanOrEqualToThreshold", [1.0, 2.0]),
        ("LessThanThreshold", [0.0]),
        ("LessThanOrEqualToThreshold", [0.0, 1.0]),
    ],
)
def test_operators(comparison: str, breaching: list[float]) -> None:
    alarm = Condition(comparison, 1.0, 1, 1)
    assert [value for value in (0.0, 1.0, 2.0) if alarm.breaches(value)] == breaching


def reason(datapoints: int, treat: str, drawn: str, count: int = 3) -> str:
    verdict = evaluate(condition(datapoints, treat, count), periods(drawn))
    assert verdict is not None
    return verdict.reason


def test_reasons_are_worded_as_by_cloudwatch() -> None:
    assert reason(1, "missing", "X", 1) == (
        "Threshold Crossed: 1 out of the last 1 datapoints [5.0 (31/01/26 11:59:00)] was greater than the threshold "
        "(1.0) (minimum 1 datapoint for OK -> ALARM transition)."
    )
    assert reason(2, "missing", "0 0 0") == (
        "Threshold Crossed: 3 out of the last 3 datapoints [0.0 (31/01/26 11:59:00), 0.0 (31/01/26 11:58:00), "
        "0.0 (31/01/26 11:57:00)] were not greater than the threshold (1.0) (minimum 2 datapoints for ALARM -> OK "
        "transition)."
    )
    assert reason(1, "missing", "-", 1) == "Insufficient Data: 1 datapoint was unknown."
    assert reason(1, "notBreaching", "-", 1) == (
        "Threshold Crossed: no datapoints were received for 1 period and 1 missing datapoint was treated as "
        "[NonBreaching]."
    )
    assert reason(2, "breaching", "- - - - 0") == (
        "Threshold Crossed: 1 datapoint was received for 3 periods and 2 missing datapoints were treated as "
        "[Breaching]."
    )
