"""Filters as SQL. Names and values are parameters; nothing of a filter is part of the statement's text."""

from typing import Any

from psycopg import sql
from psycopg.types.json import Jsonb

from embedstack.stores.filters import CONTEXT, Condition

__all__ = ["conditions_sql"]

_SYMBOLS = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}


def conditions_sql(conditions: tuple[Condition, ...]) -> tuple[sql.Composable, list[Any]]:
    """An expression that is true where all conditions hold, and its parameters."""
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
        same, values = _condition_sql(Condition(name, "$eq", value))
        is_there = sql.SQL("context IS NOT NULL") if name == CONTEXT else sql.SQL("metadata ? %s")
        return sql.SQL("({} AND NOT {})").format(is_there, same), ([] if name == CONTEXT else [name]) + values
    wanted = value if condition.operator == "$in" else (value,)
    if condition.operator in _SYMBOLS:
        if name == CONTEXT:
            return sql.SQL("false"), []  # a context is no number
        # In a JSON path a comparison of a string with a number is not true, where a cast would be an error; a list's
        # elements are looked at one by one.
        path = f"$ ? (@ {_SYMBOLS[condition.operator]} $value)"
        return sql.SQL("jsonb_path_exists(metadata -> %s, %s::jsonpath, %s)"), [name, path, Jsonb({"value": value})]
    if name == CONTEXT:
        return sql.SQL("context = ANY(%s)"), [[one for one in wanted if isinstance(one, str)]]
    # Containment is what the index on metadata answers: the value itself, or a list that has it.
    candidates = [Jsonb({name: candidate}) for one in wanted for candidate in (one, [one])]
    expression = sql.SQL(" OR ").join([sql.SQL("metadata @> %s")] * len(candidates))
    return sql.SQL("({})").format(expression), candidates
