"""The reader process: limits, isolation, reuse and end."""

import io
import os
import select
import signal
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, cast

import pytest
from botocore.response import StreamingBody
from reader_scaling import pdf_of_pages

from embedstack.documents import ReadLimits, Section, read_document
from embedstack.documents.limits import Allowance
from embedstack.documents.readers.isolated import idle_pool
from embedstack.documents.readers.process import ENVIRONMENT_VARIABLES, ProcessLost, ReaderProcess
from embedstack.errors import ConfigurationError, DocumentRefused
from tests.support.document_files import join_pdf, make_docx, make_pdf, make_stream, paragraph

# Half a million sections; and lists that take 20 times their size in memory.
SLOW_TEXT = b"# a\n" * 500_000
WIDE_ROW = b"[" + b"[]," * 2_000_000 + b"[]]"

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, or needs the memory limits of Linux")


class NetworkStream(io.RawIOBase):
    """An unseekable stream that returns a few kilobytes per read."""

    def __init__(self, content: bytes, fails_at: int | None = None) -> None:
        self._content, self._position, self._fails_at = content, 0, fails_at

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        if self._fails_at is not None and self._position >= self._fails_at:
            raise BrokenPipeError("the network")
        block = self._content[self._position : self._position + min(len(buffer), 7000)]
        buffer[: len(block)] = block
        self._position += len(block)
        return len(block)


def streamed(content: bytes, fails_at: int | None = None) -> BinaryIO:
    return io.BufferedReader(NetworkStream(content, fails_at))


@pytest.fixture(autouse=True)
def none_idle():
    idle_pool.close()
    yield
    idle_pool.close()


def kill(pid: int) -> None:
    """Kill a child process and wait for its end, without reaping it."""
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def read(content: bytes, source: str, **limits: float) -> tuple[Section, ...]:
    return read_document(io.BytesIO(content), source, ReadLimits(**limits)).sections  # type: ignore[arg-type]


def test_document_is_transferred_unchanged():
    document = read_document(io.BytesIO("# Größe 😀\n\ntext\x1b".encode() + b"\n" * 300), "a/b.md")
    assert document.source == "a/b.md"
    assert document.media_type == "text/markdown"
    assert document.sections == (Section("# Größe 😀\n\ntext", ("Größe 😀",)),)
    assert read(make_pdf("one", "two"), "a.pdf") == (Section("one", page=1), Section("two", page=2))
    assert read(b"a\nb\n", "a.csv") == (Section("a: b", row=2),)


def test_source_is_transferred_unchanged():
    source = "a\n\udcff/日本\0.txt"
    assert read_document(io.BytesIO(b"x"), source).source == source


def test_streams_are_read_from_their_current_position():
    content = make_docx(paragraph("hello") * 2000)
    stream = streamed(b"skipped" + content)
    stream.read(7)
    assert "hello" in read_document(stream, "a.docx").sections[0].text
    file = io.BytesIO(b"skipped" + content)
    file.seek(7)
    assert "hello" in read_document(file, "a.docx").sections[0].text
    assert not file.closed


def test_streaming_body_of_s3_is_read():
    content = make_docx(paragraph("hello") * 2000)
    body = cast("BinaryIO", StreamingBody(io.BytesIO(content), len(content)))
    assert "hello" in read_document(body, "a.docx").sections[0].text


def test_processes_are_reused_and_not_shared_between_threads():
    read(b"x", "a.txt")
    (idle,) = idle_pool.processes
    read(b"x", "a.txt")
    assert idle_pool.processes == (idle,)
    with ThreadPoolExecutor(3) as threads:
        texts = list(threads.map(lambda number: read(b"%d" % number, "a.txt")[0].text, range(60)))
    assert texts == [str(number) for number in range(60)]
    assert len(idle_pool.processes) <= 4


def test_process_is_reused_after_a_refusal():
    with pytest.raises(DocumentRefused, match=r"a\.pdf is not a pdf file") as refused:
        read(b"x", "a.pdf")
    assert refused.value.reason == "corrupt"
    (idle,) = idle_pool.processes
    read(b"x", "a.txt")
    assert idle_pool.processes == (idle,)


def test_time_limit_refuses_the_document():
    with pytest.raises(DocumentRefused, match=r"took longer than 0\.5 s") as refused:
        read(SLOW_TEXT, "a.md", max_seconds=0.5)
    assert refused.value.reason == "too_complex"
    assert not idle_pool.processes
    assert read(b"x", "a.txt")


def test_time_limit_grows_with_the_size():
    limits = ReadLimits()
    assert limits.seconds_for(0) == limits.base_seconds
    assert limits.seconds_for(8 * 2**20) == limits.base_seconds + 8 * limits.seconds_per_mib
    assert limits.seconds_for(limits.max_bytes) == limits.max_seconds
    assert ReadLimits(max_seconds=10).seconds_for(0) == 10


@linux
def test_large_pdf_is_read_in_bounded_memory():
    sections = read(pdf_of_pages(2400), "manual.pdf", max_memory_bytes=256 * 2**20)
    assert [section.page for section in sections] == list(range(1, 2401))
    assert all(section.text.endswith(f"page {section.page} of 2400.") for section in sections)


