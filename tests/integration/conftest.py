"""A stack of one's own for each module: a local AWS on a free port, and a copy of the Terraform root."""

import fcntl
import json
import os
import shutil
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest

import build_lambda
from embedstack.function_package import FUNCTIONS
from embedstack.function_wheels import Target
from embedstack.localaws import daemon
from embedstack.localaws.config import LocalAwsConfig
from embedstack.localaws.simulated_time import TIME_PATH
from embedstack.terraform import TerraformRoot
from tests.attached_provider import attached_provider

REPOSITORY = Path(__file__).parents[2]
VARIABLES = REPOSITORY / "terraform" / "environments" / "local.tfvars"


@dataclass(frozen=True)
class Stack:
    """A running local AWS, its environment variables, and a root module that is not yet initialised."""

    running: daemon.RunningLocalAws
    environment: dict[str, str]
    folder: Path
    _clients: dict[str, Any] = field(default_factory=dict)

    def root(self, variables: str = "") -> TerraformRoot:
        """The root with the local environment's variables, or with others in their place."""
        file = self.folder / "test.tfvars"
        file.write_text(variables or VARIABLES.read_text())
        return TerraformRoot(self.folder, file)

    def client(self, service: str) -> Any:
        if service not in self._clients:
            session: Any = boto3.Session(region_name="us-east-1")
            self._clients[service] = session.client(service)
        return self._clients[service]

    def apply(self, variables: str = "") -> TerraformRoot:
        root = self.root(variables)
        root.init()
        root.apply(root.plan(self.folder / "plan"), show_progress=False)
        return root

    def advance(self, seconds: float) -> None:
        """Let the local AWS's time pass, with all that falls due in it."""
        url = self.running.url + TIME_PATH
        urllib.request.urlopen(url, json.dumps({"advance": seconds}).encode(), timeout=60).close()

    def is_up_to_date(self, root: TerraformRoot) -> bool:
        return not root.plan(self.folder / "plan").has_changes


@contextmanager
def running_stack(folder: Path, config: LocalAwsConfig | None = None) -> Iterator[Stack]:
    """Start a stack in a folder, and leave nothing of it behind."""
    state = folder / "state"
    running = daemon.start(config or LocalAwsConfig(port=0), state)
    environment = {**running.environment(), "TF_WORKSPACE": "test", "AWS_PAGER": ""}
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        root = folder / "terraform"
        shutil.copytree(
            REPOSITORY / "terraform", root, ignore=shutil.ignore_patterns(".terraform", "*.tfstate*", "tests")
        )
        with attached_provider(os.environ) as attached:
            os.environ.update(attached)
            yield Stack(running, {**environment, **attached}, root)
    finally:
        os.environ.clear()
        os.environ.update(before)
        daemon.stop(state)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """A stack for one test."""
    with running_stack(tmp_path) as stack:
        yield stack


@pytest.fixture(scope="session")
def function_packages(tmp_path_factory: pytest.TempPathFactory, minilm_folder: Path) -> Path:
    """The folder with the functions' packages for this machine: built once, whichever worker needs them first."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    folder, unfinished = root / "function-packages", root / "function-packages.unfinished"
    with (root / "function-packages.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            tokenizer = minilm_folder / "tokenizer.json"
            options = {"folder": unfinished, "wheels": root / "wheels", "tokenizer": tokenizer}
            list(build_lambda.build(sorted(FUNCTIONS), Target.of_this_machine(), **options))
            unfinished.rename(folder)
    return folder
