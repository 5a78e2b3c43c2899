"""The GitHub workflows: actions pinned, permissions few, and what is applied is what was planned."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

GITHUB = Path(__file__).parents[2] / ".github"
FILES = sorted([*GITHUB.glob("workflows/*.yml"), *GITHUB.glob("actions/*/action.yml")])
WORKFLOWS = {file.stem: yaml.safe_load(file.read_text()) for file in GITHUB.glob("workflows/*.yml")}


def steps(workflow: str, job: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = WORKFLOWS[workflow]["jobs"][job]["steps"]
    return found


def commands(workflow: str, job: str) -> str:
    return "\n".join(step.get("run", "") for step in steps(workflow, job))


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_actions_are_pinned_by_commit_with_a_version_comment(file: Path) -> None:
    for line in re.findall(r"^.*\buses: .*$", file.read_text(), re.MULTILINE):
        assert re.search(r"uses: (\./|[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$)", line), line


@pytest.mark.parametrize("name", sorted(WORKFLOWS))
def test_workflows_have_read_permissions_by_default(name: str) -> None:
    assert WORKFLOWS[name]["permissions"] == {"contents": "read"}
    for job in WORKFLOWS[name]["jobs"].values():
        assert "timeout-minutes" in job or "uses" in job
        allowed = {"attestations": "write", "contents": "read", "id-token": "write", "pull-requests": "write"}
        assert job.get("permissions", {}).items() <= allowed.items()


def test_terraform_lint_runs_on_every_push_and_before_a_plan() -> None:
    assert WORKFLOWS["terraform-lint"][True]["push"] == {
        "branches-ignore": ["main"]
    }  # YAML 1.1 reads the key "on" as true
    jobs = WORKFLOWS["apply"]["jobs"]
    assert jobs["terraform-lint"] == {"uses": "./.github/workflows/terraform-lint.yml"}
    assert "workflow_call" in WORKFLOWS["terraform-lint"][True]
    assert (jobs["plan"]["needs"], jobs["apply"]["needs"]) == ("terraform-lint", "plan")
    said = commands("terraform-lint", "terraform-lint")
    for command in ("terraform fmt -check", "validate", " test", "make checkov"):
        assert command in said


def _scripts(file: Path) -> list[str]:
    """What a workflow or an action runs itself."""
    document = yaml.safe_load(file.read_text())
    jobs = [*document.get("jobs", {}).values(), document.get("runs", {})]
    return [step["run"] for job in jobs for step in job.get("steps", []) if "run" in step]


RUN = {
    f"{file.parent.name}/{file.name} {number}": script for file in FILES for number, script in enumerate(_scripts(file))
}


@pytest.mark.parametrize("name", RUN)
def test_workflow_commands_are_valid_shell_without_expressions(name: str) -> None:
    assert "${{" not in RUN[name], "what GitHub fills in becomes part of the program"
    shellcheck = [str(Path(sys.executable).with_name("shellcheck")), "--shell=bash", "-"]
    done = subprocess.run(shellcheck, input=RUN[name], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", sorted(WORKFLOWS))
def test_checkout_does_not_persist_its_token(name: str) -> None:
    for job in WORKFLOWS[name]["jobs"].values():
        for step in job.get("steps", []):
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"] == {"persist-credentials": False}


def test_only_the_plan_step_has_the_hub_token() -> None:
    told = [
        (name, step.get("run", ""))
        for name, workflow in WORKFLOWS.items()
        for job in workflow["jobs"].values()
        for step in job.get("steps", [])
        if "HUB_TOKEN" in str(step)
    ]
    assert sorted(name for name, _ in told) == ["apply", "drift", "plan"]
    assert all("terraform -chdir=terraform plan" in run and " apply " not in run for _, run in told)
    assert [name for name, workflow in WORKFLOWS.items() if "HUB_TOKEN" in str(workflow.get("env"))] == []
    assert "HUB_TOKEN" not in "".join(file.read_text() for file in GITHUB.glob("actions/*/action.yml"))


def test_workflows_share_identical_steps() -> None:
    blocks = [WORKFLOWS[name]["env"] for name in ("apply", "drift", "plan")]
    assert blocks[0] == blocks[1] == blocks[2]
    assert "".join(file.read_text() for file in FILES).count("terraform_version") == 1


def test_plan_job_holds_the_lock_and_is_not_cancelled() -> None:
    concurrency = WORKFLOWS["plan"]["jobs"]["plan"]["concurrency"]
    assert concurrency["cancel-in-progress"] is False
    assert "pull_request.number" in concurrency["group"]


_GH = """\
#!/bin/sh
case "$*" in
  *--paginate*) echo "$EARLIER" ;;
  *) echo "$@" > called; cp comment.md told ;;
