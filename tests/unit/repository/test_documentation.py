"""README.md and docs/: each block says how it is tested, and links lead somewhere."""

import re

import pytest

from tests.support.documentation import REPOSITORY, CodeBlock, code_blocks, pages

#: Languages that a reader runs.
RUNNABLE = {"console", "powershell", "python", "sh"}
#: Where blocks are run, by the name in their comment.
RUN_BY = {
    "budgets": "tests/integration/costs/test_budgets_documentation.py",
    "ci": ".ci/run",
    "formats": "tests/integration/documents/test_documentation.py",
    "ingesting": "tests/integration/documents/test_documentation.py",
    "local": "tests/integration/test_documentation.py",
    "localaws": "localaws/tests/integration/test_documentation.py",
    "planned": "tests/terraform/test_terraform.py",
    "prices": "tests/integration/ops/test_costs_prices.py",
    "reranking": "tests/integration/rerankers/test_documentation.py",
    "stores": "tests/integration/stores/test_documentation.py",
    "unit": "tests/unit/repository/test_documentation.py",
}
AWS_ACCOUNT = "test: needs an AWS account"
LINK = re.compile(r"(?<!!)\[[^\]]+\]\((?!https?://|#)(?P<path>[^)#\s]+)[^)]*\)")


def test_runnable_blocks_have_a_test_marker():
    runnable = [block for block in code_blocks() if block.language in RUNNABLE]
    assert len(runnable) > 50
    untested = [
        str(block)
        for block in runnable
        if block.comment != "output" and not re.fullmatch(r"test: (needs .+|[a-z]+)", block.comment)
    ]
    assert untested == []


def test_blocks_name_tests_that_exist():
    names = {block.comment.removeprefix("test: ") for block in code_blocks() if block.comment.startswith("test: ")}
    assert {name for name in names if not name.startswith("needs ")} == RUN_BY.keys()
    assert [path for path in RUN_BY.values() if not (REPOSITORY / path).exists()] == []


@pytest.mark.parametrize("block", code_blocks(AWS_ACCOUNT), ids=str)
def test_readers_see_which_blocks_need_an_aws_account(block: CodeBlock):
    says_so = re.search(
        r"[Ee]very\s+command\s+block\s+(on this page\s+)?needs\s+an\s+AWS\s+account", pages()[block.page]
    )
    assert says_so or "# needs an AWS account" in block.code


def test_ci_blocks_are_commands_that_ci_runs():
    scripts = [".ci/run", "tests/integration/test_documentation.py"]
    lines = "\n".join((REPOSITORY / script).read_text(encoding="utf-8") for script in scripts)
    commands = [line.split("#")[0].strip() for block in code_blocks("test: ci") for line in block.code.splitlines()]
    assert [command for command in commands if command not in lines] == []


@pytest.mark.parametrize("block", [block for block in code_blocks() if block.language == "python"], ids=str)
def test_python_blocks_compile(block: CodeBlock):
    compile(block.code, str(block), "exec")


@pytest.mark.parametrize("block", code_blocks("test: unit"), ids=str)
def test_python_blocks_run_with_the_fake_backend(block: CodeBlock, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EMBEDDING_BACKEND", "fake")
    exec(block.code, {})  # noqa: S102 - the product's own document


def test_links_lead_to_files_of_the_repository():
    broken = [
        f"{page}: {link['path']}"
        for page, text in pages().items()
        for link in LINK.finditer(text)
        if not (REPOSITORY / page).parent.joinpath(link["path"]).exists()
    ]
    assert broken == []
