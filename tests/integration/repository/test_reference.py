"""The generated reference pages are up to date."""

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]


def test_generated_reference_is_up_to_date():
    # A separate process, because click keeps the help option of a command that another test has invoked.
    command = [sys.executable, str(REPOSITORY / "scripts" / "generate_reference.py"), "--check"]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, f"{checked.stdout}{checked.stderr}Run `make docs`, and commit the pages."
