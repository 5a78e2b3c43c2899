"""The direction of imports inside localaws."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "localaws"
MODULES = sorted(SOURCE.rglob("*.py"))

#: What a package may import of the others, besides localaws.config and localaws.errors.
PACKAGES = {
    "core": set(),
    "process": {"core"},
    "conformance": {"core"},
    "faults": {"core", "process"},
    "metering": {"core"},
    "services": {"core", "process", "metering"},
    "gateway": {"core", "process", "conformance", "faults", "metering", "services"},
    "__main__": {"core", "process", "gateway"},
}
#: What a service may import of other services; the others import none.
SERVICES = {
    "application_autoscaling": {"cloudwatch", "sagemaker"},
    "budgets": {"ce", "sns"},
    "cloudformation": {"s3vectors", "sagemaker"},
    "cloudwatch": {"sns"},
    "lambda_": {"cloudwatch", "iam", "logs", "sns", "sqs"},
    "sagemaker": {"cloudwatch", "logs", "sns"},
    "sagemaker_runtime": {"sagemaker"},
    "scheduler": {"iam"},
    "sqs": {"cloudwatch"},
}
#: SageMaker's packages from the lowest layer up; "" are the modules at its top.
SAGEMAKER = ["telemetry", "containers", "endpoints", "inference_components", "", "async_inference"]


def _imports(path: Path) -> set[tuple[str, ...]]:
    """The modules of localaws that a module imports, as parts of their names."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {tuple(name.split(".")[1:]) for name in names if name.startswith("localaws.")}


def _sagemaker_layer(parts: tuple[str, ...]) -> int:
    return SAGEMAKER.index(parts[2] if parts[2] in SAGEMAKER else "")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_imports_follow_the_allowed_directions(path: Path) -> None:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    imported = _imports(path)
    if parts[0] in PACKAGES:
        packages = {other[0] for other in imported} & PACKAGES.keys()
        assert packages <= PACKAGES[parts[0]] | {parts[0]}
    if parts[0] == "services" and len(parts) > 2:
        services = {other[1] for other in imported if other[0] == "services"}
        assert services <= SERVICES.get(parts[1], set()) | {parts[1]}
    if parts[:2] == ("services", "sagemaker") and len(parts) > 2:
        layers = {_sagemaker_layer(other) for other in imported if other[:2] == ("services", "sagemaker")}
        assert all(layer <= _sagemaker_layer(parts) for layer in layers)
