"""A local AWS of its own with a copy of terraform/, for a while: what benchmarks and tests apply things to."""

import json
import os
import shutil
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3

from embedstack_ops.cli.checkout import TERRAFORM
from embedstack_ops.cli.target import local_environment
from embedstack_ops.terraform.driver import TerraformRoot
from localaws.config import LocalAwsConfig
from localaws.core.clock import TIME_PATH
from localaws.process import daemon

__all__ = ["LOCAL_VARIABLES", "TemporaryStack", "temporary_stack"]

LOCAL_VARIABLES = TERRAFORM / "environments" / "local.tfvars"


@dataclass(frozen=True)
class TemporaryStack:
    """A running local AWS, and a root module that is not yet initialised.

    Attributes:
        running: The local AWS.
        environment: The variables that point SDKs, CLI and Terraform at it; they are set while it runs.
        folder: The root module's.
    """

    running: daemon.RunningLocalAws
    environment: dict[str, str]
    folder: Path
    _clients: dict[str, Any] = field(default_factory=dict)

    @property
    def plan_file(self) -> Path:
        """Where plans go."""
        return self.folder / "plan"

    def root(self, variables: str = "") -> TerraformRoot:
        """The root with the local environment's variables, or with others in their place."""
        file = self.folder / "temporary.tfvars"
        file.write_text(variables or LOCAL_VARIABLES.read_text())
        return TerraformRoot(self.folder, file)

    def apply(self, variables: str = "") -> TerraformRoot:
        """Initialise the root, and apply it."""
        root = self.root(variables)
        root.init()
        root.apply(root.plan(self.plan_file), show_progress=False)
        return root

    def is_up_to_date(self, root: TerraformRoot) -> bool:
        """Whether an apply would change nothing."""
        return not root.plan(self.plan_file).has_changes

    def client(self, service: str) -> Any:
        """A boto3 client, the same one each time."""
        if service not in self._clients:
            session: Any = boto3.Session(region_name=self.running.region)
            self._clients[service] = session.client(service)
        return self._clients[service]

    def advance(self, seconds: float) -> None:
        """Let the local AWS's time pass, with all that falls due in it."""
        url = self.running.url + TIME_PATH
        urllib.request.urlopen(url, json.dumps({"advance": seconds}).encode(), timeout=60).close()


@contextmanager
def temporary_stack(folder: Path | None = None, config: LocalAwsConfig | None = None) -> Iterator[TemporaryStack]:
    """Start a stack, and leave nothing of it behind: no process, and the environment as it was.

    Args:
        folder: Where its files go, and stay; a temporary folder otherwise, which goes.
        config: Of the local AWS; a free port and the defaults otherwise.
    """
    with ExitStack() as left:
        if folder is None:
            folder = Path(left.enter_context(tempfile.TemporaryDirectory(prefix="stack-", ignore_cleanup_errors=True)))
        left.callback(_restore, dict(os.environ))
        state = folder / "state"
        left.callback(daemon.stop, state)
        running = daemon.start(config or LocalAwsConfig(port=0), state, ends_with_caller=True)
        environment = {"AWS_PAGER": ""}
        for name, value in local_environment(running.environment(), "temporary").items():
            os.environ.pop(name, None)
            if value is not None:
                environment[name] = value
        os.environ.update(environment)
        ignored = shutil.ignore_patterns(".terraform", "*.tfstate*", "tests")
        root = shutil.copytree(TERRAFORM, folder / "terraform", ignore=ignored)
        yield TemporaryStack(running, environment, root)


def _restore(environment: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
