"""Runs Terraform as somebody without an account would."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embedstack.terraform import plugin_dir

SOURCE = Path(__file__).parents[2] / "terraform"


@dataclass(frozen=True)
class Applied:
    """What a mocked provider has made: resources' attributes by address, and outputs by name."""

    resources: dict[str, dict[str, Any]]
    outputs: dict[str, Any]


def terraform(folder: Path, *arguments: str, attached: Mapping[str, str] | None = None) -> str:
    """Run terraform in a folder as it would run for somebody without an account, and return what it says.

    Args:
        folder: Where.
        arguments: The command and its options.
        attached: From :func:`~tests.terraform.attached_provider.attached_provider`, to use a provider that runs.
    """
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_VAR_", "TF_WORKSPACE"))
    }
    done = subprocess.run(
        ["terraform", *arguments, "-no-color"],
        cwd=folder,
        env={
            **environment,
            **(attached or {}),
            "AWS_EC2_METADATA_DISABLED": "true",
            "TF_DATA_DIR": str(folder / ".terraform"),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def init(folder: Path, *options: str) -> None:
    """Initialise a folder, with the provider from a mirror where there is one."""
    mirror = plugin_dir()
    mirror_option = [f"-plugin-dir={mirror}"] if mirror else []
    terraform(folder, "init", "-backend=false", "-input=false", "-lockfile=readonly", *mirror_option, *options)


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