@linux
def test_pdf_bomb_is_refused():
    bomb = zlib.compress(zlib.compress(b"[(" * 50_000_000, 9), 9)
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R >>"
    content = join_pdf([
        b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>", page,
        make_stream(bomb, b"/Filter [/FlateDecode /FlateDecode]"),
    ])  # fmt: skip
    # With a process that has read another document before.
    assert read(b"x", "a.txt")
    with pytest.raises(DocumentRefused) as refused:
        read(content, "a.pdf", max_memory_bytes=200 * 2**20)
    assert refused.value.reason == "too_complex"
    assert read(b"x", "a.txt")


@linux
def test_memory_limit_refuses_the_document():
    with pytest.raises(DocumentRefused, match="more than 150 MiB of memory") as refused:
        read(WIDE_ROW, "a.jsonl", max_memory_bytes=150 * 2**20)
    assert refused.value.reason == "too_complex"
    assert read(b"x", "a.txt")


def test_document_that_kills_a_new_process_is_refused():
    process = ReaderProcess()
    kill(process.pid)
    with pytest.raises(DocumentRefused, match="SIGKILL") as refused:
        process.read(io.BytesIO(b"x"), Allowance("a.txt", ReadLimits()), "a.txt")
    assert refused.value.reason == "too_complex"
    process.close()


def test_document_is_read_again_after_a_reused_process_died():
    read(b"x", "a.txt")
    (idle,) = idle_pool.processes
    kill(idle.pid)
    file = io.BytesIO(b"skipped hello")
    file.seek(8)
    assert read_document(file, "a.txt").sections[0].text == "hello"
    assert idle not in idle_pool.processes


def test_lost_process_is_retryable_for_unseekable_streams():
    read(b"x", "a.txt")
    kill(idle_pool.processes[0].pid)
    with pytest.raises(ProcessLost) as lost:
        read_document(streamed(b"hello"), "a.txt")
    assert lost.value.retryable


def test_stream_errors_are_not_caught():
    with pytest.raises(BrokenPipeError, match="the network"):
        read_document(streamed(b"x" * 50_000, fails_at=20_000), "a.txt")
    assert not idle_pool.processes, "the process waits for the rest of the file"


def test_size_is_checked_before_reading():
    class Unread(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise AssertionError

    with pytest.raises(DocumentRefused, match="more than 10 bytes") as refused:
        read_document(Unread(b"x" * 11), "a.txt", ReadLimits(max_bytes=10))
    assert refused.value.reason == "too_large"
    assert not idle_pool.processes


def test_stream_is_refused_when_it_exceeds_the_size():
    with pytest.raises(DocumentRefused, match="more than 20,000 bytes") as refused:
        read_document(streamed(b"x" * 100_000), "a.txt", ReadLimits(max_bytes=20_000))
    assert refused.value.reason == "too_large"
    assert not idle_pool.processes


@linux
def test_process_inherits_no_secrets(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
    monkeypatch.setenv("DATABASE_URL", "hidden")
    process = ReaderProcess()
    names = {entry.partition(b"=")[0] for entry in Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")}
    process.close()
    assert names - {b""} <= {name.encode() for name in (*ENVIRONMENT_VARIABLES, "PYTHONPATH")}


def test_process_start_failure_is_a_configuration_error(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(ConfigurationError, match=r"did not start.*FileNotFoundError") as error:
        read(b"x", "a.txt")
    assert error.value.retryable
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(ConfigurationError, match="it exited with status 1"):
        read(b"x", "a.txt")


PARENT = """
import io, os, sys
from embedstack.documents import read_document
from embedstack.documents.readers.isolated import idle_pool
read_document(io.BytesIO(b"x"), "a.txt")
print(idle_pool.processes[0].pid, flush=True)
if sys.argv[1] == "kill":
    sys.stdin.read()
"""


@linux
@pytest.mark.parametrize("end", ["exit", "kill"])
def test_process_ends_with_its_parent(end):
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, end], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        # A descriptor that becomes readable when the process ends, even if it is not a child of this one.
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            return  # already ended with its parent
        if end == "kill":
            parent.kill()
        parent.wait(timeout=20)
    assert select.select([descriptor], [], [], 20)[0], "the process still runs"
    os.close(descriptor)


MEASURED = """
import io, resource, sys
from embedstack.documents import ReadLimits, read_document
read_document(io.BytesIO(b"warm"), "a.txt")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
from embedstack.errors import DocumentRefused
limits = ReadLimits(max_bytes=int(sys.argv[2]), max_memory_bytes=200 * 2**20)
try:
    with open(sys.argv[1], "rb") as file:
        read_document(file, "big.txt", limits)
except DocumentRefused as refused:
    reason = refused.reason
from embedstack.documents.readers.isolated import idle_pool
idle_pool.close()
own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(reason, own - before, own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


@linux
@pytest.mark.parametrize(("max_bytes", "reason"), [(64 * 2**20, "too_large"), (2**30, "too_complex")])
def test_large_file_takes_no_memory_in_the_parent(tmp_path, max_bytes, reason):
    big = tmp_path / "big.txt"
    with big.open("wb") as file:
        file.truncate(500 * 2**20)
    output = subprocess.run(
        [sys.executable, "-c", MEASURED, str(big), str(max_bytes)],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout.split()
    assert output[0] == reason
    assert int(output[1]) < 20 * 1024, "growth of this process in KiB"
    assert int(output[3]) < 200 * 1024, "memory of the reader process in KiB"
