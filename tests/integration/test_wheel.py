"""The wheel that an application installs: the commands work, and the emulator is not part of it."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, REPOSITORY]
    subprocess.run(command, check=True)
    (file,) = folder.glob("embedstack-*.whl")
    return file


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """The Python of an environment with the wheel and its dependencies alone."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", wheel], check=True)
    return python


def run(python, *arguments, folder):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "AWS_", "TARGET"))}
    return subprocess.run(
        [python, *arguments], cwd=folder, env=kept, capture_output=True, text=True, check=False, timeout=120
    )


def test_wheel_contains_no_emulator(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {"embedstack", "embedstack_server", "embedstack_ops"} < tops
    assert tops - {"embedstack", "embedstack_server", "embedstack_ops"} == {
        name for name in tops if name.endswith(".dist-info")
    }
    assert "embedstack/py.typed" in names


def test_wheel_works_in_an_empty_environment(python, tmp_path):
    embedstack = python.with_name("embedstack")
    shown = run(embedstack, "--help", folder=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "invoke" in shown.stdout
    missing = run(embedstack, "invoke", "text", folder=tmp_path)
    assert missing.returncode == 2
    assert "pip install 'embedstack[ops]'" in missing.stderr
    assert "Traceback" not in missing.stderr
    program = "from embedstack import load_embedder; print(load_embedder(embedding_backend='fake').embed(['a']).shape)"
    embedded = run(python, "-c", program, folder=tmp_path)
    assert embedded.stdout == "(1, 8)\n", embedded.stderr


@pytest.mark.parametrize("package", ["localaws", "torch", "moto", "openvino"])
def test_base_install_is_small(python, tmp_path, package):
    done = run(python, "-c", f"import {package}", folder=tmp_path)
    assert "ModuleNotFoundError" in done.stderr
