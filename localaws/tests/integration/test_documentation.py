"""The examples of docs/guides/local-aws-in-your-tests.md run."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.documentation import code_blocks

BLOCKS = {block.language: block for block in code_blocks("test: localaws")}


@pytest.fixture
def run(tmp_path):
    def run(*command: str) -> str:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        done = subprocess.run(
            command, cwd=tmp_path, env={**kept, "PATH": path}, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_a_suite_of_another_project_passes(run, tmp_path):
    (tmp_path / "test_my_application.py").write_text(BLOCKS["python"].code)
    assert "1 passed" in run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")


def test_a_server_is_started_and_used(run):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    printed = run("bash", "-c", "set -euo pipefail\n" + re.sub(r"\b4599\b", str(port), BLOCKS["sh"].code))
    assert "make_bucket: my-bucket" in printed
