"""The Terraform code's own checks: format, validity, its tests against a mocked provider, and the READMEs' examples."""

import re
import shutil
from pathlib import Path

import hcl2
import pytest

from tests.support.documentation import CodeBlock, code_blocks
from tests.terraform import module_tables, readme_examples
from tests.terraform.running import SOURCE, add_packages, init, terraform

MODULES = sorted(path.name for path in (SOURCE / "modules").iterdir())
RUN = re.compile(r'^run "', re.MULTILINE)
HCL_BLOCK = re.compile(r"^```hcl\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: Endpoints that break two rules of modules/endpoint-settings.
REFUSED = """
name = "alex"
endpoints = {
  both    = { model = { hub_id = "a/b" }, serverless = {}, realtime = { instance_type = "ml.c7i.xlarge" } }
  none    = { model = { hub_id = "a/b" } }
  private = { model = { hub_id = "a/b" }, serverless = {}, vpc = { subnet_ids = ["subnet-0123456789abcdef0"] } }
}
"""

pytestmark = pytest.mark.skipif(shutil.which("terraform") is None, reason="terraform is not installed")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An initialised copy of the root module, so that nothing is written into the tree."""
    folder = tmp_path_factory.mktemp("terraform") / "root"
    shutil.copytree(SOURCE, folder, ignore=shutil.ignore_patterns(".terraform", "*.tfstate*", "terraform.tfvars"))
    init(folder)
    return folder


def test_is_formatted() -> None:
    terraform(SOURCE, "fmt", "-check", "-diff", "-recursive")


def test_is_valid(root: Path) -> None:
    assert "The configuration is valid" in terraform(root, "validate")


#: What Terraform 1.9 and OpenTofu 1.9 both have. Ephemeral values, write-only arguments, actions and queries have other
#: versions in each, or exist in one only.
SHARED_BLOCKS = frozenset({
    "check", "data", "import", "locals", "module", "moved", "output", "provider", "removed", "resource", "terraform",
    "variable",
})  # fmt: skip
SHARED_ARGUMENTS = {
    "output": {"depends_on", "description", "precondition", "sensitive", "value"},
    "variable": {"default", "description", "nullable", "sensitive", "type", "validation"},
}


@pytest.mark.parametrize(
    "folder", sorted({file.parent for file in SOURCE.rglob("*.tf")}), ids=lambda folder: folder.name
)
def test_language_is_that_of_terraform_and_opentofu(folder: Path) -> None:
    for file in folder.glob("*.tf"):
        document = {kind: blocks for kind, blocks in hcl2.loads(file.read_text()).items() if not kind.startswith("__")}
        assert document.keys() <= SHARED_BLOCKS, file
        for kind, arguments in SHARED_ARGUMENTS.items():
            used = {name for block in document.get(kind, []) for body in block.values() for name in body}
            assert {name for name in used if not name.startswith("__")} <= arguments, file
        assert not re.search(r"\b(ephemeral|terraform\.applying|\w+_wo(_version)?)\b", file.read_text()), file


def test_commands_run_the_program_that_tf_names() -> None:
    """Only the driver, which reads TF, starts it from Python, and only $(TF) from make."""
    repository = SOURCE.parent
    recipes = [line for line in (repository / "Makefile").read_text().splitlines() if line.startswith("\t")]
    assert [line for line in recipes if re.search(r"(^|[\s;&|@])terraform (?!\|)\w+", line)] == []
    sources = [file for name in ("src", "scripts") for file in (repository / name).rglob("*.py")]
    assert sources
    started = re.compile(r"""\[\s*"terraform"|terraform_bin_path|which\("terraform"\)""")
    assert [file.name for file in sources if started.search(file.read_text())] == ["driver.py"]


def test_passes_its_own_tests(root: Path) -> None:
    """All in one command, since each has to read the provider's schema first."""
    runs = sum(len(RUN.findall(file.read_text())) for file in (SOURCE / "tests").glob("*.tftest.hcl"))
    assert f"{runs} passed, 0 failed." in terraform(root, "test")


def test_bootstrap_is_valid_and_passes_its_own_tests(tmp_path: Path) -> None:
    folder = tmp_path / "bootstrap"
    shutil.copytree(SOURCE / "bootstrap", folder, ignore=shutil.ignore_patterns(".terraform", "*.tfstate*"))
    init(folder)
    assert "The configuration is valid" in terraform(folder, "validate")
    assert ", 0 failed." in terraform(folder, "test")


def test_bootstrap_locks_the_same_provider() -> None:
    assert (SOURCE / "bootstrap/.terraform.lock.hcl").read_text() == (SOURCE / ".terraform.lock.hcl").read_text()


@pytest.mark.parametrize("name", [".", "bootstrap", *(f"modules/{module}" for module in MODULES)])
def test_modules_require_the_same_versions(name: str) -> None:
    assert (SOURCE / name / "versions.tf").read_text() == (SOURCE / "versions.tf").read_text()


@pytest.mark.parametrize("module", MODULES)
def test_readme_shows_short_examples_of_the_module(module: str) -> None:
    blocks = HCL_BLOCK.findall((SOURCE / "modules" / module / "README.md").read_text())
    assert blocks, "a module's README shows how to use it"
    for block in blocks:
        assert f'source = "./modules/{module}"' in block
        assert len(block.splitlines()) <= 15


@pytest.mark.parametrize("folder", [SOURCE, *module_tables.modules()], ids=lambda folder: folder.name)
def test_readme_tables_match_the_code(folder: Path) -> None:
    """``python tests/terraform/module_tables.py`` writes them."""
    assert (folder / "README.md").read_text() == module_tables.with_tables(folder)


@pytest.mark.parametrize("folder", [SOURCE, *module_tables.modules()], ids=lambda folder: folder.name)
def test_each_variable_has_a_short_fact(folder: Path) -> None:
    words = {row.path: len(row.fact.split()) for row in module_tables.variables(folder)}
    assert {path: count for path, count in words.items() if not 1 <= count <= 15} == {}


def test_attributes_declared_twice_have_equal_types_and_defaults() -> None:
    pairs = [pair for pair in module_tables.declared_twice() if all(row.kind.startswith("`") for row in pair)]
    assert len(pairs) > 100
    assert [(row, other) for row, other in pairs if row.kind != other.kind] == []
    # The root passes null on for what is not set, and the module's default applies.
    passed_on = {"", "`null`", "optional"}
    differing = [(row, other) for row, other in pairs if row.default not in {other.default, *passed_on}]
    assert [(row, other) for row, other in differing if other.default] == []


def test_variables_of_one_description_have_equal_types_and_validations() -> None:
    found = module_tables.same_description()
    assert {key: len(declarations) for key, declarations in found.items() if len(declarations) > 1} == {}


def test_lines_are_shorter_than_120_characters() -> None:
    files = (file for suffix in ("tf", "hcl", "tfvars", "example") for file in SOURCE.rglob(f"*.{suffix}"))
    lines = (
        (file.relative_to(SOURCE).as_posix(), number, line)
        for file in files
        if ".terraform" not in file.parts
        for number, line in enumerate(file.read_text().splitlines(), 1)
    )
    assert [(name, number) for name, number, line in lines if len(line) >= 120] == []


def test_readme_examples_can_be_planned(tmp_path: Path) -> None:
    """All examples together in one root module, as their references to each other imply, by the real provider."""
    add_packages(tmp_path)
    folder = tmp_path / "terraform"
    shutil.copytree(SOURCE / "modules", folder / "modules")
    shutil.copy(SOURCE / "versions.tf", folder)
    shutil.copy(SOURCE / ".terraform.lock.hcl", folder)
    blocks = {module: HCL_BLOCK.findall((SOURCE / "modules" / module / "README.md").read_text()) for module in MODULES}
    for module, of_module in blocks.items():
        (folder / f"{module}.tf").write_text("\n".join(of_module))
    (folder / "tests").mkdir()
    (folder / "tests" / "examples.tftest.hcl").write_text(readme_examples.test_of(blocks))
    init(folder)
    terraform(folder, "fmt", "-check")
    assert "1 passed, 0 failed." in terraform(folder, "test")


@pytest.fixture(scope="module")
def root_with_environments(root: Path) -> Path:
    """The same root, initialised for the test that whatever variables are planned by."""
    folder = root.parent / "environments"
    add_packages(root.parent)
    shutil.copytree(root, folder, ignore=shutil.ignore_patterns(".terraform"))
    init(folder, "-test-directory=tests/environments")
    return folder


@pytest.mark.parametrize("block", code_blocks("test: planned"), ids=str)
def test_documented_variables_can_be_planned(root_with_environments: Path, block: CodeBlock) -> None:
    needed = "" if block.code.startswith("name ") else 'name = "alex"\n'
    (root_with_environments / "page.tfvars").write_text(needed + block.code)
    said = terraform(root_with_environments, "test", "-test-directory=tests/environments", "-var-file=page.tfvars")
    assert "1 passed, 0 failed." in said


def test_plan_of_the_root_reports_each_rule_that_endpoints_break(root_with_environments: Path) -> None:
    (root_with_environments / "refused.tfvars").write_text(REFUSED)
    options = ("test", "-test-directory=tests/environments", "-var-file=refused.tfvars")
    output = " ".join(re.sub(r"[│╷╵]", " ", terraform(root_with_environments, *options, status=1)).split())
    assert "An endpoint has one type." in output
    assert "Affected: both, none." in output
    assert "Serverless endpoints cannot be attached to a VPC." in output
    assert "Affected: private." in output


@pytest.mark.parametrize("name", ["pipeline-aurora", "pipeline-local", "realtime-qwen3"])
def test_environments_that_no_test_applies_can_be_planned(root_with_environments: Path, name: str) -> None:
    variables = f"-var-file=environments/{name}.tfvars"
    said = terraform(root_with_environments, "test", "-test-directory=tests/environments", variables)
    assert "1 passed, 0 failed." in said


def test_environments_equal_the_example_except_for_the_stage() -> None:
    """What runs on one machine is what runs on AWS."""

    def settings(name: str) -> list[str]:
        lines = (SOURCE / "environments" / name).read_text().splitlines()
        return [line for line in lines if line.strip() and not line.startswith(("#", "environment"))]

    assert settings("local.tfvars") == settings("serverless-minilm.tfvars")
