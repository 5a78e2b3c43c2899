"""The rules of composite alarms, such as ``ALARM("a") AND NOT (OK(b) OR TRUE)``.

Grammar: API reference of PutCompositeAlarm. Functions ``ALARM``, ``OK`` and ``INSUFFICIENT_DATA`` take an alarm's name
or ARN; there are the constants ``TRUE`` and ``FALSE``, and ``AND``, ``OR``, ``NOT`` with parentheses.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

#: Maximum number of elements in a rule.
MAX_ELEMENTS = 500
#: Maximum length of a rule in characters.
MAX_LENGTH = 10240

_STATES = ("ALARM", "OK", "INSUFFICIENT_DATA")
_TOKEN = re.compile(
    r"""\s*(?:(?P<function>ALARM|OK|INSUFFICIENT_DATA)\s*\(\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^()"\s]+))\s*\)
    |(?P<word>AND|OR|NOT|TRUE|FALSE)\b|(?P<bracket>[()]))""",
    re.VERBOSE,
)

#: Returns the state of an alarm, given its name or ARN.
StateOf = Callable[[str], str]
_Node = Callable[[StateOf], bool]


class RuleError(ValueError):
    """The rule cannot be parsed."""


@dataclass(frozen=True, slots=True)
class CompositeRule:
    """A parsed rule.

    Attributes:
        children: Names or ARNs of the alarms in the rule, without duplicates.
        holds: Whether the rule is true for given states of its children.
    """

    children: tuple[str, ...]
    holds: _Node


@lru_cache(maxsize=256)
def parse_rule(text: str) -> CompositeRule:
    """Parse a rule.

    Raises:
        RuleError: The rule cannot be parsed.
    """
    return _Parser(text).rule()


def alarm_name(reference: str) -> str:
    """The name in an alarm's name or ARN."""
    return reference.split(":", 6)[6] if reference.startswith("arn:") else reference


class _Parser:
    """Recursive descent; NOT binds tighter than AND, and AND tighter than OR."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._at = 0
        self._children: dict[str, None] = {}

    def rule(self) -> CompositeRule:
        node = self._or()
        if self._at < len(self._tokens):
            raise _error()
        return CompositeRule(tuple(self._children), node)

    def _or(self) -> _Node:
        nodes = [self._and()]
        while self._next_is("OR"):
            nodes.append(self._and())
        return nodes[0] if len(nodes) == 1 else lambda state_of: any(node(state_of) for node in nodes)

    def _and(self) -> _Node:
        nodes = [self._not()]
        while self._next_is("AND"):
            nodes.append(self._not())
        return nodes[0] if len(nodes) == 1 else lambda state_of: all(node(state_of) for node in nodes)

    def _not(self) -> _Node:
        if self._next_is("NOT"):
            node = self._not()
            return lambda state_of: not node(state_of)
        if self._next_is("("):
            node = self._or()
            if not self._next_is(")"):
                raise _error()
            return node
        if self._next_is("TRUE"):
            return lambda _: True
        if self._next_is("FALSE"):
            return lambda _: False
        return self._state()

    def _state(self) -> _Node:
        if self._at == len(self._tokens):
            raise _error()
        function, name = self._tokens[self._at]
        if function not in _STATES:
            raise _error()
        self._at += 1
        self._children[name] = None
        return lambda state_of: state_of(name) == function

    def _next_is(self, word: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at] == (word, ""):
            self._at += 1
            return True
        return False


def _tokens(text: str) -> list[tuple[str, str]]:
    """Pairs of a word and, for a function, the name or ARN of its alarm."""
    if text != text.strip():
        raise RuleError("AlarmRule must not contain leading or trailing whitespace or be null")
    tokens, at = [], 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise _error()
        if match["function"]:
            name = match["bare"] or re.sub(r"\\(.)", r"\1", match["quoted"])
            if not name:
                raise _error()
            tokens.append((match["function"], name))
        else:
            tokens.append((match["word"] or match["bracket"], ""))
        at = match.end()
    if not tokens or len(tokens) > MAX_ELEMENTS or len(text) > MAX_LENGTH:
        raise _error()
    return tokens


def _error() -> RuleError:
    return RuleError("AlarmRule is invalid")
