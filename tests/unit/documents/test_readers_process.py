"""Documents are read in a process of their own: what it may take, what it may know, and that it does not stay."""

import io
import os
import select
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
from embedstack.documents.readers import isolated, process as reader_process
from embedstack.documents.readers.process import ProcessLost, ReaderProcess
from embedstack.errors import ConfigurationError, DocumentRefused
from tests.support.document_files import join_pdf, make_docx, make_pdf, make_stream, paragraph

# Very many sections; and lists that take 20 times their bytes.
SLOW_TEXT = b"# a\n" * 500_000
WIDE_ROW = b"[" + b"[]," * 2_000_000 + b"[]]"

linux = pytest.mark.skipif(
    sys.platform != "linux", reason="looks into /proc, or needs the limits and units of memory that Linux has"
)


class Pieces(io.RawIOBase):
    """Bytes as they come from a network: in pieces, once."""

    def __init__(self, content: bytes, fails_at: int | None = None) -> None:
        self._content, self._position, self._fails_at = content, 0, fails_at

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        if self._fails_at is not None and self._position >= self._fails_at:
            raise BrokenPipeError("the network")
        piece = self._content[self._position : self._position + min(len(buffer), 7000)]
        buffer[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)


def streamed(content: bytes, fails_at: int | None = None) -> BinaryIO:
    return io.BufferedReader(Pieces(content, fails_at))


@pytest.fixture(autouse=True)
def none_idle():
    isolated._idle.close()
    yield
    isolated._idle.close()


def read(content: bytes, source: str, **limits: float) -> tuple[Section, ...]:
    return read_document(io.BytesIO(content), source, ReadLimits(**limits)).sections  # type: ignore[arg-type]


def test_a_document_comes_as_it_was_read():
    document = read_document(io.BytesIO("# Größe 😀\n\ntext\x1b".encode() + b"\n" * 300), "a/b.md")
    assert document.source == "a/b.md"
    assert document.media_type == "text/markdown"
    assert document.sections == (Section("# Größe 😀\n\ntext", ("Größe 😀",)),)
    assert read(make_pdf("one", "two"), "a.pdf") == (Section("one", page=1), Section("two", page=2))
    assert read(b"a\nb\n", "a.csv") == (Section("a: b", row=2),)


def test_a_source_with_any_characters_is_kept():
    source = "a\n\udcff/日本\0.txt"
    assert read_document(io.BytesIO(b"x"), source).source == source


def test_a_stream_that_cannot_seek_is_read_from_where_it_stands():
    content = make_docx(paragraph("hello") * 2000)
    stream = streamed(b"skipped" + content)
    stream.read(7)
    assert "hello" in read_document(stream, "a.docx").sections[0].text
    file = io.BytesIO(b"skipped" + content)
    file.seek(7)
    assert "hello" in read_document(file, "a.docx").sections[0].text
    assert not file.closed


def test_the_body_of_an_object_in_s3_is_read():
    content = make_docx(paragraph("hello") * 2000)
    body = cast("BinaryIO", StreamingBody(io.BytesIO(content), len(content)))
    assert "hello" in read_document(body, "a.docx").sections[0].text


def test_processes_are_kept_for_the_next_document_and_one_reads_at_a_time():
    read(b"x", "a.txt")
    (kept,) = isolated._idle._processes
    read(b"x", "a.txt")
    assert isolated._idle._processes == [kept]
    with ThreadPoolExecutor(3) as threads:
        texts = list(threads.map(lambda number: read(b"%d" % number, "a.txt")[0].text, range(60)))
    assert texts == [str(number) for number in range(60)]
    assert len(isolated._idle._processes) <= 4


def test_a_refusal_arrives_whole_and_the_process_goes_on():
    with pytest.raises(DocumentRefused, match=r"a\.pdf is not a pdf file") as refused:
        read(b"x", "a.pdf")
    assert refused.value.reason == "corrupt"
    (kept,) = isolated._idle._processes
    read(b"x", "a.txt")
    assert isolated._idle._processes == [kept]


def test_time_is_limited():
    with pytest.raises(DocumentRefused, match=r"took longer than 0\.5 s") as refused:
        read(SLOW_TEXT, "a.md", max_seconds=0.5)
    assert refused.value.reason == "too_complex"
    assert not isolated._idle._processes
    assert read(b"x", "a.txt")


def test_time_grows_with_the_size_up_to_a_limit():
    limits = ReadLimits()
    assert limits.seconds_for(0) == limits.base_seconds
    assert limits.seconds_for(8 * 2**20) == limits.base_seconds + 8 * limits.seconds_per_mib
    assert limits.seconds_for(limits.max_bytes) == limits.max_seconds
    assert ReadLimits(max_seconds=10).seconds_for(0) == 10


@linux
def test_a_manual_of_2400_pages_is_read_in_little_memory():
    sections = read(pdf_of_pages(2400), "manual.pdf", max_memory_bytes=256 * 2**20)
    assert [section.page for section in sections] == list(range(1, 2401))
    assert all(section.text.endswith(f"page {section.page} of 2400.") for section in sections)


