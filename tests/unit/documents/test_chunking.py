"""Chunker: token limit, cuts at sentence ends, exact offsets, stable ids."""
# ruff: noqa: RUF001 - Chinese punctuation

import itertools

import pytest
from hypothesis import example, given, settings, strategies as st

from embedstack.documents import Chunker, Document, Section
from embedstack.documents.chunking import first_chunk_id
from embedstack.errors import ConfigurationError
from tests.unit.documents.tokenizers_made import write_bytes, write_unigram

PROSE = "\n\n".join(
    " ".join(f"Sentence {number} of paragraph {paragraph} says a little, and no more." for number in range(6))
    for paragraph in range(12)
)
CHINESE = "我们测量嵌入模型的速度，然后比较结果。这是第二句话！" * 60


@pytest.fixture(scope="module")
def tokenizers(minilm_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizers")
    return {
        "wordpiece": minilm_folder / "tokenizer.json",
        "unigram": write_unigram(folder),
        "bytes": write_bytes(folder),
    }


@pytest.fixture(params=["wordpiece", "unigram", "bytes"])
def file(request, tokenizers):
    return tokenizers[request.param]


@pytest.fixture(scope="module")
def wordpiece(tokenizers):
    return tokenizers["wordpiece"]


def document(*texts, source="a.txt"):
    return Document(source, "text/plain", tuple(Section(text) for text in texts))


def cut(chunker, *texts):
    return list(chunker.chunks(document(*texts)))


PIECES = [
    "the cat sat. ",
    "\n\n",
    "模型的速度。",
    "🎉👩\u200d👧",
    "a" * 150,
    " " * 90,
    "1,234.5; ",
    "\u200b",
    "e\u0301",
]
TEXTS = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=30)), max_size=60).map("".join)


@settings(max_examples=150, deadline=None)
@given(text=TEXTS, kind=st.sampled_from(["wordpiece", "unigram", "bytes"]), overlap=st.sampled_from([0, 7]))
@example(text="a" * 20_000, kind="bytes", overlap=7)
@example(text="\u200b" * 9_000 + "end", kind="wordpiece", overlap=0)
@example(text="x" + " \n" * 9_000 + "y", kind="unigram", overlap=7)
def test_chunker_covers_any_text_within_the_limit(tokenizers, text, kind, overlap):
    chunker = Chunker(tokenizers[kind], 24, overlap)
    chunks = cut(chunker, text)
    stored = text.replace("\0", "\ufffd")
    covered: set[int] = set()
    for position, chunk in enumerate(chunks):
        assert chunk.position == position
        assert chunk.text == stored[chunk.start : chunk.end] == chunk.text.strip()
        assert chunk.text
        assert chunker.tokens.count(chunk.text) <= 24
        covered.update(range(chunk.start, chunk.end))
    starts = [chunk.start for chunk in chunks]
    assert starts == sorted(set(starts))
    assert len({chunk.id for chunk in chunks}) == len(chunks)
    uncovered = [index for index in range(len(stored)) if index not in covered]
    assert all(stored[index].isspace() or not chunker.tokens.offsets(stored[index]) for index in uncovered)
    assert chunks == cut(chunker, text)


def test_chunker_cuts_at_paragraphs_and_sentences(wordpiece):
    chunks = cut(Chunker(wordpiece, 128), PROSE)
    assert len(chunks) > 8
    assert all(chunk.text.endswith(".") and chunk.text.startswith("Sentence") for chunk in chunks)
    paragraphs = cut(Chunker(wordpiece, 110), PROSE)
    assert [chunk.text for chunk in paragraphs] == PROSE.split("\n\n")


def test_chunker_keeps_a_short_text_in_one_chunk(file):
    [chunk] = cut(Chunker(file, 64), "  The cat sat.\n")
    assert (chunk.text, chunk.start, chunk.end) == ("The cat sat.", 2, 14)


def test_chunker_balances_a_small_rest(wordpiece):
    chunker = Chunker(wordpiece, 64)
    for words in range(62, 80):
        counts = [chunker.tokens.count(chunk.text) for chunk in cut(chunker, "word " * words)]
        assert min(counts) > 64 / 4, words


def test_chunker_cuts_chinese_at_sentences(file):
    chunks = cut(Chunker(file, 200), CHINESE)
    assert len(chunks) > 3
    assert all(chunk.text[-1] in "。！" for chunk in chunks)


def test_overlap_starts_with_sentences_or_words(wordpiece):
    chunker = Chunker(wordpiece, 100, 30)
    chunks = cut(chunker, PROSE)
    for one, other in itertools.pairwise(chunks):
        repeated = PROSE[other.start : one.end]
        assert repeated.startswith("Sentence")
        assert 10 <= chunker.tokens.count(repeated) - 2 <= 30
    words = cut(chunker, "word " * 300)
    assert all(chunk.text.startswith("word") for chunk in words)
    assert words[1].start < words[0].end


