"""``localaws.json``: which process is the local AWS of a state directory."""

import contextlib
import errno
import json
import os
from pathlib import Path
from typing import Any

_NAME = "localaws.json"


def write_state(state_dir: Path, state: dict[str, Any]) -> None:
    """Write the file; see :func:`write_whole`."""
    write_whole(state_dir / _NAME, state)


def write_whole(path: Path, document: dict[str, Any]) -> None:
    """Write a file of JSON whole or not at all: of half of it whoever clears up after a crash could make nothing.

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
    """What the file says, or None when there is none, or none that makes sense."""
    with contextlib.suppress(OSError, ValueError):
        state = json.loads((state_dir / _NAME).read_text(encoding="utf-8"))
        if isinstance(state, dict) and {"pid", "started", "port", "region", "account_id"} <= state.keys():
            return state
    return None


def remove_state(state_dir: Path, pid: int | None = None) -> None:
    """Remove the file; with a pid, only when it is that process's."""
    state = read_state(state_dir)
    if pid is None or (state is not None and state["pid"] == pid):
        (state_dir / _NAME).unlink(missing_ok=True)


def is_disk_full(error: OSError) -> bool:
    """Whether an error says that no more can be written."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)
