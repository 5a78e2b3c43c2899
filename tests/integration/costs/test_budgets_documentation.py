"""The commands and the Python of docs/guides/budgets.md."""

import os
import subprocess
import sys
from pathlib import Path

from embedstack_ops.costs.advice.off_hours import QuietWindow, schedules_hcl
from tests.support.documentation import code_blocks

PAGE = "docs/guides/budgets.md"


def test_commands_of_the_guide_succeed_in_order(tmp_path):
    blocks = code_blocks("test: budgets", page=PAGE)
    commands = "\n".join(block.code for block in blocks if block.language == "sh")
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(tmp_path), "TARGET": "aws",
        "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing",
    }  # fmt: skip
    done = subprocess.run(
        ["bash", "-euc", commands], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert '"limit_usd": "300.000000000000"' in done.stdout
    assert "Nothing to recommend" in done.stdout
    for block in blocks:
        if block.language == "python":
            exec(compile(block.code, str(block), "exec"), {})  # noqa: S102 - the documentation


def test_schedule_in_the_guide_is_the_one_that_advise_writes():
    (block,) = code_blocks("test: planned", page=PAGE)
    lines = block.code.splitlines()
    written = schedules_hcl(
        "embedding", QuietWindow(20, 8, weekend=True), "Europe/Berlin", low=1, usual=3, maximum=5
    ).splitlines()
    assert lines[:2] == written[:2]
    assert lines[4:] == written[3:], "instead of the comment, the guide has the model and the type"
