"""The parent's side of a reader process."""

import contextlib
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

__all__ = ["ENVIRONMENT_VARIABLES", "ProcessLost", "ReaderProcess"]

_BLOCK_BYTES = 1024 * 1024
# A process is replaced after so many documents, because libraries may leak memory.
_MAX_DOCUMENTS = 1000
#: Environment variables that a reader process inherits, because Python needs them to start. Others may be secrets.
ENVIRONMENT_VARIABLES = (
    "PATH", "LD_LIBRARY_PATH", "LANG", "SYSTEMROOT", "TMPDIR", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE",
    "PYTHONPYCACHEPREFIX", "TESSDATA_PREFIX",
)  # fmt: skip


class ProcessLost(EmbedStackError):
    """A reused reader process ended before it read the document, so the document is not the cause."""

    retryable_by_default = True


class _ProcessEnded(Exception):
    """The process ended while a document was sent to it."""


class ReaderProcess:
    """A process that reads one document at a time."""

    def __init__(self) -> None:
        """Start the process.

        Raises:
            ConfigurationError: The process does not start.
        """
        environment = {name: os.environ[name] for name in ENVIRONMENT_VARIABLES if name in os.environ}
        environment["PYTHONPATH"] = os.pathsep.join(str(Path(path).absolute()) for path in sys.path)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "embedstack.documents.readers.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
                start_new_session=True,  # so that only the parent receives Ctrl-C; it ends the process
            )
        except OSError as error:
            raise _not_started(type(error).__name__) from error
        self._requests = cast("BinaryIO", self._process.stdin)
        self._responses = cast("BinaryIO", self._process.stdout)
        self._is_broken = self._timed_out = False
        self._documents = 0
        renew_after_fork(self)
        if self._responses.readline() != READY:
            self.close()
            raise _not_started(f"it exited with status {self._process.returncode}")

    def after_fork(self) -> None:
        """In a forked child: close the pipes, so that the reader process still ends with the parent."""
        if not self._requests.closed:
            disconnect((self._requests.fileno(), self._responses.fileno()))
            keep_forever(self)  # its finalizer would flush the parent's buffered data

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def is_usable(self) -> bool:
        """Whether it can read another document."""
        return not self._is_broken and self._documents < _MAX_DOCUMENTS and self._process.poll() is None

    def close(self) -> None:
        """End the process and those that it has started. Does nothing if it has ended."""
        self._kill()
        self._process.wait()
        self._responses.close()
        try:
            self._requests.close()
        except OSError:
            return  # buffered data is discarded

    def read(self, content: BinaryIO, allowance: Allowance, source: str) -> Document:
        """Read a document.

        Args:
            content: The file, read from its current position.
            allowance: The limits. Text is counted in the reader process.
            source: The document's key or path.

        Raises:
            DocumentRefused: The document cannot be read, or exceeds the limits.
            ConfigurationError: Packages are missing.
            ProcessLost: The process had ended before.
        """
        self._documents += 1
        self._is_broken = True  # until the response is complete
        seconds = allowance.limits.max_seconds
        try:
            seconds = allowance.limits.seconds_for(self._send(content, allowance, source))
        except _ProcessEnded:
            self._refuse(allowance, seconds)
        timer = threading.Timer(seconds, self._time_out)
        timer.daemon = True
        timer.start()
        try:
            sections, end = self._receive()
        finally:
            timer.cancel()
        if end is None:
            self._refuse(allowance, seconds)
        self._is_broken = self._timed_out
        if "refused" in end:
            raise DocumentRefused(end["message"], reason=end["refused"])
        if "misconfigured" in end:
            raise ConfigurationError(end["misconfigured"])
        return Document(source, end["media_type"], sections, end["title"], end["encoding"], tuple(end["notes"]))

    def _send(self, content: BinaryIO, allowance: Allowance, source: str) -> int:
        """Send a document. Returns its size in bytes."""
        size = 0
        request = {"source": source, "limits": dataclasses.asdict(allowance.limits)}
        self._write(json.dumps(request).encode() + b"\n")
        while block := content.read(_BLOCK_BYTES):
            size += len(block)
            allowance.take_bytes(len(block))
            self._write(len(block).to_bytes(LENGTH, "big"))
            self._write(block)
        self._write(bytes(LENGTH))
        return size

    def _write(self, data: bytes) -> None:
        try:
            self._requests.write(data)
            self._requests.flush()
        except BrokenPipeError as error:
            raise _ProcessEnded from error

    def _receive(self) -> tuple[tuple[Section, ...], dict[str, Any] | None]:
        sections: list[Section] = []
        for line in self._responses:
            if not line.endswith(b"\n"):
                break  # the process ended within the line
            message = json.loads(line)
            if isinstance(message, dict):
                return tuple(sections), message
            text, headings, page, row = message
            sections.append(Section(text, tuple(headings), page, row))
        return (), None

    def _time_out(self) -> None:
        self._timed_out = True
        self._kill()

    def _kill(self) -> None:
        # The process leads a group, which contains Tesseract. While it is not reaped, no other group has its number.
        if self._process.returncode is None and hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()

    def _refuse(self, allowance: Allowance, seconds: float) -> NoReturn:
        limits = allowance.limits
        status = self._process.wait()
        if self._timed_out:
            allowance.refuse(
                "too_complex",
                f"took longer than {seconds:.3g} s to read. Split it, or convert it to text. The limit grows with the "
                f"file's size up to {limits.max_seconds:g} s; in a function, up to a third of timeout_s.",
            )
        if status == 0:
            allowance.refuse(
                "too_complex",
                f"needs more than {limits.max_memory_bytes // 2**20:,} MiB of memory to read. Split it, or convert it "
                "to text. In a function, the limit is memory_mb less 256, up to 768.",
            )
        if self._documents > 1:
            raise ProcessLost("The reader process was killed by another process. Read the document again.")
        cause = signal.Signals(-status).name if status < 0 else f"status {status}"
        allowance.refuse("too_complex", f"crashed the reader process ({cause}). Split it, or convert it to text.")


def _not_started(cause: str) -> ConfigurationError:
    return ConfigurationError(
        f"The reader process did not start ({cause}). Check that {sys.executable!r} can import embedstack.",
        retryable=True,
    )
