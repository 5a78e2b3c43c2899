"""The reader process: receives requests on standard input and sends responses on standard output.

A request is a line of JSON with the source and the limits, then the file as frames, each preceded by its length in
4 bytes; a frame of length 0 ends the file. A response is a line of JSON for each section and one for the result. The
process ends at the end of its input, and so with its parent.
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

#: Number of bytes of a frame's length, big-endian.
LENGTH = 4
#: The first line of the output.
READY = b"ready\n"
# Added to the parent's timeout: the parent kills the process first, unless the parent is dead.
_GRACE_SECONDS = 30


def serve() -> None:
    """Serve requests until the end of the input."""
    requests = sys.stdin.buffer
    # Output of libraries must not mix with responses, and their logs may contain content.
    responses = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    logging.disable()
    responses.write(READY)
    responses.flush()
    while line := requests.readline():
        request = json.loads(line)
        limits = ReadLimits(**request["limits"])
        _limit_resources(limits)
        try:
            for message in _respond(_receive(requests), request["source"], limits):
                responses.write(json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
        except MemoryError:
            return  # the parent reports it; the state of this process is undefined
        responses.flush()


def _receive(requests: BinaryIO) -> bytes:
    content = io.BytesIO()
    while length := int.from_bytes(requests.read(LENGTH), "big"):
        content.write(requests.read(length))
    return content.getvalue()


def _respond(content: bytes, source: str, limits: ReadLimits) -> Iterator[Any]:
    try:
        document = read_bytes(content, source, limits)
    except DocumentRefused as error:
        yield {"refused": error.reason, "message": error.args[0]}
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


def _limit_resources(limits: ReadLimits) -> None:
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
            continue  # macOS does not support RLIMIT_AS


if __name__ == "__main__":
    serve()
