"""Runs Terraform as somebody without an account would."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).parents[2] / "terraform"


@dataclass(frozen=True)
class Applied:
    """What a mocked provider has made: resources' attributes by address, and outputs by name."""

    resources: dict[str, dict[str, Any]]
    outputs: dict[str, Any]


def without_account() -> dict[str, str]:
    """The environment of somebody without an account."""
    ours = ("AWS_", "TF_VAR_", "TF_WORKSPACE")
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(ours)},
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def terraform(folder: Path, *arguments: str, status: int = 0) -> str:
    """Run Terraform in a folder without an account.

    Args:
        folder: The root module.
        arguments: The command and its options.
        status: The expected exit status.

    Returns:
        Terraform's output.
    """
    done = subprocess.run(
        ["terraform", *arguments, "-no-color"],
        cwd=folder,
        env={**without_account(), "TF_DATA_DIR": str(folder / ".terraform")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stdout
    return done.stdout


def init(folder: Path, *options: str) -> None:
    """Initialise a folder; the provider that is attached needs no installation."""
    terraform(folder, "init", "-backend=false", "-input=false", "-lockfile=readonly", *options)


def add_packages(folder: Path) -> None:
    """Put something into a folder where Terraform looks for the functions' packages, which it only hashes in a plan."""
    for target in ("arm64-3.13", "x86_64-3.11"):
        packages = folder / ".local" / "lambda" / target
        packages.mkdir(parents=True)
        for name in ("cost_report", "health_check", "ingest", "search"):
            shutil.copy(SOURCE / "tests" / "fixtures" / "function.zip", packages / f"{name}.zip")


def apply_mocked(root: Path, folder: Path) -> Applied:
    """Everything that tests/published of a root makes.

    Args:
        root: The root module, in the tree.
        folder: Where to copy it to.
    """
    shutil.copytree(root, folder, ignore=shutil.ignore_patterns(".terraform", "*.tfstate*", "terraform.tfvars"))
    init(folder, "-test-directory=tests/published")
    lines = terraform(folder, "test", "-test-directory=tests/published", "-json", "-verbose").splitlines()
    messages = [json.loads(line) for line in lines if line.startswith("{")]
    (state,) = (message["test_state"] for message in messages if message["type"] == "test_state")
    return Applied(
        resources={resource["address"]: resource["values"] for resource in _resources(state["root_module"])},
        outputs={name: output["value"] for name, output in state["outputs"].items()},
    )


def _resources(module: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from module.get("resources", [])
    for child in module.get("child_modules", []):
        yield from _resources(child)
