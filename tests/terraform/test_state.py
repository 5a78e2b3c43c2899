"""The bootstrap, applied; and the state in its bucket: a held lock is told of, and two applies do not mix."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from embedstack_ops.terraform.driver import TerraformRoot
from tests.integration.conftest import Stack, running_stack
from tests.terraform.running import SOURCE

BUCKET = "alex-state-123456789012-us-east-1"
BOOTSTRAP = """
name                 = "alex"
cost_allocation_tags = ["Environment", "Project"]
repository           = "someone/alex"
"""
KEY = "alex/terraform.tfstate"
SLOW = """
resource "terraform_data" "slow" {
  provisioner "local-exec" {
    command = "sleep 3"
  }
}
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("state")) as stack:
        # As on AWS, where the state is the default workspace's.
        os.environ.pop("TF_WORKSPACE")
        yield stack


@pytest.fixture(scope="module")
def bootstrap(stack: Stack) -> Iterator[TerraformRoot]:
    """What makes the state's bucket and the roles of the workflows, applied and destroyed."""
    folder = stack.folder.parent / "bootstrap"
    shutil.copytree(SOURCE / "bootstrap", folder, ignore=shutil.ignore_patterns(".terraform", "*.tfstate*", "tests"))
    (folder / "bootstrap.tfvars").write_text(BOOTSTRAP)
    root = TerraformRoot(folder, folder / "bootstrap.tfvars")
    root.init()
    root.apply(root.plan(folder / "plan"), show_progress=False)
    yield root
    # It holds the states of what was applied since, in all their versions, and is not destroyed with them.
    s3 = stack.client("s3")
    versions = s3.list_object_versions(Bucket=BUCKET)
    for version in versions.get("Versions", []) + versions.get("DeleteMarkers", []):
        s3.delete_object(Bucket=BUCKET, Key=version["Key"], VersionId=version["VersionId"])
    root.destroy()
    assert root.resources() == []
    assert s3.list_buckets()["Buckets"] == []
    assert [role for role in stack.client("iam").list_roles()["Roles"] if "alex" in role["RoleName"]] == []


def test_the_bootstrap_is_applied_whole(bootstrap: TerraformRoot, stack: Stack) -> None:
    assert not bootstrap.plan(bootstrap.folder / "plan").has_changes
    assert bootstrap.outputs()["github_variables"]["STATE_BUCKET"] == BUCKET
    assert stack.client("s3").get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
    tags = stack.client("ce").list_cost_allocation_tags(Status="Active")["CostAllocationTags"]
    assert {tag["TagKey"] for tag in tags} == {"Environment", "Project"}


def start(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    """Start terraform in a folder; the stack's environment names the local AWS."""
    return subprocess.Popen(
        ["terraform", *arguments, "-input=false", "-no-color"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def checkout(bootstrap: TerraformRoot, folder: Path) -> Path:
    """A person's working copy, initialised on the shared state as the bootstrap's output tells."""
    folder.mkdir()
    (folder / "backend.tf").write_text(bootstrap.outputs()["backend"])
    (folder / "main.tf").write_text(SLOW)
    said, _ = start(folder, "init").communicate()
    assert "Successfully configured the backend" in said, said
    return folder


def test_a_held_lock_is_told_of(bootstrap: TerraformRoot, stack: Stack, tmp_path: Path) -> None:
    lock = f"{KEY}.tflock"
    stack.client("s3").put_object(
        Bucket=BUCKET, Key=lock, Body=b'{"ID":"0a1b2c3d","Operation":"OperationTypeApply","Who":"somebody@elsewhere"}'
    )
    process = start(checkout(bootstrap, tmp_path / "one"), "plan")
    said, _ = process.communicate()
    assert process.returncode == 1
    assert "Error acquiring the state lock" in said, said
    assert "somebody@elsewhere" in said
    stack.client("s3").delete_object(Bucket=BUCKET, Key=lock)


def test_concurrent_applies_wait_or_fail_cleanly(bootstrap: TerraformRoot, stack: Stack, tmp_path: Path) -> None:
    """It fails where the lock is released between the refusal and the look at who holds it."""
    folders = [checkout(bootstrap, tmp_path / name) for name in ("one", "two")]
    applies = [start(folder, "apply", "-auto-approve", "-lock-timeout=60s") for folder in folders]
    said = [apply.communicate()[0] for apply in applies]
    assert sum("1 added" in text for text in said) == 1, said
    for apply, text in zip(applies, said, strict=True):
        assert apply.returncode == 0 or "Error acquiring the state lock" in text, text

    again, _ = start(folders[0], "apply", "-auto-approve").communicate()
    assert "No changes" in again, again
    assert "Contents" not in stack.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=f"{KEY}.tflock")
