"""make takes no account for the local AWS: whatever is wrong, nothing reaches AWS that was not asked to."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]

# Stands in for the virtual environment's Python: writes down what it is asked to run.
_RECORDER = """#!/bin/bash
echo "$AWS_ENDPOINT_URL $*" >> calls
if [[ "$*" == "scripts/localaws.py env" ]]; then
  if [[ -e running ]]; then echo "export AWS_ENDPOINT_URL=http://127.0.0.1:1"; else exit 2; fi
fi
"""


@pytest.fixture
def make(tmp_path):
    shutil.copy(REPOSITORY / "Makefile", tmp_path)
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).touch()
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(_RECORDER)
    python.chmod(0o755)
    (tmp_path / ".venv" / ".installed").touch()

    def make(*arguments):
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_"))}
        done = subprocess.run(["make", *arguments], cwd=tmp_path, env=environment, capture_output=True, check=False)
        calls = tmp_path / "calls"
        return done.returncode, calls.read_text().splitlines() if calls.exists() else []

    return make


@pytest.mark.parametrize("target", ["plan", "apply", "check", "adopt", "destroy", "invoke", "search", "test-endpoint"])
def test_a_crashed_local_aws_ends_the_command(make, tmp_path, target):
    (tmp_path / ".local").mkdir()
    (tmp_path / ".local" / "localaws.json").touch()
    status, calls = make(target)
    assert status != 0
    assert calls == [" scripts/localaws.py env"]


def test_a_running_local_aws_is_used_without_asking(make, tmp_path):
    (tmp_path / ".local").mkdir()
    (tmp_path / ".local" / "localaws.json").touch()
    (tmp_path / "running").touch()
    _, calls = make("destroy")
    (call,) = calls[1:]
    assert call.startswith("http://127.0.0.1:1 scripts/deploy.py destroy --var-file")
    assert call.endswith("--yes")


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [
        ([], "terraform/environments/pipeline-local.tfvars"),
        (["VARS=mine.tfvars"], "mine.tfvars"),
    ],
)
def test_it_goes_on_with_the_variables_that_it_was_deployed_with(make, tmp_path, arguments, variables):
    (tmp_path / ".local").mkdir()
    (tmp_path / ".local" / "localaws.json").touch()
    (tmp_path / ".local" / "variables").write_text("terraform/environments/pipeline-local.tfvars\n")
    (tmp_path / "running").touch()
    _, calls = make("plan", *arguments)
    assert calls[1].endswith(f"--var-file {variables}")


@pytest.mark.parametrize("arguments", [["destroy"], ["apply"], ["destroy", "TARGET=aws"]])
def test_an_account_is_never_changed_without_asking(make, tmp_path, arguments):
    if "TARGET=aws" in arguments:
        (tmp_path / ".local").mkdir()
        (tmp_path / ".local" / "localaws.json").touch()
    _, (call,) = make(*arguments)
    assert call.startswith(" scripts/deploy.py")
    assert "--yes" not in call


def test_help_lists_every_target(make):
    listing = subprocess.run(["make", "help"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    for target in (
        "up",
        "pipeline",
        "search",
        "down",
        "env",
        "plan",
        "apply",
        "check",
        "destroy",
        "invoke",
        "test-endpoint",
        "test",
        "lint",
    ):
        assert f"\x1b[1m{target} " in listing
