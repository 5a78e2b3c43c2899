"""The file with the state of a local AWS that was stopped with ``--keep``, and what it says about itself.

The file is written beside its place and then renamed: a save that is interrupted leaves the previous file as it is.
"""

import contextlib
import hashlib
import importlib.metadata
import json
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO

from localaws.errors import LocalAwsError

__all__ = ["KEEP_SIGNAL", "SavedFile", "SavedHeader", "code_digest"]

#: Stops a local AWS and keeps its state.
KEEP_SIGNAL = signal.SIGUSR1

_NAME = "saved-state"


@dataclass(frozen=True, slots=True)
class SavedHeader:
    """The first line of the file.

    Attributes:
        code: Digest of the program that wrote it; only the same program can read it.
        pid: The process that wrote it.
        saved: The time, in ISO 8601.
        left_out: The services of moto whose state could not be written.
    """

    code: str
    pid: int
    saved: str
    left_out: list[str] = field(default_factory=list)


class SavedFile:
    """The file in a state directory."""

    def __init__(self, state_dir: Path) -> None:
        """Use the file of a state directory, which may not exist."""
        self.path = state_dir / _NAME

    @property
    def header(self) -> SavedHeader | None:
        """What the file says about itself; None without a file, or if it is damaged."""
        with contextlib.suppress(OSError, ValueError, TypeError), self.path.open("rb") as file:
            return SavedHeader(**json.loads(file.readline()))
        return None

    @contextlib.contextmanager
    def reading(self) -> Iterator[IO[bytes]]:
        """Open the content.

        Raises:
            LocalAwsError: Another version of the program wrote it, or it is damaged.
        """
        header = self.header
        if header is None or header.code != code_digest():
            reason = "is damaged" if header is None else "was written by another version of the local AWS or of Python"
            raise LocalAwsError(
                f"The kept state {self.path} {reason} and cannot be read. Delete it with `make down` and start again, "
                "or start it with that version."
            )
        with self.path.open("rb") as file:
            file.readline()
            yield file

    @contextlib.contextmanager
    def writing(self, header: SavedHeader) -> Iterator[IO[bytes]]:
        """Open a new file, which replaces the old one at the end of the context.

        Raises:
            OSError: It cannot be written; the old one stays.
        """
        partial = self.path.with_name(f"{_NAME}.partial")
        try:
            # It holds secrets and keys.
            partial.unlink(missing_ok=True)
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(json.dumps(asdict(header)).encode() + b"\n")
                yield file
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self.path)
        finally:
            partial.unlink(missing_ok=True)

    def discard(self) -> None:
        """Delete the file."""
        self.path.unlink(missing_ok=True)


def code_digest() -> str:
    """A digest of what the content depends on: the code of localaws and the versions of moto and Python."""
    digest = hashlib.sha256()
    digest.update(f"{sys.version_info[:2]} {importlib.metadata.version('moto')}".encode())
    package = Path(__file__).parents[1]
    for path in sorted(package.rglob("*.py")):
        digest.update(f"{path.relative_to(package)} ".encode() + path.read_bytes())
    return digest.hexdigest()
