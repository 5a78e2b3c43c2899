"""What the tests of the Terraform code share."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.attached_provider import ATTACHED, attached_provider
from tests.terraform.running import SOURCE, Applied, apply_mocked, without_account


@pytest.fixture(scope="module", autouse=True)
def provider() -> Iterator[None]:
    """One provider process for all tests of a module."""
    if shutil.which("terraform") is None:
        yield
        return
    with attached_provider(without_account()) as attached:
        os.environ.update(attached)
        try:
            yield
        finally:
            del os.environ[ATTACHED]


@pytest.fixture(scope="module")
def applied_root(provider: None, tmp_path_factory: pytest.TempPathFactory) -> Applied:
    """Everything that the root can make, made by a mocked provider."""
    return _applied(SOURCE, tmp_path_factory)


@pytest.fixture(scope="module")
def applied_bootstrap(provider: None, tmp_path_factory: pytest.TempPathFactory) -> Applied:
    """Everything that the bootstrap can make, made by a mocked provider."""
    return _applied(SOURCE / "bootstrap", tmp_path_factory)


def _applied(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Applied:
    if shutil.which("terraform") is None:
        pytest.skip("terraform is not installed")
    return apply_mocked(root, tmp_path_factory.mktemp("published") / "root")
