"""benchmarks/soak.py with a few hundred requests to three models: it passes, and it can fail."""

import subprocess
import sys
from pathlib import Path

SOAK = Path(__file__).parents[3] / "benchmarks/soak.py"


def soak(*options: str) -> "subprocess.CompletedProcess[str]":
    # With so few requests, memory still grows: all of them are warm-up.
    command = [sys.executable, str(SOAK), "--largest-growth", "1", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_soak_passes_with_64_clients():
    completed = soak("--requests", "1000")
    assert completed.returncode == 0, completed.stdout + completed.stderr
    assert completed.stdout.count("0 of 333 are under 0.9999") == 3


def test_soak_fails_for_a_low_cosine():
    completed = soak("--requests", "100", "--least-cosine", "1.01")
    assert completed.returncode == 1
    assert completed.stdout.count("33 of 33 are under 1.01") == 3
