"""Terraform's AWS provider as one process for many commands, in Terraform's own debug mode.

Without it, each command checks the provider's 700 MB against the lock file and loads them, which takes eight seconds of
processor time. `make up`, `make pipeline` and the test of a killed apply start the provider as users do.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from embedstack_ops.terraform.driver import TerraformRoot
from localaws.process.lifeline import Lifeline

__all__ = ["ATTACHED", "attached_provider"]

#: The environment variable by which Terraform finds a provider that runs.
ATTACHED = "TF_REATTACH_PROVIDERS"
#: The environment variable that names a folder for the providers' logs; tests/terraform/provider_calls.py reads them.
_LOGS = "EMBEDSTACK_PROVIDER_LOGS"
_REPOSITORY = Path(__file__).parents[2]
_LOCK_FILE = ".terraform.lock.hcl"
_ATTACH = re.compile(rf"{ATTACHED}='(.*)'")


@contextmanager
def attached_provider(environment: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Run the provider.

    Args:
        environment: Of its process. Terraform's own does not reach it, so that it says which AWS it talks to.

    Yields:
        The variable that makes Terraform use it, to be put into Terraform's environment.
    """
    # With a bundle, the provider could be configured only once.
    own = {name: value for name, value in environment.items() if name != "AWS_CA_BUNDLE"}
    logs = os.environ.get(_LOGS)
    if logs:
        own["TF_LOG"] = "DEBUG"
    (program,) = _installed(_installation())
    with (Path(logs) / f"{uuid.uuid4()}.log" if logs else Path(os.devnull)).open("w") as log:
        process = subprocess.Popen([program, "-debug"], env=own, stdout=subprocess.PIPE, stderr=log, text=True)
    lifeline = Lifeline(process.pid, signal="TERM")
    try:
        assert process.stdout is not None
        attach = next(match[1] for line in process.stdout if (match := _ATTACH.search(line)))
        yield {ATTACHED: attach}
    finally:
        process.terminate()
        process.communicate()
        lifeline.release()


def _installation() -> Path:
    """The folder in which Terraform has installed the locked provider, which it does when that is first asked for."""
    lock_file = _REPOSITORY / "terraform" / _LOCK_FILE
    folder = _REPOSITORY / ".local" / f"provider-{_digest(lock_file.read_bytes())}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _installed(folder):
            for name in ("versions.tf", _LOCK_FILE):
                shutil.copy(lock_file.with_name(name), folder)
            TerraformRoot(folder).init()
            assert (folder / _LOCK_FILE).read_bytes() == lock_file.read_bytes(), "the lock file has no such provider"
    return folder


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


def _installed(folder: Path) -> list[Path]:
    return list(folder.glob(".terraform/providers/*/hashicorp/aws/*/*/terraform-provider-aws_*"))
