"""make's own part: it passes on what was typed, and decides nothing about accounts."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
# Stands in for the virtual environment's Python: writes down what it is asked to run, and for which target.
_RECORDER = '#!/bin/bash\necho "${TARGET:-no target} $*" >> calls\n[ ! -e broken ]\n'


@pytest.fixture
def folder(tmp_path):
    """A checkout with a recorder for Python, in a folder that shells have to quote."""
    folder = tmp_path / "a folder with é"
    (folder / "scripts").mkdir(parents=True)
    (folder / "terraform").mkdir()
    for name in (
        "Makefile", "scripts/check_prerequisites.sh", "scripts/stop_local.sh", "terraform/versions.tf"
    ):  # fmt: skip
        shutil.copy(REPOSITORY / name, folder / name)
    shutil.copytree(REPOSITORY / "locks", folder / "locks")
    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(_RECORDER)
    python.chmod(0o755)
    (folder / "localaws").mkdir()
    for name in ("pyproject.toml", "localaws/pyproject.toml"):
        (folder / name).touch()
    (folder / ".venv-uv").mkdir()
    for marker in (".venv-uv/.installed", ".venv/.installed"):
        (folder / marker).touch()
    return folder


@pytest.fixture(params=[(), (".SHELLFLAGS=-c",)], ids=["make", "make-3.81"])
def make(folder, request):
    """Runs make, also as 3.81 does, which passes no flags to the shell; gives the status and what was run."""

    def make(*arguments, **variables):
        environment = {name: value for name, value in os.environ.items() if name not in ("TARGET", "YES", "VARS")}
        done = subprocess.run(
            ["make", *request.param, *arguments],
            cwd=folder,
            env=environment | variables,
            capture_output=True,
            check=False,
        )
        calls = folder / "calls"
        return done.returncode, calls.read_text().splitlines() if calls.exists() else []

    return make


COMMANDS = ["plan", "apply", "verify", "import", "destroy", "invoke", "search", "test-endpoint"]


@pytest.mark.parametrize("command", COMMANDS)
def test_make_passes_the_target_on(make, command):
    assert make(command, "TARGET=aws")[1][-1].startswith("aws ")
    assert make(command, TARGET="local")[1][-1].startswith("local ")
    assert make(command)[1][-1].startswith("no target ")


@pytest.mark.parametrize("command", COMMANDS)
def test_make_ends_with_the_commands_status(make, folder, command):
    (folder / "broken").touch()
    status, calls = make(command)
    assert status != 0
    assert len(calls) == 1


@pytest.mark.parametrize("command", ["apply", "destroy"])
def test_make_passes_yes_only_from_the_command_line(make, command):
    assert "--yes" not in make(command)[1][-1]
    assert "--yes" not in make(command, YES="1")[1][-1], "a variable of the environment was not typed for this command"
    assert "--yes" not in make(command, "YES=")[1][-1]
    assert make(command, "YES=1")[1][-1].endswith(" --yes")


def test_make_quotes_the_variables_file(make):
    _, calls = make("plan", "VARS=my variables.tfvars")
    assert calls == ["no target -m embedstack_ops deploy plan --var-file my variables.tfvars"]


@pytest.mark.parametrize("damage", ["none", "no packages", "no python", "no environment"])
def test_make_clean_works_in_any_state(make, folder, damage):
    (folder / ".local").mkdir()
    if damage == "no packages":
        (folder / "broken").touch()
    elif damage == "no python":
        (folder / ".venv" / "bin" / "python").unlink()
    elif damage == "no environment":
        shutil.rmtree(folder / ".venv")
    for _ in range(2):
        assert make("clean")[0] == 0
        assert not (folder / ".venv").exists()
        assert not (folder / ".local").exists()


@pytest.mark.parametrize("command", ["env", "down"])
def test_make_env_and_down_install_nothing(make, folder, command):
    shutil.rmtree(folder / ".venv")
    status, _ = make(command)
    assert status == (2 if command == "env" else 0)
    assert not (folder / ".venv").exists()


def test_help_lists_every_target():
    listing = subprocess.run(["make", "help"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    for target in ("up", "pipeline", "down", "env", "test", "lint", *COMMANDS):
        assert f"\x1b[1m{target} " in listing
