"""The GitHub workflows: actions pinned, permissions few, and what is applied is what was planned."""

import re
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
def test_actions_are_pinned_by_commit_and_tell_their_version(file: Path) -> None:
    for line in re.findall(r"^.*\buses: .*$", file.read_text(), re.MULTILINE):
        assert re.search(r"uses: (\./|[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$)", line), line


@pytest.mark.parametrize("name", sorted(WORKFLOWS))
def test_workflows_may_only_read_unless_a_job_needs_more(name: str) -> None:
    assert WORKFLOWS[name]["permissions"] == {"contents": "read"}
    for job in WORKFLOWS[name]["jobs"].values():
        assert "timeout-minutes" in job
        allowed = {"contents": "read", "id-token": "write", "pull-requests": "write"}
        assert job.get("permissions", {}).items() <= allowed.items()


def test_every_push_is_checked() -> None:
    assert WORKFLOWS["plan"][True]["push"] is None  # YAML 1.1 reads the key "on" as true
    said = commands("plan", "check")
    for command in ("terraform fmt -check", "validate", " test", "checkov --config-file"):
        assert command in said


def test_a_pull_request_has_one_comment() -> None:
    said = commands("plan", "plan")
    assert "--method PATCH" in said
    assert "--method POST" in said
    assert "<!-- terraform plan -->" in said
    assert "apply" not in said


def test_what_is_applied_is_the_saved_plan_behind_the_environment() -> None:
    assert WORKFLOWS["apply"][True]["push"] == {"branches": ["main"]}
    assert WORKFLOWS["apply"]["jobs"]["apply"]["environment"] == "production"
    assert WORKFLOWS["apply"]["concurrency"] == {"group": "apply", "cancel-in-progress": False}
    assert "-out=saved.tfplan" in commands("apply", "plan")
    applied = [line for line in commands("apply", "apply").splitlines() if " apply " in line]
    assert applied == ["terraform -chdir=terraform apply -input=false -lock-timeout=5m saved.tfplan"]
    assert commands("apply", "apply").rstrip().endswith("make test-endpoint TARGET=aws")


def test_packages_are_built_before_there_are_credentials_and_alike_in_every_job() -> None:
    first, second, *_ = yaml.safe_load((GITHUB / "actions/terraform/action.yml").read_text())["runs"]["steps"]
    assert 'make lambda ARGS="$LAMBDA_ARGS"' in first["run"]
    assert "configure-aws-credentials" in second["uses"]
    arguments = {WORKFLOWS[name]["env"]["LAMBDA_ARGS"] for name in ("apply", "drift", "plan")}
    assert len(arguments) == 1


def test_only_the_apply_uses_the_role_that_applies() -> None:
    roles = {
        f"{name}/{job}": step["with"]["role"]
        for name, workflow in WORKFLOWS.items()
        for job, description in workflow["jobs"].items()
        for step in description["steps"]
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
