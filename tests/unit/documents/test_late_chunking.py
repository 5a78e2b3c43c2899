"""Late chunking: token vectors of the whole text, averaged over each chunk."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from conftest import MINILM
from embedstack.documents import Chunker, Document, Section
from embedstack.documents.embedding import SeparateEmbedding
from embedstack.documents.late_chunking import LateEmbedding
from embedstack.embedders import FakeEmbedder, LocalEmbedder
from embedstack.errors import ConfigurationError
from embedstack.models.catalogue import known_model
from embedstack.models.model_info import ModelInfo
from embedstack_server.compute.encoder import Encoder

SECTIONS = (
    Section("Ada Lovelace\nAda Lovelace was born in London in 1815. Her father was a poet.", ("Ada Lovelace",)),
    Section("She wrote the first program for a machine that was never built. It was to compute numbers.", ("Work",)),
)
BENCHMARK = Path(__file__).parents[3] / "benchmarks/late_chunking.py"
FAKE = ModelInfo("embedstack/fake", dimensions=8, max_tokens=64, pooling="mean")


@pytest.fixture(scope="module")
def local(minilm_folder):
    with LocalEmbedder(known_model(MINILM), folder=minilm_folder) as embedder:
        yield embedder


@pytest.fixture(scope="module")
def chunker(minilm_folder):
    return Chunker(minilm_folder / "tokenizer.json", 20)


def embedded(embedding, chunker, *sections):
    chunks = chunker.chunks(Document("a.md", "text/markdown", sections))
    return [
        (passage, chunk, vector)
        for passage, vectors in embedding.embed(embedding.passages(chunks))
        for chunk, vector in zip(passage.chunks, vectors, strict=True)
    ]


def test_late_vector_is_the_mean_of_the_chunks_token_vectors(local, chunker, minilm_folder):
    late = embedded(LateEmbedding(local, chunker), chunker, *SECTIONS)
    assert len(late) == 4
    [whole] = {passage.text for passage, _, _ in late}
    encoder = Encoder.load(minilm_folder)
    try:
        [tokenized] = encoder.tokenize([whole], offsets=True)
        [hidden] = encoder.compute([tokenized.ids], lambda _, states: states.copy()).derived
    finally:
        encoder.close()
    for _, chunk, vector in late:
        start = whole.index(chunk.text)
        inside = [
            first < start + len(chunk.text) and last > start and last > first for first, last in tokenized.offsets
        ]
        mean = hidden[inside].mean(axis=0)
        np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), atol=5e-3)


def test_late_vector_depends_on_the_surrounding_text(local, chunker):
    late = embedded(LateEmbedding(local, chunker), chunker, *SECTIONS)
    separate = embedded(SeparateEmbedding(local), chunker, *SECTIONS)
    assert [chunk.id for _, chunk, _ in late] == [chunk.id for _, chunk, _ in separate]
    for (_, _, one), (_, _, other) in zip(late, separate, strict=True):
        assert 0.2 < one @ other < 0.99
    ada = local.embed_query("Ada Lovelace")
    pronoun_chunks = [index for index, (_, chunk, _) in enumerate(late) if chunk.text.startswith("She wrote")]
    assert all(late[index][2] @ ada > separate[index][2] @ ada + 0.05 for index in pronoun_chunks)


def test_late_chunking_ranks_context_dependent_chunks_higher(local, minilm_folder):
    benchmark = runpy.run_path(str(BENCHMARK))
    documents, questions = benchmark["documents"]()
    chunker = Chunker(minilm_folder / "tokenizer.json", 64)
    first_hits = [
        (benchmark["ranks"](local, chunker, late, documents, questions)[0] == 1).mean() for late in (False, True)
    ]  # fmt: skip
    assert first_hits[0] < 0.2
    assert first_hits[1] > 0.4


def test_late_chunking_uses_windows_for_long_documents(chunker):
    text = " ".join(f"Sentence {number} tells of it." for number in range(120))
    embedder = FakeEmbedder(FAKE)
    late = LateEmbedding(embedder, chunker)
    passages = list(late.passages(chunker.chunks(Document("a.txt", "text/plain", (Section(text),)))))
    assert len(passages) > 10
    positions = [chunk.position for passage in passages for chunk in passage.chunks]
    assert positions == list(range(len(positions))), "each chunk is in one window"
    for index, passage in enumerate(passages):
        assert chunker.tokens.count(passage.text) <= FAKE.max_tokens
        for chunk, (start, end) in zip(passage.chunks, passage.spans, strict=True):
            assert passage.text[start:end] == chunk.text
        assert (passage.spans[0][0] > 0) == (index > 0), "a later window repeats text before its first chunk"
    assert sum(len(passage.hashes) for passage in passages) == len(set(sum((p.hashes for p in passages), ())))
    assert len(list(late.embed(iter(passages)))) == len(passages)


def test_late_hashes_change_only_within_the_window(chunker):
    late = LateEmbedding(FakeEmbedder(FAKE), chunker)

    def hashes(text):
        chunks = chunker.chunks(Document("a.txt", "text/plain", (Section(text),)))
        windows = (zip(passage.chunks, passage.hashes, strict=True) for passage in late.passages(chunks))
        return {chunk.position: content_hash for window in windows for chunk, content_hash in window}

    text = " ".join(f"Sentence {number} tells of it." for number in range(120))
    before, after = hashes(text), hashes(text.replace("Sentence 1 ", "Sentence 9 "))
    changed = {position for position, one in before.items() if after[position] != one}
    assert 1 < len(changed) < len(before) / 3


def test_late_chunking_joins_adjacent_chunks_without_separator(minilm_folder):
    chunker = Chunker(minilm_folder / "tokenizer.json", 24)
    text = "我们测量嵌入模型的速度然后比较结果" * 6
    late = LateEmbedding(FakeEmbedder(FAKE), chunker)
    passages = list(late.passages(chunker.chunks(Document("a.txt", "text/plain", (Section(text),)))))
    assert all(passage.text in text for passage in passages)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"overlap": 4}, "Unset EMBEDSTACK_CHUNK_OVERLAP"),
        ({"prefix": "{source}: "}, "EMBEDSTACK_DOCUMENT_CONTEXT"),
        ({"max_tokens": 40}, "EMBEDSTACK_CHUNK_TOKENS to 32 or less"),
    ],
)
def test_late_chunking_rejects_unsupported_options(minilm_folder, options, message):
    chunker = Chunker(minilm_folder / "tokenizer.json", **{"max_tokens": 24, **options})
    with pytest.raises(ConfigurationError, match=message):
        LateEmbedding(FakeEmbedder(FAKE), chunker)
