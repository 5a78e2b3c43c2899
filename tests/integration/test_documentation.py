"""The commands and programs of README.md and docs/ run in a checkout, on the local AWS that `make pipeline` starts."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.documentation import REPOSITORY, code_blocks
from tests.support.model_server import free_port

# Packing the functions and the apply take minutes on a busy machine.
pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(sys.platform != "linux", reason="functions run on Linux only"),
]

BLOCKS = code_blocks("test: local")
PAGES = sorted({block.page for block in BLOCKS})
#: What a reader's own files and variables are in this test.
PREPARATION = """
set -euo pipefail
eval "$(make -s env)"
output() {
  terraform -chdir=terraform output -json pipeline | python -c "import json, sys; print(json.load(sys.stdin)['$1'])"
}
export SEARCH_FUNCTION=$(output search_function) SEARCH_URL=$(output search_url)
export BEDROCK_MODEL_ID=anthropic.claude-haiku-4-5-20251001-v1:0
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory, minilm_folder) -> Iterator[Path]:
    """A copy of the repository with a local AWS of its own, and a pipeline on it."""
    folder = tmp_path_factory.mktemp("checkout") / "embedstack"
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        if (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, folder / name)
    link_environment(folder)
    (folder / ".env").write_text(f"LOCALAWS_PORT={free_port()}\n")
    (folder / "models" / "my-org").mkdir(parents=True)
    (folder / "models" / "my-org" / "my-model").symlink_to(minilm_folder)
    try:
        printed = run(folder, 'make pipeline ARGS="--count 7"')
        assert "Installing into" not in printed, "make would change the environment of the tests"
        yield folder
    finally:
        run(folder, "make down")


def link_environment(folder: Path) -> None:
    """Give a checkout the packages of this environment, in a ``.venv`` that make takes for installed."""
    (folder / ".venv").mkdir()
    (folder / ".venv-uv").mkdir()
    for entry in Path(sys.prefix).iterdir():
        if not entry.name.startswith(".installed"):
            (folder / ".venv" / entry.name).symlink_to(entry)
    for marker in (".venv-uv/.installed", ".venv/.installed", ".venv/.installed-dev"):
        (folder / marker).touch()


def run(folder: Path, commands: str, **variables: str) -> str:
    """Run commands in bash as a person would in a checkout, with the virtual environment activated."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_WORKSPACE"))}
    environment = {**kept, "PATH": f"{folder / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}", **variables}
    done = subprocess.run(
        ["bash", "-c", commands], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, f"{commands}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("page", PAGES)
def test_blocks_of_a_page_run_in_their_order(checkout: Path, page: str):
    port = str(free_port())
    script = [PREPARATION]
    for block in BLOCKS:
        if block.page != page:
            continue
        if block.language == "python":
            script.append(f"python - <<'END'\n{block.code}END")
        else:
            script.append(re.sub(r"\b8080\b", port, block.code))
    run(checkout, "\n".join(script))


def test_the_sample_request_returns_a_vector(checkout: Path):
    [block] = [block for block in BLOCKS if block.page == "README.md" and "vectorize_me.json" in block.code]
    printed = run(checkout, "set -euo pipefail\n" + block.code)
    assert re.search(r"\[\[-?\d+\.\d+", printed)
    assert "384 dimensions: [" in printed
