"""Filters as SQL. Names and values are query parameters, never part of the statement's text."""

from typing import Any

from psycopg import sql
from psycopg.types.json import Jsonb

from embedstack.stores.filters import CONTEXT, Condition

__all__ = ["conditions_sql"]

_SYMBOLS = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}


def conditions_sql(conditions: tuple[Condition, ...]) -> tuple[sql.Composable, list[Any]]:
    """An SQL expression that is true for records that match all conditions, and its parameters."""
    parts: list[sql.Composable] = []
    parameters: list[Any] = []
    for condition in conditions:
        part, values = _condition_sql(condition)
        parts.append(part)
        parameters += values
    return (sql.SQL(" AND ").join(parts) if parts else sql.SQL("true")), parameters


def _condition_sql(condition: Condition) -> tuple[sql.Composable, list[Any]]:
    name, value = condition.name, condition.value
    if condition.operator == "$ne":
        equal, values = _condition_sql(Condition(name, "$eq", value))
        exists = sql.SQL("context IS NOT NULL") if name == CONTEXT else sql.SQL("metadata ? %s")
        return sql.SQL("({} AND NOT {})").format(exists, equal), ([] if name == CONTEXT else [name]) + values
    operands = value if condition.operator == "$in" else (value,)
    if condition.operator in _SYMBOLS:
        if name == CONTEXT:
            return sql.SQL("false"), []  # a context is never a number
        # A JSON path compares each element of a list, and comparing a string with a number is false, where a cast would
        # raise an error.
        path = f"$ ? (@ {_SYMBOLS[condition.operator]} $value)"
        return sql.SQL("jsonb_path_exists(metadata -> %s, %s::jsonpath, %s)"), [name, path, Jsonb({"value": value})]
    if name == CONTEXT:
        return sql.SQL("context = ANY(%s)"), [[operand for operand in operands if isinstance(operand, str)]]
    # The index on metadata supports containment: of the value itself, or of a list that contains it.
    candidates = [Jsonb({name: candidate}) for operand in operands for candidate in (operand, [operand])]
    expression = sql.SQL(" OR ").join([sql.SQL("metadata @> %s")] * len(candidates))
    return sql.SQL("({})").format(expression), candidates
