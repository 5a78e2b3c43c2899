"""The state in the S3 backend, as the bootstrap sets it up: a held lock is told of, and two applies do not mix."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import Stack, running_stack

BUCKET = "alex-state-123456789012-us-east-1"
KEY = "alex/terraform.tfstate"
ROOT = f"""
terraform {{
  backend "s3" {{
    bucket       = "{BUCKET}"
    encrypt      = true
    key          = "{KEY}"
    region       = "us-east-1"
    use_lockfile = true
  }}
}}

resource "terraform_data" "slow" {{
  provisioner "local-exec" {{
    command = "sleep 3"
  }}
}}
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("state")) as stack:
        # As on AWS, where the state is the default workspace's.
        os.environ.pop("TF_WORKSPACE")
        stack.client("s3").create_bucket(Bucket=BUCKET)
        yield stack


def start(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    """Start terraform in a folder; the stack's environment names the local AWS."""
    return subprocess.Popen(
        ["terraform", *arguments, "-input=false", "-no-color"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def checkout(folder: Path) -> Path:
    """A person's working copy, initialised on the shared state."""
    folder.mkdir()
    (folder / "main.tf").write_text(ROOT)
    said, _ = start(folder, "init").communicate()
    assert "Successfully configured the backend" in said, said
    return folder


def test_a_held_lock_is_told_of(stack: Stack, tmp_path: Path) -> None:
    lock = f"{KEY}.tflock"
    stack.client("s3").put_object(
        Bucket=BUCKET, Key=lock, Body=b'{"ID":"0a1b2c3d","Operation":"OperationTypeApply","Who":"somebody@elsewhere"}'
    )
    process = start(checkout(tmp_path / "one"), "plan")
    said, _ = process.communicate()
    assert process.returncode == 1
    assert "Error acquiring the state lock" in said, said
    assert "somebody@elsewhere" in said
    stack.client("s3").delete_object(Bucket=BUCKET, Key=lock)


def test_of_two_applies_at_once_one_waits_or_fails_cleanly(stack: Stack, tmp_path: Path) -> None:
    """It fails where the lock is released between the refusal and the look at who holds it."""
    folders = [checkout(tmp_path / "one"), checkout(tmp_path / "two")]
    applies = [start(folder, "apply", "-auto-approve", "-lock-timeout=60s") for folder in folders]
    said = [apply.communicate()[0] for apply in applies]
    assert sum("1 added" in text for text in said) == 1, said
    for apply, text in zip(applies, said, strict=True):
        assert apply.returncode == 0 or "Error acquiring the state lock" in text, text

    again, _ = start(folders[0], "apply", "-auto-approve").communicate()
    assert "No changes" in again, again
    assert "Contents" not in stack.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=f"{KEY}.tflock")
