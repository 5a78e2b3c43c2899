"""Metric math: expressions over metrics, as far as alarms and dashboards of embeddings need them.

The language is in the CloudWatch user guide, "Using math expressions with CloudWatch metrics". What is not implemented
(``RATE``, ``SEARCH``, ``ANOMALY_DETECTION_BAND``, Metrics Insights, …) is refused by its name.
"""

import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

#: One time series: the value at each period's start.
TimeSeries = dict[datetime, float]
Value = float | TimeSeries | list[TimeSeries]

_TOKEN = re.compile(
    r"""\s*(?:(?P<number>\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+)|(?P<name>[A-Za-z][A-Za-z0-9_]*)
    |(?P<text>"[^"]*"|'[^']*')|(?P<sign><=|>=|==|!=|&&|\|\||[-+*/^()<>,\[\]!]))""",
    re.VERBOSE,
)
#: By precedence, the weakest first.
_OPERATORS: list[dict[str, Callable[[float, float], float]]] = [
    {"||": lambda a, b: float(bool(a) or bool(b)), "OR": lambda a, b: float(bool(a) or bool(b))},
    {"&&": lambda a, b: float(bool(a) and bool(b)), "AND": lambda a, b: float(bool(a) and bool(b))},
    {"==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge},
    {"+": operator.add, "-": operator.sub},
    {"*": operator.mul, "/": operator.truediv},
    {"^": operator.pow},
]
_AGGREGATES: dict[str, Callable[[Sequence[float]], float]] = {
    "AVG": lambda values: math.fsum(values) / len(values),
    "MAX": max,
    "MIN": min,
    "SUM": math.fsum,
}
_ELEMENTWISE: dict[str, Callable[[float], float]] = {"ABS": abs, "CEIL": math.ceil, "FLOOR": math.floor}


class ExpressionError(ValueError):
    """The expression is no metric math."""


def evaluate_expression(expression: str, series: Mapping[str, TimeSeries], grid: Sequence[datetime]) -> Value:
    """Compute an expression.

    Args:
        expression: Such as ``100 * errors / FILL(requests, 0)``.
        series: The other queries' results, by their ids.
        grid: The starts of all periods asked for, which FILL fills.

    Returns:
        A time series, a number, or several time series.

    Raises:
        ExpressionError: It does not parse, or names an id that is not there.
        NotImplementedError: It is metric math that is not implemented here.
    """
    return _Evaluation(expression, series, grid).result()


class _Evaluation:
    """One pass over an expression, which computes while it parses."""

    def __init__(self, expression: str, series: Mapping[str, TimeSeries], grid: Sequence[datetime]) -> None:
        self._expression = expression
        self._series = series
        self._grid = grid
        self._tokens = _tokens(expression)
        self._at = 0

    def result(self) -> Value:
        value = self._binary(0)
        if self._at < len(self._tokens):
            raise self._error()
        return value

    def _binary(self, level: int) -> Value:
        if level == len(_OPERATORS):
            return self._unary()
        left = self._binary(level + 1)
        while (token := self._peek()) in _OPERATORS[level]:
            self._at += 1
            left = _combined(_OPERATORS[level][token], left, self._binary(level + 1))
        return left

    def _unary(self) -> Value:
        if self._peek() == "-":
            self._at += 1
            return _mapped(operator.neg, self._unary())
        if self._peek() == "!":
            self._at += 1
            return _mapped(lambda value: float(not value), self._unary())
        return self._primary()

    def _primary(self) -> Value:
        word = self._take()
        if word == "(":
            value = self._binary(0)
            self._expect(")")
            return value
        if word == "[":
            return [_as_series(value) for value in self._arguments("]")]
        if word[0].isdigit() or word[0] == ".":
            return float(word)
        if not word[0].isalpha():
            raise self._error()
        if self._peek() == "(":
            self._at += 1
            return self._call(word.upper())
        if word not in self._series:
            raise ExpressionError(f"Error in expression: Undefined variable {word}")
        return self._series[word]

    def _call(self, function: str) -> Value:
        if function == "METRICS":
            part = "" if self._peek() == ")" else self._take().strip("\"'")
            self._expect(")")
            return [found for name, found in self._series.items() if part in name]
        if function == "FILL":
            return self._fill()
        if function not in {"IF", *_AGGREGATES, *_ELEMENTWISE}:
            raise NotImplementedError(f"the metric math function {function}")
        arguments = self._arguments(")")
        if function == "IF" and len(arguments) in (2, 3):
            return self._if(*arguments)
        if len(arguments) != 1:
            raise self._error()
        if function in _AGGREGATES:
            return _aggregated(_AGGREGATES[function], arguments[0])
        return _mapped(_ELEMENTWISE[function], arguments[0])

    def _fill(self) -> Value:
        filled = self._binary(0)
        self._expect(",")
        if self._peek() in ("REPEAT", "LINEAR"):
            raise NotImplementedError(f"FILL with {self._peek()}")
        by = self._binary(0)
        self._expect(")")
        parts = filled if isinstance(filled, list) else [_as_series(filled)]
        values = [{at: series.get(at, _at(by, at)) for at in self._grid} for series in parts]
        known = [{at: value for at, value in series.items() if value is not None} for series in values]
        return known if isinstance(filled, list) else known[0]

    def _if(self, condition: Value, then: Value, otherwise: Value | None = None) -> Value:
        moments = {at for part in (condition, then, otherwise) if isinstance(part, dict) for at in part}
        if not moments:
            raise ExpressionError("Error in expression: IF needs a time series")
        chosen: TimeSeries = {}
        for at in sorted(moments):
            holds = _at(condition, at)
            taken = None if holds is None else _at(then if holds else otherwise, at)
            if taken is not None:
                chosen[at] = taken
        return chosen

    def _arguments(self, end: str) -> list[Value]:
        arguments = [self._binary(0)]
        while self._peek() == ",":
            self._at += 1
            arguments.append(self._binary(0))
        self._expect(end)
        return arguments

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self) -> str:
        token = self._peek()
        if not token:
            raise self._error()
        self._at += 1
        return token

    def _expect(self, token: str) -> None:
        if self._take() != token:
            raise self._error()

    def _error(self) -> ExpressionError:
        return ExpressionError(f"Error in expression: Unable to parse {self._expression}")


