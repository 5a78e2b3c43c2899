"""Every example runs as it is and says what its reader expects."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
SAYS = {
    "choose_a_backend.py": ["Dimension: 384", "1 from the cache"],
    "embed_in_workers.py": ["6 tasks in", "the vectors are the same"],
    "embedding_service.py": ["2 snippets, 2 pages of 384 dimensions", "Found: How to reset your password"],
    "survive_an_outage.py": ["Circuit: open; 6 texts embedded by the fallback"],
}


@pytest.mark.parametrize("example", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_example(example, tmp_path):
    environment = {**os.environ, "EMBEDDING_BACKEND": "local"}
    run = subprocess.run(
        [sys.executable, EXAMPLES / example], capture_output=True, text=True, check=False, cwd=tmp_path, env=environment
    )
    assert run.returncode == 0, run.stderr
    for said in SAYS[example]:
        assert said in run.stdout
