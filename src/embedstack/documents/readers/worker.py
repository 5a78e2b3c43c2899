"""The process that reads documents: requests on its standard input, answers on its standard output.

A request is a line of JSON with the source and the limits, then the file as frames, each with its length in 4 bytes
before it; a frame of length 0 ends it. An answer is a line of JSON for each section and one more for what came of it.
The process ends with its input, and so with its parent.
"""

import io
import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from typing import Any, BinaryIO

from embedstack.documents.limits import ReadLimits
from embedstack.documents.readers.reading import read_bytes
from embedstack.errors import ConfigurationError, DocumentRefused

__all__ = ["LENGTH", "READY", "serve"]

#: Bytes of a frame's length, big-endian.
LENGTH = 4
#: The first line that the process writes.
READY = b"ready\n"
# Beyond the time that the parent waits: it kills the process first, unless it is dead itself.
_GRACE_SECONDS = 30


def serve() -> None:
    """Answer requests until the input ends."""
    requests = sys.stdin.buffer
    # What a library prints must not get between answers, and what it logs may be content.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    logging.disable()
    answers.write(READY)
    answers.flush()
    while line := requests.readline():
        request = json.loads(line)
        limits = ReadLimits(**request["limits"])
        _bound(limits)
        try:
            for answer in _answer(_receive(requests), request["source"], limits):
                answers.write(json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
        except MemoryError:
            return  # the parent says what that means; what is left here is in no known state
        answers.flush()


def _receive(requests: BinaryIO) -> bytes:
    content = io.BytesIO()
    while length := int.from_bytes(requests.read(LENGTH), "big"):
        content.write(requests.read(length))
    return content.getvalue()


def _answer(content: bytes, source: str, limits: ReadLimits) -> Iterator[Any]:
    try:
        document = read_bytes(content, source, limits)
    except DocumentRefused as refusal:
        yield {"refused": refusal.reason, "message": refusal.args[0]}
        return
    except ConfigurationError as error:
        yield {"misconfigured": error.args[0]}
        return
    for section in document.sections:
        yield [section.text, section.headings, section.page, section.row]
    yield {
        "media_type": document.media_type,
        "title": document.title,
        "encoding": document.encoding,
        "notes": document.notes,
    }


def _bound(limits: ReadLimits) -> None:
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return
    processor_seconds = int(time.process_time() + limits.max_seconds) + _GRACE_SECONDS
    for kind, limit in ((resource.RLIMIT_AS, limits.max_memory_bytes), (resource.RLIMIT_CPU, processor_seconds)):
        _, hard = resource.getrlimit(kind)
        try:
            resource.setrlimit(kind, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))
        except (ValueError, OSError):
            continue  # macOS has no limit of address space


if __name__ == "__main__":
    serve()
