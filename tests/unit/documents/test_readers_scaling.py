"""No content takes a reader, or the chunker, more than time in proportion to its size."""

import time

import pytest
from reader_scaling import Case, cases, seconds_to_read

from embedstack.documents.chunking import Chunker
from embedstack.documents.document import Document, Section
from tests.unit.documents.tokenizers_made import write_bytes, write_unigram, write_words

# Four times the content takes about four times as long, and 16 times where time grows with the square. The constant is
# for content that is read in no time at all, where the measurement is noise.
FACTOR = 4
MOST_RATIO = 8
NOISE_SECONDS = 0.5
# Four times as much is less than the longest front matter that is looked for, 65,536 characters.
BYTES = 15_000

CASES = list(cases())


@pytest.mark.parametrize("suffix", sorted({case.source for case in CASES}))
def test_reader_time_grows_with_the_size(suffix):
    slow = [case.name for case in CASES if case.source == suffix and not _is_linear(case)]
    assert not slow


def _is_linear(case: Case) -> bool:
    small, large = (seconds_to_read(case.make(size), case.source) for size in (BYTES, FACTOR * BYTES))
    return large < MOST_RATIO * small + NOISE_SECONDS


@pytest.mark.parametrize("write_tokenizer", [write_unigram, write_bytes])
@pytest.mark.parametrize("fragment", ["." * 999 + "a", '."', "a", "\u0301", "模型速度。", "\n \n\t", "the cat sat. "])
def test_chunker_time_grows_with_the_size(write_tokenizer, fragment, tmp_path):
    chunker = Chunker(write_tokenizer(tmp_path), 4096, 512)

    def seconds(size: int) -> float:
        document = Document("a.txt", "text/plain", (Section(fragment * (size // len(fragment))),))
        started = time.process_time()
        list(chunker.chunks(document))
        return time.process_time() - started

    assert seconds(FACTOR * 10_000) < MOST_RATIO * seconds(10_000) + NOISE_SECONDS


def test_overlap_is_short_where_a_token_is_long(tmp_path):
    """A tokenizer may make one token of a text without spaces: a part then repeats little of it, or nothing."""
    chunker = Chunker(write_words(tmp_path), 64, 16)
    text = "模型速度。" * 2000
    chunks = list(chunker.chunks(Document("a.txt", "text/plain", (Section(text),))))
    assert sum(len(chunk.text) for chunk in chunks) < 2 * len(text)
    assert chunks[-1].end == len(text)
