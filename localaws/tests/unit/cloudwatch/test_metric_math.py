"""Expressions over metrics, and what is refused by name."""

from datetime import UTC, datetime, timedelta

import pytest

from localaws.services.cloudwatch.metric_math import ExpressionError, evaluate_expression

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
GRID = [NOON + timedelta(minutes=minute) for minute in range(3)]
BAD = {GRID[0]: 1.0, GRID[2]: 4.0}
ALL = {GRID[0]: 10.0, GRID[1]: 20.0, GRID[2]: 0.0}


def values(expression: str) -> list[float | None]:
    result = evaluate_expression(expression, {"bad": BAD, "all": ALL}, GRID)
    assert isinstance(result, dict)
    return [result.get(at) for at in GRID]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("all/1000", [0.01, 0.02, 0]),
        ("100 * bad / all", [10, None, None]),
        ("bad + all * 2 - 1", [20, None, 3]),
        ("(bad + all) * 2", [22, None, 8]),
        ("-bad", [-1, None, -4]),
        ("2 ^ bad", [2, None, 16]),
        ("FILL(bad, 0)", [1, 0, 4]),
        ("FILL(bad, all)", [1, 20, 4]),
        ("IF(all > 5, bad, 0)", [1, None, 0]),
        ("IF(FILL(bad, 0) >= 1 AND all < 15, 1)", [1, None, 1]),
        ("SUM(METRICS())", [11, 20, 4]),
        ("SUM([bad, all])", [11, 20, 4]),
        ('MAX(METRICS("b"))', [1, None, 4]),
        ("AVG(METRICS())", [5.5, 20, 2]),
        ("all - MIN(all)", [10, 20, 0]),
        ("ABS(bad - all)", [9, None, 4]),
        ("all != 10", [0, 1, 1]),
    ],
)
def test_expressions(expression: str, expected: list[float | None]) -> None:
    assert values(expression) == expected


@pytest.mark.parametrize("expression", ["bad +", "(bad", "nothing", "bad all", "bad ? 1", "", "SUM()", "IF(1, 2, 3)"])
def test_wrong_expressions(expression: str) -> None:
    with pytest.raises(ExpressionError):
        values(expression)


@pytest.mark.parametrize("function", ["RATE", "ANOMALY_DETECTION_BAND", "SEARCH"])
def test_what_is_not_implemented_is_named(function: str) -> None:
    with pytest.raises(NotImplementedError, match=function):
        values(f"{function}(bad)")