esac
"""


@pytest.mark.parametrize(
    ("status", "said", "summary"),
    [
        (0, "No changes. Your infrastructure matches the configuration.", "No changes."),
        (2, "Plan: 1 to add, 0 to change, 0 to destroy.", "Plan: 1 to add, 0 to change, 0 to destroy."),
        (2, "Changes to Outputs:\n  + topic_arn = null", "Only outputs change."),
        (1, "Plan: a resource called so\nError: Invalid index", "The plan failed."),
    ],
)
@pytest.mark.parametrize("earlier", ["", "17"])
def test_plan_job_writes_one_pull_request_comment(
    tmp_path: Path, status: int, said: str, summary: str, earlier: str
) -> None:
    (tmp_path / "plan.txt").write_text(said)
    gh = tmp_path / "gh"
    gh.write_text(_GH)
    gh.chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}:/usr/bin:/bin", "EARLIER": earlier, "PLAN_STATUS": str(status), "VAR_FILE": "a.tfvars",
        "GITHUB_REPOSITORY": "example/embeddings", "NUMBER": "3",
    }  # fmt: skip
    (tell,) = (step["run"] for step in steps("plan", "plan") if step.get("name") == "Comment")
    done = subprocess.run(["bash", "-e", "-c", tell], cwd=tmp_path, env=environment, check=False)
    assert done.returncode == (status if status == 1 else 0)
    told = (tmp_path / "told").read_text()
    assert told.startswith(f"<!-- terraform plan -->\n**{summary}**\n")
    assert said in told
    called = (tmp_path / "called").read_text()
    assert ("comments/17" in called) == bool(earlier)
    assert ("PATCH" if earlier else "POST") in called


def run_plan(folder: Path, secret: str, *, private: str) -> tuple[int, str, str]:
    """The planning step of an apply, with a Terraform that says what it is told; its status, output and outputs."""
    terraform = folder / "terraform"
    terraform.write_text('#!/bin/sh\necho "token: ${TF_VAR_hub_token-none}"\ncase "$*" in *" plan "*) exit 2 ;; esac\n')
    terraform.chmod(0o755)
    environment = {
        "PATH": f"{folder}:/usr/bin:/bin", "TF_VAR_hub_token": secret, "PRIVATE": private, "VAR_FILE": "a.tfvars",
        "GITHUB_OUTPUT": str(folder / "output"), "GITHUB_STEP_SUMMARY": str(folder / "summary"),
    }  # fmt: skip
    (plan,) = (step["run"] for step in steps("apply", "plan") if step.get("id") == "plan")
    done = subprocess.run(["bash", "-e", "-c", plan], env=environment, check=False, capture_output=True, text=True)
    output = folder / "output"
    return done.returncode, done.stdout, output.read_text() if output.exists() else ""


def test_uploaded_plan_contains_no_token(tmp_path: Path) -> None:
    status, said, _ = run_plan(tmp_path, "hf_secret", private="false")
    assert status == 1
    assert "::error::The saved plan contains HUB_TOKEN" in said
    assert "hf_secret" not in said
    assert run_plan(tmp_path, "hf_secret", private="true")[:2] == (0, "token: hf_secret\n")
    assert run_plan(tmp_path, "", private="false") == (0, "token: none\n", "has_changes=true\n" * 2)


def test_apply_job_applies_the_saved_plan_behind_its_environment() -> None:
    assert WORKFLOWS["apply"][True]["push"] == {"branches": ["main"]}
    assert WORKFLOWS["apply"]["jobs"]["apply"]["environment"] == "production"
    assert WORKFLOWS["apply"]["concurrency"] == {"group": "apply", "cancel-in-progress": False}
    assert "-out=saved.tfplan" in commands("apply", "plan")
    applied = [line for line in commands("apply", "apply").splitlines() if " apply " in line]
    assert applied == ["terraform -chdir=terraform apply -input=false -lock-timeout=5m saved.tfplan"]
    assert commands("apply", "apply").rstrip().endswith("make test-endpoint TARGET=aws")


def test_apply_rejects_a_late_approval_before_it_has_credentials() -> None:
    done = steps("apply", "apply")
    (saved,) = (index for index, step in enumerate(done) if step.get("id") == "saved")
    assert done[saved]["continue-on-error"]
    assert done[saved + 1]["if"] == "steps.saved.outcome == 'failure'"
    assert "exit 1" in done[saved + 1]["run"]
    assert saved < next(index for index, step in enumerate(done) if "actions/terraform" in step.get("uses", ""))


def test_workflows_use_the_branch_and_environment_that_roles_trust() -> None:
    variables = (GITHUB.parent / "terraform" / "bootstrap" / "variables.tf").read_text()
    defaults = {
        name: re.search(rf'variable "{name}" {{.*?default += "(.+?)"', variables, re.DOTALL)
        for name in ("branch", "github_environment")
    }
    branch, environment = (found[1] for found in defaults.values() if found)
    assert WORKFLOWS["apply"]["jobs"]["apply"]["environment"] == environment
    assert WORKFLOWS["apply"][True]["push"]["branches"] == [branch]
    for workflow, job in (("apply", "plan"), ("drift", "drift")):
        assert f"github.ref == 'refs/heads/{branch}'" in WORKFLOWS[workflow]["jobs"][job]["if"]


def test_workflows_build_packages_before_they_have_credentials() -> None:
    first, second, *_ = yaml.safe_load((GITHUB / "actions/terraform/action.yml").read_text())["runs"]["steps"]
    assert 'make package-functions ARGS="$LAMBDA_ARGS"' in first["run"]
    assert "configure-aws-credentials" in second["uses"]
    arguments = {WORKFLOWS[name]["env"]["LAMBDA_ARGS"] for name in ("apply", "drift", "plan")}
    assert len(arguments) == 1


#: What downloads and installs programs.
_INSTALLS = re.compile(r"\b(pip3?|uv|npm|npx|apt-get|curl|wget)\b|install\.py|make (install|package|lint|checkov)")


def _steps_with_credentials() -> dict[str, list[dict[str, Any]]]:
    """The steps after the one that gives a job its role's credentials, by job."""
    after = {}
    for name, workflow in WORKFLOWS.items():
        for job, description in workflow["jobs"].items():
            used = [step.get("uses", "") for step in description.get("steps", [])]
            if "./.github/actions/terraform" in used:
                after[f"{name}/{job}"] = description["steps"][used.index("./.github/actions/terraform") + 1 :]
    action = yaml.safe_load((GITHUB / "actions/terraform/action.yml").read_text())["runs"]["steps"]
    (credentials,) = (index for index, step in enumerate(action) if "configure-aws-credentials" in step.get("uses", ""))
    return {**after, "terraform": action[credentials + 1 :]}


