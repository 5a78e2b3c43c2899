"""What the tests of the Terraform code share."""

import shutil
from pathlib import Path

import pytest

from tests.terraform.running import SOURCE, Applied, apply_mocked


@pytest.fixture(scope="session")
def applied_root(tmp_path_factory: pytest.TempPathFactory) -> Applied:
    """Everything that the root can make, made by a mocked provider."""
    return _applied(SOURCE, tmp_path_factory)


@pytest.fixture(scope="session")
def applied_bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Applied:
    """Everything that the bootstrap can make, made by a mocked provider."""
    return _applied(SOURCE / "bootstrap", tmp_path_factory)


def _applied(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Applied:
    if shutil.which("terraform") is None:
        pytest.skip("terraform is not installed")
    return apply_mocked(root, tmp_path_factory.mktemp("published") / "root")
