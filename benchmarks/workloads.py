"""Texts to measure with: what people embed, taken from what every Python has."""

import ast
import random
import sysconfig
from pathlib import Path

__all__ = ["mixed_texts", "short_texts"]

_SEED = 20


def mixed_texts(count: int) -> list[str]:
    """Docstrings of the standard library: from one line to a page, most of them a paragraph."""
    library = Path(sysconfig.get_path("stdlib"))
    docstrings: list[str] = []
    for path in sorted(library.glob("*.py")) + sorted(library.glob("asyncio/*.py")):
        tree = ast.parse(path.read_bytes())
        documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        docstrings += [ast.get_docstring(node) or "" for node in ast.walk(tree) if isinstance(node, documented)]
    texts = sorted({text for text in docstrings if len(text) > 80})
    return random.Random(_SEED).sample(texts, count)


def short_texts(count: int) -> list[str]:
    """Queries of six to twelve words."""
    words = "the quick brown fox jumps over lazy dog while seven wizards brew strong coffee near old harbour".split()
    chosen = random.Random(_SEED)
    return [" ".join(chosen.choices(words, k=chosen.randint(6, 12))) for _ in range(count)]