def test_workflows_install_nothing_once_they_have_credentials() -> None:
    steps_of = _steps_with_credentials()
    assert steps_of.keys() == {"apply/apply", "apply/plan", "drift/drift", "plan/plan", "terraform"}
    found = {
        f"{job}: {match[0]}"
        for job, following in steps_of.items()
        for step in following
        for match in _INSTALLS.finditer(step.get("run", ""))
    }
    assert found == set()


def test_commands_with_credentials_find_everything_installed(tmp_path: Path) -> None:
    done = steps("apply", "apply")
    assert "make install" in [step.get("run") for step in done]
    targets = sorted(re.findall(r"^make ([\w-]+)", "\n".join(step.get("run", "") for step in done), re.MULTILINE))
    assert targets == ["install", "test-endpoint", "verify"]
    shutil.copy(GITHUB.parent / "Makefile", tmp_path)
    for name in ("pyproject.toml", "localaws/pyproject.toml", *(f"locks/{lock}.txt" for lock in _LOCKS)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for marker in (".venv-uv", ".venv"):
        (tmp_path / marker).mkdir()
        (tmp_path / marker / ".installed").touch()
    said = subprocess.run(
        ["make", "--dry-run", *targets], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    assert "deploy verify" in said
    assert not _INSTALLS.search(said)


_LOCKS = ("build", "local", "uv", "weights")


@pytest.mark.parametrize("lock", _LOCKS)
def test_installed_packages_have_hashes(lock: str) -> None:
    """pip and uv reject a lock file in which one package has none."""
    requirements = (GITHUB.parent / "locks" / f"{lock}.txt").read_text().replace("\\\n", " ").splitlines()
    pinned = [line for line in requirements if re.match(r"[A-Za-z0-9]", line)]
    assert pinned
    assert [line.split()[0] for line in pinned if "--hash=sha256:" not in line] == []


def test_installations_require_hashes() -> None:
    folder = GITHUB.parent
    files = [folder / "Makefile", folder / "scripts/install.py", *FILES]
    commands_of_pip = [
        line
        for file in files
        for line in re.findall(r"^.*\bpip install .*$", file.read_text(), re.MULTILINE)
        if "--require-hashes" not in line
    ]
    assert commands_of_pip == []
    assert '_LOCKED = ["--quiet", "--no-deps", "--require-hashes"]' in (folder / "scripts/install.py").read_text()


def test_workflows_pass_on_what_the_bootstrap_prints() -> None:
    outputs = (GITHUB.parent / "terraform" / "bootstrap" / "outputs.tf").read_text()
    printed = set(re.findall(r"^    ([A-Z_]+) +=", outputs, re.MULTILINE))
    assert {"NOTIFICATIONS_KEY_ARN", "PERMISSIONS_BOUNDARY_ARN", "ROLE_PATH"} <= printed
    used = {name for file in FILES for name in re.findall(r"\bvars\.(\w+)", file.read_text())}
    assert used == printed | {"LAMBDA_ARGS", "VAR_FILE"}


def test_only_the_apply_uses_the_role_that_applies() -> None:
    roles = {
        f"{name}/{job}": step["with"]["role"]
        for name, workflow in WORKFLOWS.items()
        for job, description in workflow["jobs"].items()
        for step in description.get("steps", [])
        if step.get("uses") == "./.github/actions/terraform"
    }
    plan = "${{ vars.AWS_PLAN_ROLE_ARN }}"
    assert roles == {
        "apply/apply": "${{ vars.AWS_APPLY_ROLE_ARN }}",
        "apply/plan": plan,
        "drift/drift": plan,
        "plan/plan": plan,
    }


def test_drift_is_looked_for_every_night() -> None:
    assert len(WORKFLOWS["drift"][True]["schedule"]) == 1
    assert "-detailed-exitcode" in commands("drift", "drift")


def test_release_publishes_what_was_tested_built_and_attested() -> None:
    jobs = WORKFLOWS["release"]["jobs"]
    assert WORKFLOWS["release"][True] == {"push": {"tags": ["v*"]}}
    assert jobs["ci"] == {"uses": "./.github/workflows/ci.yml"}
    assert (jobs["build"]["needs"], jobs["publish"]["needs"]) == ("ci", "build")
    assert "attest-build-provenance" in str(jobs["build"]["steps"])
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert jobs["publish"]["environment"] == "pypi"
    assert not any("run" in step for step in jobs["publish"]["steps"]), "the job that may publish runs no code"


@pytest.mark.parametrize(("tag", "status"), [("v1.2.3", 0), ("v1.2.4", 1)])
def test_release_refuses_a_tag_of_another_version(tmp_path: Path, tag: str, status: int) -> None:
    for name, script in (("pip", ""), ("hatchling", 'echo "$@" >> ran; [ "$1" != version ] || echo 1.2.3')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    (build,) = (step["run"] for step in steps("release", "build") if "run" in step)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "GITHUB_REF_NAME": tag}
    done = subprocess.run(["bash", "-e", "-c", build], cwd=tmp_path, env=environment, check=False, capture_output=True)
    assert done.returncode == status
    assert ("build" in (tmp_path / "ran").read_text().split()) == (status == 0)


def test_ci_runs_the_readme_commands_and_every_python() -> None:
    jobs = WORKFLOWS["ci"]["jobs"]
    assert commands("ci", "up-and-test").endswith(".ci/run")
    assert jobs["unit-tests"]["strategy"]["matrix"] == {"python": ["3.11", "3.12", "3.13", "3.14"]}
    assert jobs["unit-tests-macos"]["runs-on"].startswith("macos-")
    folders = re.findall(r"tests/\S+(?=[ \"])", commands("ci", "unit-tests-macos"))
    assert folders
    assert all((GITHUB.parent / folder).is_dir() for folder in folders)
