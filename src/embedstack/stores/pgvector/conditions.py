"""Filters as SQL. Names and values are query parameters, never part of the statement's text."""

from datetime import datetime
from typing import Any

from psycopg import sql
from psycopg.types.json import Jsonb

from embedstack.stores.filters import CONTEXT, Condition

__all__ = ["conditions_sql"]

_SYMBOLS = {"$gt": sql.SQL(">"), "$gte": sql.SQL(">="), "$lt": sql.SQL("<"), "$lte": sql.SQL("<=")}
# Some string of a metadata value, which is a string or a list, as "string".
_ANY_STRING = sql.SQL(
    "EXISTS (SELECT FROM jsonb_path_query(metadata -> %s, '$ ? (@.type() == \"string\")') AS element (json), "
    "LATERAL (SELECT element.json #>> '{{}}' AS string) AS strings WHERE {})"
)
# As in embedstack.stores.filters.parse_instant: UTC is the default time zone, and digits beyond microseconds are cut.
# Nested, because a cast of another string or of February 30 would raise an error.
_INSTANT = sql.SQL(
    r"CASE WHEN string ~ '^(?!0000)\d{{4}}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])([T ]([01]\d|2[0-3]):[0-5]\d"
    r"(:[0-5]\d([.,]\d{{1,9}})?)?(Z|[+-](0\d|1[0-4])(:?[0-5]\d)?)?)?$' THEN "
    r"CASE WHEN substr(string, 9, 2)::int <= extract(day FROM "
    r"make_date(substr(string, 1, 4)::int, substr(string, 6, 2)::int, 1) + interval '1 month - 1 day') THEN "
    r"(regexp_replace(replace(string, ',', '.'), '(\.\d{{6}})\d+', '\1') || "
    r"CASE WHEN substr(string, 11) ~ '[Z+-]' THEN '' ELSE ' UTC' END)::timestamptz END END"
).format()


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
    match condition.operator:
        case "$eq":
            return _equal(name, (value,))
        case "$in":
            return _equal(name, value)
        case "$ne":
            equal, values = _equal(name, (value,))
            if name == CONTEXT:
                return sql.SQL("(context IS NOT NULL AND NOT {})").format(equal), values
            return sql.SQL("(metadata ? %s AND NOT {})").format(equal), [name, *values]
        case "$prefix":
            return _string(name, sql.SQL("starts_with({string}, %s)"), value)
        case "$contains":
            return _string(name, sql.SQL("strpos({string}, %s) > 0"), value)
        case _ if name == CONTEXT:
            return sql.SQL("false"), []  # a context is neither a number nor a date
        case _ if isinstance(value, datetime):
            comparison = sql.SQL("{} {} %s").format(_INSTANT, _SYMBOLS[condition.operator])
            return _ANY_STRING.format(comparison), [name, value]
        case _:
            # A JSON path compares each element of a list, and comparing a string with a number is false, where a cast
            # would raise an error.
            path = f"$ ? (@ {_SYMBOLS[condition.operator].as_string()} $value)"
            return sql.SQL("jsonb_path_exists(metadata -> %s, %s::jsonpath, %s)"), [name, path, Jsonb({"value": value})]


def _equal(name: str, operands: tuple[Any, ...]) -> tuple[sql.Composable, list[Any]]:
    if name == CONTEXT:
        return sql.SQL("context = ANY(%s)"), [[operand for operand in operands if isinstance(operand, str)]]
    # The index on metadata supports containment: of the value itself, or of a list that contains it.
    candidates = [Jsonb({name: candidate}) for operand in operands for candidate in (operand, [operand])]
    expression = sql.SQL(" OR ").join([sql.SQL("metadata @> %s")] * len(candidates))
    return sql.SQL("({})").format(expression), candidates


def _string(name: str, predicate: sql.SQL, value: str) -> tuple[sql.Composable, list[Any]]:
    if name == CONTEXT:
        return predicate.format(string=sql.Identifier("context")), [value]
    return _ANY_STRING.format(predicate.format(string=sql.Identifier("string"))), [name, value]
