"""The soak of benchmarks/soak.py, for a few hundred requests: it passes, and it can fail."""

import subprocess
import sys
from pathlib import Path

SOAK = Path(__file__).parents[3] / "benchmarks/soak.py"


def soak(*options: str) -> "subprocess.CompletedProcess[str]":
    # So few requests are all warm-up: their memory says nothing.
    command = [sys.executable, str(SOAK), "--largest-growth", "1", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_64_clients_get_the_vectors_of_their_own_texts():
    done = soak("--requests", "1000")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 of 1,000 are under 0.9999" in done.stdout


def test_a_vector_that_is_off_fails_the_soak():
    done = soak("--requests", "100", "--least-cosine", "1.01")
    assert done.returncode == 1
    assert "100 of 100 are under 1.01" in done.stdout
