"""Readers and the chunker take time linear in the size of any content."""

import time

import pytest
from reader_scaling import Case, cases, seconds_to_read

from embedstack.documents.chunking import Chunker
from embedstack.documents.document import Document, Section
from tests.unit.documents.tokenizers_made import write_bytes, write_unigram, write_words

# Four times the content takes about 4 times as long if the time is linear, and 16 times if quadratic. The constant
# allows for noise in very short times.
FACTOR = 4
MOST_RATIO = 8
NOISE_SECONDS = 0.5
# Four times this is less than the maximum length of front matter, 65,536 characters.
BYTES = 15_000

CASES = list(cases())


@pytest.mark.parametrize("suffix", sorted({case.source for case in CASES}))
def test_reader_time_is_linear(suffix):
    slow = [case.name for case in CASES if case.source == suffix and not _is_linear(case)]
    assert not slow


def _is_linear(case: Case) -> bool:
    # A garbage collection of the whole test process can fall into one measurement, but not into all three.
    return any(_is_linear_once(case) for _ in range(3))


def _is_linear_once(case: Case) -> bool:
    small, large = (seconds_to_read(case.make(size), case.source) for size in (BYTES, FACTOR * BYTES))
    return large < MOST_RATIO * small + NOISE_SECONDS


@pytest.mark.parametrize("write_tokenizer", [write_unigram, write_bytes])
@pytest.mark.parametrize("fragment", ["." * 999 + "a", '."', "a", "\u0301", "模型速度。", "\n \n\t", "the cat sat. "])
def test_chunker_time_is_linear(write_tokenizer, fragment, tmp_path):
    chunker = Chunker(write_tokenizer(tmp_path), 4096, 512)

    def seconds(size: int) -> float:
        document = Document("a.txt", "text/plain", (Section(fragment * (size // len(fragment))),))
        started = time.thread_time()
        list(chunker.chunks(document))
        return time.thread_time() - started

    assert any(seconds(FACTOR * 10_000) < MOST_RATIO * seconds(10_000) + NOISE_SECONDS for _ in range(3))


def test_overlap_is_limited_for_very_long_tokens(tmp_path):
    """A tokenizer may make one token of a text without spaces. A part then repeats little or nothing of it."""
    chunker = Chunker(write_words(tmp_path), 64, 16)
    text = "模型速度。" * 2000
    chunks = list(chunker.chunks(Document("a.txt", "text/plain", (Section(text),))))
    assert sum(len(chunk.text) for chunk in chunks) < 2 * len(text)
    assert chunks[-1].end == len(text)
