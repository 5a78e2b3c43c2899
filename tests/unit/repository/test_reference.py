"""The generated reference pages are up to date."""

import sys
from pathlib import Path

from click.testing import CliRunner

REPOSITORY = Path(__file__).parents[3]


def test_generated_reference_is_up_to_date(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["generate_reference.py"])
    from generate_reference import main  # noqa: PLC0415 - checks the environment when it is imported

    checked = CliRunner().invoke(main, ["--check"])
    assert checked.exit_code == 0, f"{checked.output}Run `make docs`, and commit the pages."
