"""Texts of 8,192 tokens: correct vectors, and memory that does not grow with the square of the length."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.graphs import compute
from tests.support.reference_models import LONGEST_TEXT, ReferenceModel

# Two of its attention matrices, 4 heads x 8192 x 8192 in float32, would be 2 GiB.
MEGABYTES = 400

MEASURED = """
import sys
from pathlib import Path
from tests.support.reference_models import LONGEST_TEXT
from tests.support.graphs import compute

compute(Path(sys.argv[1]), [LONGEST_TEXT])
print([line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")][0])
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return ReferenceModel.load("long").write(tmp_path_factory.mktemp("long"))


def test_graph_equals_the_reference_for_8192_tokens(folder):
    pooled, (hidden,) = compute(folder, [LONGEST_TEXT])
    assert len(hidden) == 8192
    np.testing.assert_allclose(pooled, ReferenceModel.load("long").outputs["mean"], atol=2e-5)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux's /proc")
def test_graph_takes_bounded_memory_for_8192_tokens(folder):
    completed = subprocess.run(
        [sys.executable, "-c", MEASURED, str(folder)],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert completed.returncode == 0, completed.stderr
    assert int(completed.stdout) / 1024 < MEGABYTES
