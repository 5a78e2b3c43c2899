"""A process that reads documents, seen from its parent."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, cast

from embedstack.calls.process_local import disconnect, keep_forever, renew_after_fork
from embedstack.documents.document import Document, Section
from embedstack.documents.limits import Allowance
from embedstack.documents.readers.worker import LENGTH, READY
from embedstack.errors import ConfigurationError, DocumentRefused, EmbedStackError

__all__ = ["ProcessLost", "ReaderProcess"]

_PIECE = 1024 * 1024
# Started anew now and then, so that what libraries keep does not add up.
_MAX_DOCUMENTS = 1000
# What Python needs to start; nothing else of the environment, where keys and passwords are.
_ENVIRONMENT = (
    "PATH", "LD_LIBRARY_PATH", "LANG", "SYSTEMROOT", "TMPDIR", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE",
    "PYTHONPYCACHEPREFIX",
)  # fmt: skip


class ProcessLost(EmbedStackError):
    """A process that had read documents before was gone when the next one came: that one is not to blame."""

    retryable_by_default = True


class _GoneError(Exception):
    """The process ended while it was sent a document."""


class ReaderProcess:
    """Reads documents, one at a time."""

    def __init__(self) -> None:
        """Start it.

        Raises:
            ConfigurationError: It does not start.
        """
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        environment["PYTHONPATH"] = os.pathsep.join(str(Path(path).absolute()) for path in sys.path)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "embedstack.documents.readers.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
                start_new_session=True,  # so that Ctrl-C reaches the parent alone, which ends it
            )
        except OSError as error:
            raise _not_started(type(error).__name__) from error
        self._requests = cast("BinaryIO", self._process.stdin)
        self._answers = cast("BinaryIO", self._process.stdout)
        self._is_broken = self._timed_out = False
        self._documents = 0
        renew_after_fork(self)
        if self._answers.readline() != READY:
            self.close()
            raise _not_started(f"it ended with {self._process.returncode}")

    def after_fork(self) -> None:
        """In a child of this process: close the pipes, so that the reader still ends with its parent."""
        if not self._requests.closed:
            disconnect((self._requests.fileno(), self._answers.fileno()))
            keep_forever(self)  # its finalizer would write what the parent has not sent yet

    @property
    def is_usable(self) -> bool:
        """Whether it may be given another document."""
        return not self._is_broken and self._documents < _MAX_DOCUMENTS and self._process.poll() is None

    def close(self) -> None:
        """End it; does nothing if it has ended."""
        self._process.kill()
        self._process.wait()
        self._answers.close()
        try:
            self._requests.close()
        except OSError:
            return  # what was not sent is not wanted any more

    def read(self, content: BinaryIO, allowance: Allowance, source: str) -> Document:
        """Read a document.

        Args:
            content: The file, from where it stands.
            allowance: With the limits; its counts are the process's own affair.
            source: The document's.

        Raises:
            DocumentRefused: No text can be read from it, or reading took more than the limits.
            ConfigurationError: Packages are missing.
            ProcessLost: It had ended before.
        """
        self._documents += 1
        self._is_broken = True  # until the answer is complete
        seconds = allowance.limits.max_seconds
        try:
            seconds = allowance.limits.seconds_for(self._send(content, allowance, source))
        except _GoneError:
            self._give_up(allowance, seconds)
        watch = threading.Timer(seconds, self._time_out)
        watch.daemon = True
        watch.start()
        try:
            sections, end = self._receive()
        finally:
            watch.cancel()
        if end is None:
            self._give_up(allowance, seconds)
        self._is_broken = self._timed_out
        if "refused" in end:
            raise DocumentRefused(end["message"], reason=end["refused"])
        if "misconfigured" in end:
            raise ConfigurationError(end["misconfigured"])
        return Document(source, end["media_type"], sections, end["title"], end["encoding"], tuple(end["notes"]))

    def _send(self, content: BinaryIO, allowance: Allowance, source: str) -> int:
        """Send a document; returns its size in bytes."""
        size = 0
        request = {"source": source, "limits": dataclasses.asdict(allowance.limits)}
        self._write(json.dumps(request).encode() + b"\n")
        while piece := content.read(_PIECE):
            size += len(piece)
            allowance.take_bytes(len(piece))
            self._write(len(piece).to_bytes(LENGTH, "big"))
            self._write(piece)
        self._write(bytes(LENGTH))
        return size

    def _write(self, data: bytes) -> None:
        try:
            self._requests.write(data)
            self._requests.flush()
        except BrokenPipeError as error:
            raise _GoneError from error

    def _receive(self) -> tuple[tuple[Section, ...], dict[str, Any] | None]:
        sections: list[Section] = []
        for line in self._answers:
            if not line.endswith(b"\n"):
                break  # it ended in the middle of it
            answer = json.loads(line)
            if isinstance(answer, dict):
                return tuple(sections), answer
            text, headings, page, row = answer
            sections.append(Section(text, tuple(headings), page, row))
        return (), None

    def _time_out(self) -> None:
        self._timed_out = True
        self._process.kill()

    def _give_up(self, allowance: Allowance, seconds: float) -> NoReturn:
        limits = allowance.limits
        status = self._process.wait()
        if self._timed_out:
            allowance.refuse(
                "too_complex",
                f"took longer than {seconds:.3g} s to read: split it, or convert it to text. The time grows with the "
                f"file's size up to {limits.max_seconds:g} s; a function has a third of its timeout_s at most.",
            )
        if status == 0:
            allowance.refuse(
                "too_complex",
                f"needs more than {limits.max_memory_bytes // 2**20:,} MiB of memory to read: split it, or convert it "
                "to text. A function has its memory_mb but 256 for it, up to 768.",
            )
        if self._documents > 1:
            raise ProcessLost("The process that reads documents had been ended by something else: read it again.")
        how = signal.Signals(-status).name if status < 0 else f"status {status}"
        allowance.refuse("too_complex", f"ended the process that read it ({how}): split it, or convert it to text.")


def _not_started(how: str) -> ConfigurationError:
    return ConfigurationError(
        f"The process that reads documents did not start ({how}): it runs {sys.executable!r} with embedstack on its "
        "path.",
        retryable=True,
    )
