"""Alarm evaluation: M out of N, missing data and early alarms, by the tables of CloudWatch's user guide."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, strategies as st

from localaws.services.cloudwatch.alarm_evaluation import Condition, Reading, evaluate

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
UNCHANGED = None


def condition(datapoints: int, treat: str = "missing", periods: int = 3) -> Condition:
    return Condition("GreaterThanThreshold", 1.0, periods, datapoints, treat)


def periods(drawn: str) -> list[Reading | None]:
    """``0 - X`` means OK, missing, breaching; latest last, as in the user guide."""
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
    (3, "- - - - -", ("INSUFFICIENT_DATA", UNCHANGED, "ALARM", "OK")),
    (3, "0 X X - X", ("ALARM", "ALARM", "ALARM", "ALARM")),
    (3, "- - X - -", ("ALARM", UNCHANGED, "ALARM", "OK")),
    (2, "0 - X - X", ("ALARM", "ALARM", "ALARM", "ALARM")),
    (2, "0 0 X 0 X", ("ALARM", "ALARM", "ALARM", "ALARM")),
    (2, "0 - X - -", ("OK", "OK", "ALARM", "OK")),
    (2, "- - - - 0", ("OK", "OK", "ALARM", "OK")),
    (2, "- - - X -", ("ALARM", UNCHANGED, "ALARM", "OK")),
]


@pytest.mark.parametrize(("datapoints", "drawn", "states"), TABLES)
def test_evaluate_matches_the_user_guide(datapoints: int, drawn: str, states: tuple[str | None, ...]) -> None:
    for treat, expected in zip(TREATMENTS, states, strict=True):
        evaluation = evaluate(condition(datapoints, treat), periods(drawn))
        assert (evaluation and evaluation.state) == expected, treat


@pytest.mark.parametrize("drawn", ["- - - - X", "- - - X -"])
def test_evaluate_does_not_alarm_on_one_breach_of_three(drawn: str) -> None:
    evaluation = evaluate(condition(3), periods(drawn))
    assert evaluation is not None
    assert evaluation.state != "ALARM"


@given(st.lists(st.sampled_from("0X"), min_size=3, max_size=8), st.integers(1, 3), st.sampled_from(TREATMENTS))
def test_evaluate_without_missing_data_uses_the_last_periods(signs: list[str], datapoints: int, treat: str) -> None:
    evaluation = evaluate(condition(datapoints, treat), periods(" ".join(signs)))
    assert evaluation is not None
    assert (evaluation.state == "ALARM") == (signs[-3:].count("X") >= datapoints)


@given(st.lists(st.sampled_from("0X-"), min_size=5, max_size=5), st.integers(1, 3))
def test_evaluate_orders_treatments_of_missing_data(signs: list[str], datapoints: int) -> None:
    """An alarm with notBreaching alarms with every treatment; breaching alarms whenever another treatment does."""
    states = {}
    for treat in TREATMENTS:
        evaluation = evaluate(condition(datapoints, treat), periods(" ".join(signs)))
        states[treat] = evaluation.state if evaluation else "OK"
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
def test_condition_breaches_by_its_operator(comparison: str, breaching: list[float]) -> None:
    alarm = Condition(comparison, 1.0, 1, 1)
    assert [value for value in (0.0, 1.0, 2.0) if alarm.breaches(value)] == breaching


def reason(datapoints: int, treat: str, drawn: str, count: int = 3) -> str:
    evaluation = evaluate(condition(datapoints, treat, count), periods(drawn))
    assert evaluation is not None
    return evaluation.reason


def test_evaluate_words_reasons_like_cloudwatch() -> None:
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
