"""``localaws.json``: which process is the local AWS of a state directory."""

import contextlib
import errno
import json
import os
from pathlib import Path
from typing import Any

__all__ = ["is_disk_full", "read_state", "remove_state", "write_json", "write_state"]

_NAME = "localaws.json"
_MEMBERS = {"pid", "started", "port", "region", "account_id"}


def write_state(state_dir: Path, state: dict[str, Any]) -> None:
    """Write the file; see :func:`write_json`."""
    write_json(state_dir / _NAME, state)


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Write a JSON file atomically, so that a crash leaves no half of one.

    Raises:
        OSError: It cannot be written.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        temporary.write_text(json.dumps(document), encoding="utf-8")
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def read_state(state_dir: Path) -> dict[str, Any] | None:
    """The file's content; None without a file, or if it is damaged."""
    with contextlib.suppress(OSError, ValueError):
        state = json.loads((state_dir / _NAME).read_text(encoding="utf-8"))
        if isinstance(state, dict) and state.keys() >= _MEMBERS:
            return state
    return None


def remove_state(state_dir: Path, pid: int | None = None) -> None:
    """Remove the file; with a pid, only if it names that process."""
    state = read_state(state_dir)
    if pid is None or (state is not None and state["pid"] == pid):
        (state_dir / _NAME).unlink(missing_ok=True)


def is_disk_full(error: OSError) -> bool:
    """Whether the error is a full disk or an exceeded quota."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)
