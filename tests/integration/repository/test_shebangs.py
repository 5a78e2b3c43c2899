"""Programs of a virtual environment whose path has spaces."""

import os
import subprocess
import sys
import venv
from pathlib import Path

SCRIPT = Path(__file__).parents[3] / "scripts" / "fix_shebangs.py"


def test_fix_shebangs_makes_scripts_run_in_a_path_with_spaces(tmp_path):
    folder = tmp_path / "a path with spaces"
    venv.create(folder, symlinks=True)
    program = folder / "bin" / "aws"
    program.write_text(f"#!{folder}/bin/python\nimport sys\nprint(sys.prefix, sys.argv[1:])\n")
    program.chmod(0o755)
    subprocess.run([sys.executable, SCRIPT, folder / "bin"], check=True)
    subprocess.run([sys.executable, SCRIPT, folder / "bin"], check=True)
    done = subprocess.run([program, "two words", "$HOME"], capture_output=True, text=True, check=True)
    assert done.stdout == f"{os.fspath(folder)} ['two words', '$HOME']\n"
