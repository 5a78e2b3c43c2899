"""Lock files, and what installs them."""

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from install import uv_environment

LOCKS = Path(__file__).parents[3] / "locks"
FILES = sorted(LOCKS.glob("*.txt"))


def requirements(lock):
    """The requirements of a lock file, each with its hashes on one line."""
    lines = lock.read_text().replace("\\\n", " ").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def pins(name):
    return {
        (requirement.name, str(requirement.specifier), str(requirement.marker))
        for requirement in map(Requirement, (line.split(" --hash")[0] for line in requirements(LOCKS / f"{name}.txt")))
    }


@pytest.mark.parametrize("lock", FILES, ids=lambda lock: lock.stem)
def test_lock_pins_every_package_with_hashes(lock):
    assert requirements(lock)
    for line in requirements(lock):
        assert re.search(r"^[a-z0-9-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", line), line


@pytest.mark.parametrize("lock", FILES, ids=lambda lock: lock.stem)
def test_lock_names_no_index_and_no_folder(lock):
    assert not re.search(r"^-|://| @ |file:", "\n".join(requirements(lock)))


def test_every_input_has_a_lock():
    assert {file.stem for file in LOCKS.glob("*.in")} | {"torch-cpu"} == {file.stem for file in FILES}


def test_local_lock_is_a_part_of_the_development_lock():
    names = {(name, version) for name, version, _ in pins("dev")}
    assert {(name, version) for name, version, _ in pins("local")} <= names
    local = {name for name, _, _ in pins("local")}
    assert not local & {"awscli", "checkov", "mypy", "pytest", "ruff", "torch"}


def test_cuda_libraries_are_in_the_lock_of_pytorch_only():
    for lock in FILES:
        names = {name for name, _, _ in pins(lock.stem)}
        cuda = {name for name in names if re.match(r"(nvidia|cuda)-|torch$|triton$", name)}
        assert cuda == (names if lock.stem.startswith("torch") else set())


def test_uv_environment_follows_pips_configuration():
    config = """
:env:.find-links='/wheels'
global.cert='/ca.pem'
global.extra-index-url='https://one.example/simple\\nhttps://two.example/simple'
global.find-links='/others'
global.index-url='https://pypi.example/simple'
global.timeout='15'
install.timeout='180'
list.format='columns'
"""
    variables = uv_environment(config, {"PATH": "/bin"})
    assert variables == {
        "PATH": "/bin",
        "SSL_CERT_FILE": "/ca.pem",
        "UV_DEFAULT_INDEX": "https://pypi.example/simple",
        "UV_FIND_LINKS": "/wheels",
        "UV_HTTP_TIMEOUT": "180",
        "UV_INDEX": "https://one.example/simple https://two.example/simple",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_SYSTEM_CERTS": "true",
    }


def test_uv_environment_keeps_variables_that_are_set():
    variables = uv_environment("global.index-url='https://pip.example'", {"UV_DEFAULT_INDEX": "https://uv.example"})
    assert variables["UV_DEFAULT_INDEX"] == "https://uv.example"


def test_uv_environment_separates_folders_by_commas():
    assert uv_environment("global.find-links='/a /b'", {})["UV_FIND_LINKS"] == "/a,/b"