def test_chunks_have_their_sections_headings_page_and_row(wordpiece):
    sections = (
        Section("One.", ("Guide", "Start"), page=3),
        Section("Two. " * 60, ("Guide", "End"), page=4),
        Section("name: x", row=7),
    )
    chunks = list(Chunker(wordpiece, 64).chunks(Document("s.pdf", "application/pdf", sections)))
    assert [(chunk.headings, chunk.page, chunk.row) for chunk in (chunks[0], chunks[1], chunks[-1])] == [
        (("Guide", "Start"), 3, None), (("Guide", "End"), 4, None), ((), None, 7),
    ]  # fmt: skip
    assert [chunk.section for chunk in chunks][-1] == 2
    assert [chunk.position for chunk in chunks] == list(range(len(chunks)))


def test_chunk_ids_depend_on_source_and_text(wordpiece):
    chunker = Chunker(wordpiece, 32)
    before = cut(chunker, "First.", "Second.", "Second.", "Third.")
    after = cut(chunker, "First.", "New.", "Second.", "Second.", "Third.")
    assert [chunk.id for chunk in after if chunk.text != "New."] == [chunk.id for chunk in before]
    assert before[0].id == first_chunk_id("a.txt") == cut(chunker, "Other.")[0].id
    elsewhere = chunker.chunks(document("First.", "Second.", source="b.txt"))
    assert not {chunk.id for chunk in elsewhere} & {chunk.id for chunk in before}


def test_prefix_counts_as_tokens_but_is_not_in_the_text(wordpiece):
    chunker = Chunker(wordpiece, 48, prompt="passage: ", prefix="{source} > {headings}: ")
    section = Section(PROSE, ("Guide", "Start"))
    chunks = list(chunker.chunks(Document("docs/a.txt", "text/plain", (section,))))
    for chunk in chunks:
        assert chunk.prefix == "docs/a.txt > Guide > Start: "
        assert chunk.text == PROSE[chunk.start : chunk.end]
        assert chunker.tokens.count("passage: " + chunk.prefix + chunk.text) <= 48
    endless = list(chunker.chunks(document(PROSE, source="folder/" * 140 + "a.txt")))
    assert all(chunker.tokens.count("passage: " + chunk.prefix + chunk.text) <= 48 for chunk in endless)
    assert endless[0].prefix.startswith("folder/")


def test_chunker_name_changes_with_every_option(tokenizers):
    file = tokenizers["wordpiece"]
    chunkers = [
        Chunker(file, 128), Chunker(file, 64), Chunker(file, 64, 8), Chunker(file, 64, prompt="p: "),
        Chunker(file, 64, prefix="{source}: "), Chunker(tokenizers["unigram"], 64),
    ]  # fmt: skip
    names = {chunker.name for chunker in chunkers}
    assert len(names) == len(chunkers)
    assert Chunker(file, 64, 8).name in names
    assert Chunker(file, 64, 8).name.startswith("semantic-64-overlap-8-")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_tokens": 12}, "EMBEDSTACK_CHUNK_TOKENS to 18 or more"),
        ({"overlap": 40}, "EMBEDSTACK_CHUNK_OVERLAP is 40"),
        ({"overlap": -1}, "EMBEDSTACK_CHUNK_OVERLAP is -1"),
        (
            {"prefix": "{author}: "},
            r"contains \{author\}. Supported, without a format: \{source\}, \{headings\}, \{page\}",
        ),
        ({"prefix": "{source!r}"}, "without a format"),
        ({"prefix": "{source.__class__}"}, "Supported"),
        ({"prefix": "{source"}, "is not a valid template"),
        ({"tokenizer_file": None}, "is not a valid tokenizer.json"),
    ],
)
def test_chunker_rejects_invalid_options(wordpiece, tmp_path, options, message):
    arguments = {"tokenizer_file": wordpiece, "max_tokens": 64, **options}
    arguments["tokenizer_file"] = arguments["tokenizer_file"] or tmp_path / "absent.json"
    with pytest.raises(ConfigurationError, match=message):
        Chunker(**arguments)


@pytest.mark.parametrize("text", [PROSE * 40, CHINESE * 60, "a" * 300_000, "a " * 100_000, "\n" * 200_000 + "a"])
def test_chunker_tokenizes_in_linear_time_and_bounded_windows(wordpiece, text, monkeypatch):
    chunker = Chunker(wordpiece, 128)
    sizes: list[int] = []

    def spy(name):
        original = getattr(chunker.tokens, name)

        def called(part):
            sizes.append(len(part))
            return original(part)

        monkeypatch.setattr(chunker.tokens, name, called)

    spy("count")
    spy("offsets")
    longest = max(len(chunk.text) for chunk in cut(chunker, text))
    assert sum(sizes) < 5 * len(text) + 10_000
    assert longest <= 128 * 32
    assert max(sizes) < 25_000, "a window is bounded"
