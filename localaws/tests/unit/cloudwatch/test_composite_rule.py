"""The rules of composite alarms."""

import pytest
from hypothesis import given, strategies as st

from localaws.services.cloudwatch.composite_rule import RuleError, parse_rule

STATES = {"a": "ALARM", "b": "OK", "c": "INSUFFICIENT_DATA", "with space": "ALARM"}


def holds(rule: str) -> bool:
    return parse_rule(rule).holds(lambda name: STATES.get(name, ""))


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("ALARM(a)", True),
        ('ALARM("a")', True),
        ('ALARM( "with space" )', True),
        ("OK(a)", False),
        ("INSUFFICIENT_DATA(c)", True),
        ("NOT ALARM(b)", True),
        ("NOT NOT ALARM(b)", False),
        ("ALARM(a) AND ALARM(b)", False),
        ("ALARM(b) OR ALARM(a)", True),
        ("ALARM(a) OR ALARM(b) AND FALSE", True),
        ("(ALARM(a) OR ALARM(b)) AND FALSE", False),
        ("NOT (ALARM(b) OR ALARM(c)) AND TRUE", True),
        ("ALARM(gone)", False),
        ("NOT OK(gone)", True),
    ],
)
def test_parse_rule_evaluates_states(rule: str, expected: bool) -> None:
    assert holds(rule) is expected


@pytest.mark.parametrize(
    "rule",
    [
        "",
        " ALARM(a)",
        "ALARM(a",
        "ALARM()",
        'ALARM("")',
        "a",
        "ALARM(a) ALARM(b)",
        "AND ALARM(a)",
        "ALARM(a) OR",
        "(",
        "NOT",
    ],
)
def test_parse_rule_rejects_invalid_rules(rule: str) -> None:
    with pytest.raises(RuleError):
        parse_rule(rule)


def test_parse_rule_lists_children_once() -> None:
    arn = "arn:aws:cloudwatch:us-east-1:123456789012:alarm:b"
    assert parse_rule(f"ALARM(a) OR OK({arn}) OR OK(a)").children == ("a", arn)


RULES = st.recursive(
    st.sampled_from([f"{state}({name})" for state in ("ALARM", "OK") for name in "abc"] + ["TRUE", "FALSE"]),
    lambda rules: st.one_of(
        rules.map(lambda rule: f"NOT ({rule})"),
        st.tuples(rules, st.sampled_from(["AND", "OR"]), rules).map(lambda part: f"({part[0]}) {part[1]} ({part[2]})"),
    ),
    max_leaves=6,
)


@given(RULES)
def test_parse_rule_agrees_with_python(rule: str) -> None:
    known = {f"{state}({name})": str(STATES[name] == state) for state in ("ALARM", "OK") for name in "abc"}
    python = rule.replace("TRUE", "True").replace("FALSE", "False")
    for text, value in known.items():
        python = python.replace(text, value)
    python = python.replace("AND", "and").replace("OR", "or").replace("NOT", "not")
    assert holds(rule) is eval(python)  # noqa: S307 - made above
