"""The examples of docs/guides/local-aws-in-your-tests.md run."""

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.documentation import code_blocks
from tests.support.model_server import free_port

BLOCKS = {block.language: block for block in code_blocks("test: localaws")}


@pytest.fixture
def run(tmp_path):
    def run(*command: str) -> str:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        # In a session, so that a server which the commands started ends with them, also after the timeout.
        with subprocess.Popen(
            command, cwd=tmp_path, env={**kept, "PATH": path}, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as process:  # fmt: skip
            try:
                output, errors = process.communicate(timeout=120)
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        assert process.returncode == 0, output + errors
        return output

    return run


def test_a_suite_of_another_project_passes(run, tmp_path):
    (tmp_path / "test_my_application.py").write_text(BLOCKS["python"].code)
    assert "1 passed" in run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")


def test_a_server_is_started_and_used(run):
    printed = run("bash", "-c", "set -euo pipefail\n" + re.sub(r"\b4599\b", str(free_port()), BLOCKS["sh"].code))
    assert "make_bucket: my-bucket" in printed
