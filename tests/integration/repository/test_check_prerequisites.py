"""What has to be installed before make installs anything."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def check(tmp_path):
    """Runs the check with programs that print these versions; gives the status and the error messages."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("awk", "dirname", "head", "sed", "sh"):
        (programs / name).symlink_to(shutil.which(name))

    def check(*arguments, terraform=None, python=None, tofu=None):
        for name, script in (("terraform", terraform), ("python3", python), ("tofu", tofu)):
            if script is not None:
                (programs / name).write_text(f"#!/bin/sh\n{script}\n")
                (programs / name).chmod(0o755)
        done = subprocess.run(
            [REPOSITORY / "scripts" / "check_prerequisites.sh", *arguments],
            env={"PATH": str(programs)},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stderr

    return check


def test_check_passes_with_this_python_and_terraform(check):
    terraform = shutil.which("terraform")
    assert check(sys.executable, "terraform", terraform=f'exec {terraform} "$@"') == (0, "")


@pytest.mark.parametrize(
    ("python", "message"),
    [
        ("echo 3.10.13", "python3 is Python 3.10.13"),
        ("echo 3.9.2", "python3 is Python 3.9.2"),
        ("exit 1", "python3 does not run"),
        ('case "$2" in *ensurepip*) exit 1 ;; *) echo 3.12.1 ;; esac', "apt-get install python3.12-venv"),
        (None, "python3 is not installed"),
    ],
)
def test_check_names_the_problem_with_python(check, python, message):
    status, errors = check("python3", python=python)
    assert status == 2
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1
    assert message in errors


@pytest.mark.parametrize("version", ["3.11.0", "3.14.0", "4.0.0"])
def test_check_accepts_newer_pythons(check, version):
    assert check("python3", python=f"echo {version}") == (0, "")


@pytest.mark.parametrize(
    ("terraform", "message"),
    [
        ("echo Terraform v1.8.5", "is 1.8.5"),
        ("echo hello", "does not print its version"),
        (None, "terraform is not installed"),
    ],
)
def test_check_links_to_the_installation_of_terraform(check, terraform, message):
    status, errors = check("python3", "terraform", python="echo 3.12.1", terraform=terraform)
    assert status == 2
    assert message in errors
    assert "https://developer.hashicorp.com/terraform/install" in errors


@pytest.mark.parametrize("output", ["Terraform v1.11.4\non linux_amd64", "OpenTofu v1.10.0", "Terraform v2.0.0-beta1"])
def test_check_accepts_newer_terraforms(check, output):
    assert check("python3", "terraform", python="echo 3.12.1", terraform=f"printf '{output}'") == (0, "")


@pytest.mark.parametrize(
    ("tofu", "message"),
    [("echo OpenTofu v1.8.3", "OpenTofu 1.9.0 or newer is needed"), (None, "tofu is not installed")],
)
def test_check_links_to_the_installation_of_opentofu(check, tofu, message):
    status, errors = check("python3", "tofu", python="echo 3.12.1", terraform="echo Terraform v1.11.4", tofu=tofu)
    assert status == 2
    assert message in errors
    assert "https://opentofu.org/docs/intro/install/" in errors


def test_check_accepts_opentofu_without_terraform(check):
    assert check("python3", "tofu", python="echo 3.12.1", tofu="printf 'OpenTofu v1.11.0\non linux_amd64'") == (0, "")


def test_make_installs_nothing_without_terraform(check, tmp_path):
    for name in ("Makefile", "scripts", "terraform/versions.tf", "locks", "pyproject.toml", "localaws/pyproject.toml"):
        target = tmp_path / "checkout" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (REPOSITORY / name).is_dir() else shutil.copy
        copy(REPOSITORY / name, target)
    done = subprocess.run(
        ["make", "up"],
        cwd=tmp_path / "checkout",
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    if shutil.which("terraform", path="/usr/bin:/bin"):
        pytest.skip("terraform lies beside make")
    assert done.returncode != 0
    assert "terraform is not installed" in done.stderr
    assert not list((tmp_path / "checkout").glob(".venv*"))