def _tokens(expression: str) -> list[str]:
    tokens, at = [], 0
    while at < len(expression.rstrip()):
        match = _TOKEN.match(expression, at)
        if match is None:
            raise ExpressionError(f"Error in expression: Unable to parse {expression}")
        tokens.append(match[0].strip())
        at = match.end()
    return tokens


def _combined(compute: Callable[[float, float], float], left: Value, right: Value) -> Value:
    """Element by element: a datapoint where both have one, none where it cannot be computed (a division by zero)."""
    if isinstance(left, list) or isinstance(right, list):
        parts = left if isinstance(left, list) else right if isinstance(right, list) else []
        if isinstance(left, list) and isinstance(right, list):
            raise ExpressionError("Error in expression: An operator cannot take two arrays of time series")
        if isinstance(left, list):
            return [_as_series(_combined(compute, part, right)) for part in parts]
        return [_as_series(_combined(compute, left, part)) for part in parts]
    if not isinstance(left, dict) and not isinstance(right, dict):
        return _computed(compute, left, right) or 0.0
    moments = left if isinstance(left, dict) else _as_series(right)
    found = {at: _computed(compute, _at(left, at), _at(right, at)) for at in moments}
    return {at: value for at, value in found.items() if value is not None}


def _computed(compute: Callable[[float, float], float], left: float | None, right: float | None) -> float | None:
    if left is None or right is None:
        return None
    try:
        return float(compute(left, right))
    except (ArithmeticError, TypeError):
        return None


def _mapped(compute: Callable[[float], float], value: Value) -> Value:
    if isinstance(value, list):
        return [{at: float(compute(item)) for at, item in series.items()} for series in value]
    if isinstance(value, dict):
        return {at: float(compute(item)) for at, item in value.items()}
    return float(compute(value))


def _aggregated(compute: Callable[[Sequence[float]], float], value: Value) -> Value:
    """Of several time series, one; of one time series, a number."""
    if isinstance(value, list):
        moments: Iterable[datetime] = sorted({at for series in value for at in series})
        return {at: compute([series[at] for series in value if at in series]) for at in moments}
    if isinstance(value, dict):
        return compute(list(value.values())) if value else {}
    return value


def _at(value: Value | None, moment: datetime) -> float | None:
    if isinstance(value, list):
        raise ExpressionError("Error in expression: An array of time series cannot be used here")
    return value.get(moment) if isinstance(value, dict) else value


def _as_series(value: Value) -> TimeSeries:
    if not isinstance(value, dict):
        raise ExpressionError("Error in expression: A time series is needed here")
    return value