@linux
def test_a_pdf_that_inflates_without_end_is_refused():
    bomb = zlib.compress(zlib.compress(b"[(" * 50_000_000, 9), 9)
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R >>"
    content = join_pdf([
        b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>", page,
        make_stream(bomb, b"/Filter [/FlateDecode /FlateDecode]"),
    ])  # fmt: skip
    # Also by a process that has read something before, which is not to blame for its end.
    assert read(b"x", "a.txt")
    with pytest.raises(DocumentRefused) as refused:
        read(content, "a.pdf", max_memory_bytes=200 * 2**20)
    assert refused.value.reason == "too_complex"
    assert read(b"x", "a.txt")


@linux
def test_memory_is_limited():
    with pytest.raises(DocumentRefused, match="more than 150 MiB of memory") as refused:
        read(WIDE_ROW, "a.jsonl", max_memory_bytes=150 * 2**20)
    assert refused.value.reason == "too_complex"
    assert read(b"x", "a.txt")


def test_a_document_that_ends_the_process_is_refused():
    process = ReaderProcess()
    process._process.kill()
    process._process.wait()
    with pytest.raises(DocumentRefused, match="SIGKILL") as refused:
        process.read(io.BytesIO(b"x"), Allowance("a.txt", ReadLimits()), "a.txt")
    assert refused.value.reason == "too_complex"
    process.close()


def test_a_process_that_something_else_ended_is_not_the_documents_fault():
    read(b"x", "a.txt")
    (kept,) = isolated._idle._processes
    kept._process.kill()
    os.waitid(os.P_PID, kept._process.pid, os.WEXITED | os.WNOWAIT)
    file = io.BytesIO(b"skipped hello")
    file.seek(8)
    assert read_document(file, "a.txt").sections[0].text == "hello"
    assert kept not in isolated._idle._processes


def test_where_a_stream_is_used_up_the_caller_may_try_again():
    read(b"x", "a.txt")
    isolated._idle._processes[0]._process.kill()
    with pytest.raises(ProcessLost) as lost:
        read_document(streamed(b"hello"), "a.txt")
    assert lost.value.retryable


def test_what_the_stream_raises_is_the_callers():
    with pytest.raises(BrokenPipeError, match="the network"):
        read_document(streamed(b"x" * 50_000, fails_at=20_000), "a.txt")
    assert not isolated._idle._processes, "it waits for the rest of a file that never comes"


def test_a_size_is_refused_before_anything_is_read():
    class Unread(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise AssertionError

    with pytest.raises(DocumentRefused, match="more than 10 bytes") as refused:
        read_document(Unread(b"x" * 11), "a.txt", ReadLimits(max_bytes=10))
    assert refused.value.reason == "too_large"
    assert not isolated._idle._processes


def test_a_stream_is_refused_once_it_is_too_large():
    with pytest.raises(DocumentRefused, match="more than 20,000 bytes") as refused:
        read_document(streamed(b"x" * 100_000), "a.txt", ReadLimits(max_bytes=20_000))
    assert refused.value.reason == "too_large"
    assert not isolated._idle._processes


@linux
def test_the_process_knows_nothing_of_the_environment(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
    monkeypatch.setenv("DATABASE_URL", "hidden")
    process = ReaderProcess()
    names = {
        entry.partition(b"=")[0] for entry in Path(f"/proc/{process._process.pid}/environ").read_bytes().split(b"\0")
    }
    process.close()
    assert names - {b""} <= {name.encode() for name in (*reader_process._ENVIRONMENT, "PYTHONPATH")}


def test_a_process_that_cannot_start_says_so(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(ConfigurationError, match=r"did not start.*FileNotFoundError") as error:
        read(b"x", "a.txt")
    assert error.value.retryable
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(ConfigurationError, match="it ended with 1"):
        read(b"x", "a.txt")


PARENT = """
import io, os, sys
from embedstack.documents import read_document
from embedstack.documents.readers import isolated
read_document(io.BytesIO(b"x"), "a.txt")
print(isolated._idle._processes[0]._process.pid, flush=True)
if sys.argv[1] == "kill":
    sys.stdin.read()
"""


@linux
@pytest.mark.parametrize("end", ["exit", "kill"])
def test_the_process_ends_with_its_parent(end):
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, end], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        # A descriptor that becomes readable when the process ends, whosever child it is.
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            return  # ended with its parent's exit already
        if end == "kill":
            parent.kill()
        parent.wait(timeout=20)
    assert select.select([descriptor], [], [], 20)[0], "it still runs"
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
from embedstack.documents.readers import isolated
isolated._idle.close()
own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(reason, own - before, own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


@linux
@pytest.mark.parametrize(("max_bytes", "reason"), [(64 * 2**20, "too_large"), (2**30, "too_complex")])
def test_half_a_gigabyte_takes_no_memory_here(tmp_path, max_bytes, reason):
    big = tmp_path / "big.txt"
    with big.open("wb") as file:
        file.truncate(500 * 2**20)
    answer = subprocess.run(
        [sys.executable, "-c", MEASURED, str(big), str(max_bytes)],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout.split()
    assert answer[0] == reason
    assert int(answer[1]) < 20 * 1024, "KiB that the caller's process grew by"
    assert int(answer[3]) < 200 * 1024, "KiB of the process that reads"
