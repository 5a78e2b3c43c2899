"""The direction of imports between packages, and that ``__all__`` and the error tree are complete."""

import ast
import importlib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
SOURCES = [REPOSITORY / "src", REPOSITORY / "localaws" / "src"]
MODULES = sorted(path for source in SOURCES for path in source.rglob("*.py"))

#: What each distribution package may import of the others. The ones that start another one do so lazily.
PACKAGES = {
    "embedstack": {"embedstack"},
    "embedstack_server": {"embedstack_server", "embedstack"},
    "embedstack_ops": {"embedstack_ops", "embedstack"},
    "localaws": {"localaws", "embedstack_server", "embedstack"},
}
EXCEPTIONS = {
    "embedstack/embedders/local.py": {"embedstack_server"},  # embeds in this process, with the server's encoder
    "embedstack/rerankers/local.py": {"embedstack_server"},  # reranks in this process, with its cross-encoder
    "embedstack_ops/cli/golden.py": {"embedstack_server"},
    "embedstack_ops/cli/package_model.py": {"embedstack_server"},
    "embedstack_ops/cli/local.py": {"localaws"},
    "embedstack_ops/cli/target.py": {"localaws"},
}
#: Packages of the client library from the lowest layer up. A package imports its own layer and those below it.
LAYERS = [
    {"errors", "lazy"},
    {"models", "calls", "settings"},
    {"aws", "costs"},
    {"embedders", "stores"},
    {"resilience", "cache"},
    {"rerankers"},
    {"factory", "documents", "generation", "health"},
    {"integrations", "langchain", "llamaindex"},
]
#: The same for the model server.
SERVER_LAYERS = [
    {"model", "process_resources"},
    {"compute"},
    {"http", "golden"},
    {"packaging_accuracy"},
    {"packaging", "sagemaker_handler", "__main__"},
]


def _name(path: Path) -> str:
    source = next(source for source in SOURCES if path.is_relative_to(source))
    return path.relative_to(source).as_posix()


def _imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_imports_point_downwards(path):
    name = _name(path)
    package, layer = name.split("/")[0], name.split("/")[1].removesuffix(".py")
    imported = _imports(path)
    allowed = PACKAGES[package] | EXCEPTIONS.get(name, set())
    assert {top for item in imported if (top := item.split(".")[0]) in PACKAGES} <= allowed
    layers = {"embedstack": LAYERS, "embedstack_server": SERVER_LAYERS}.get(package)
    if layers and layer != "__init__":
        height = next(index for index, names in enumerate(layers) if layer in names)
        below = set().union(*layers[: height + 1])
        assert {item.split(".")[1] for item in imported if item.startswith(f"{package}.")} <= below


def test_client_library_has_no_loose_modules():
    loose = {path.name for path in (REPOSITORY / "src" / "embedstack").glob("*.py")}
    assert loose == {"__init__.py", "errors.py", "factory.py"}


# Imported by `make test-compat`, where the packages that they need are installed.
ELSEWHERE = {"embedstack/integrations/llamaindex.py", "embedstack_server/compute/sentence_transformers_engine.py"}
DEPRECATED = {"embedstack/langchain/__init__.py", "embedstack/llamaindex/__init__.py"}
EXPORTING = [
    path
    for path in MODULES
    if "__all__" in path.read_text(encoding="utf-8") and _name(path) not in ELSEWHERE | DEPRECATED
]


@pytest.mark.parametrize("path", EXPORTING, ids=_name)
def test_all_lists_existing_names(path):
    module = importlib.import_module(_name(path).removesuffix(".py").replace("/", ".").removesuffix(".__init__"))
    assert all(hasattr(module, exported) for exported in module.__all__)


def test_deprecated_import_path_warns():
    with pytest.warns(DeprecationWarning, match="import from embedstack.integrations.langchain"):
        importlib.import_module("embedstack.langchain")


def test_every_error_of_the_tree_is_exported_and_in_its_docstring():
    errors = importlib.import_module("embedstack.errors")
    classes = [
        name for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.EmbedStackError)
    ]  # fmt: skip
    assert sorted(classes) == list(errors.__all__)
    assert all(name in str(errors.__doc__) for name in classes)
