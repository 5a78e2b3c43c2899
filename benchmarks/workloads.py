"""Texts for benchmarks, taken from Python's standard library."""

import ast
import random
import sysconfig
from pathlib import Path

__all__ = ["mixed_texts", "short_texts"]

_WORDS = "the quick brown fox jumps over lazy dog while seven wizards brew strong coffee near old harbour"
_RANDOM = random.Random(20)  # noqa: S311 - a fixed sequence is the point


def mixed_texts(count: int) -> list[str]:
    """Docstrings of the standard library, from one line to a page, mostly a paragraph."""
    library = Path(sysconfig.get_path("stdlib"))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    texts: set[str] = set()
    for path in (*library.glob("*.py"), *library.glob("asyncio/*.py")):
        nodes = ast.walk(ast.parse(path.read_bytes()))
        texts |= {ast.get_docstring(node) or "" for node in nodes if isinstance(node, documented)}
    return _RANDOM.sample(sorted(text for text in texts if len(text) > 80), count)


def short_texts(count: int) -> list[str]:
    """Queries of six to twelve words."""
    words = _WORDS.split()
    return [" ".join(_RANDOM.choices(words, k=_RANDOM.randint(6, 12))) for _ in range(count)]
