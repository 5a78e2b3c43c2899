"""A separate stack for each module: a local AWS on a free port, a copy of the Terraform root. One Postgres for all."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from embedstack.stores import embedded_postgres
from embedstack.stores.embedded_postgres import EmbeddedPostgres
from embedstack_ops.cli import package_functions
from embedstack_ops.lambda_packages.build import FUNCTIONS
from embedstack_ops.lambda_packages.wheels import Target
from localaws.config import LocalAwsConfig
from localaws.process.lifeline import Lifeline
from tests.support.attached_provider import attached_provider
from tests.support.temporary_stack import LOCAL_VARIABLES as VARIABLES, TemporaryStack as Stack, temporary_stack

__all__ = ["REPOSITORY", "VARIABLES", "Stack", "function_packages", "running_stack", "stack"]

REPOSITORY = Path(__file__).parents[2]


@contextmanager
def running_stack(folder: Path, config: LocalAwsConfig | None = None) -> Iterator[Stack]:
    """Start a stack in a folder, with one provider for all its commands, and leave nothing of it behind."""
    with temporary_stack(folder, config) as stack, attached_provider(os.environ) as attached:
        os.environ.update(attached)
        yield replace(stack, environment={**stack.environment, **attached})


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
            names, target = sorted(FUNCTIONS), Target.of_this_machine()
            list(package_functions.build(names, target, unfinished, tokenizer=tokenizer, wheels=root / "wheels"))
            unfinished.rename(folder)
    return folder / Target.of_this_machine().name


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A server in a folder that only its owner can enter."""
    folder = tmp_path_factory.mktemp("postgres") / "data"
    try:
        running = embedded_postgres.start(folder)
        lifeline = Lifeline(running.pid)  # stops the server if the tests are killed
        yield running
        lifeline.release()
    finally:
        embedded_postgres.stop(folder)
