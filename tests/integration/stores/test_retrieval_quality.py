"""Search quality on judged queries: hybrid is not worse than its parts, and keywords match a BM25 library."""

import json
from pathlib import Path

import numpy as np
import pytest

from embedstack.embedders import LocalEmbedder
from embedstack.models.catalogue import known_model
from embedstack.stores import Record
from tests.integration.stores.samples import MODEL, collection

DATA = Path(__file__).parents[3] / "benchmarks" / "data" / "python_library.json"
K = 10
#: nDCG@10 of bm25s 0.3 for the same texts and queries, with Postgres' stop words and the Snowball stemmer.
LIBRARY = {"summaries": 0.705, "names": 0.972}


@pytest.fixture(scope="module")
def judged(pgvector):
    """Every third entry of the set: a collection of descriptions, and queries with their vectors by kind."""
    entries = json.loads(DATA.read_text(encoding="utf-8"))["entries"][::3]
    texts = [f"{name}\n{rest}" for name, _, rest in entries]
    queries = {"summaries": [summary for _, summary, _ in entries], "names": [name for name, _, _ in entries]}
    with LocalEmbedder(known_model(MODEL), truncate=True) as embedder:
        vectors = embedder.embed_documents(texts)
        embedded = {
            kind: list(zip(asked, embedder.embed(asked, "query"), strict=True)) for kind, asked in queries.items()
        }
    opened = pgvector.open(collection("python-library", 384, language="en"))
    opened.upsert(
        Record(f"{index:04}", text, vector) for index, (text, vector) in enumerate(zip(texts, vectors, strict=True))
    )
    return opened, embedded


def mean_gain(rankings):
    """Mean nDCG@10 where the query of position n has one relevant record, number n."""
    gains = []
    for number, hits in enumerate(rankings):
        ids = [hit.record.id for hit in hits]
        key = f"{number:04}"
        gains.append(1 / np.log2(ids.index(key) + 2) if key in ids else 0)
    return float(np.mean(gains))


@pytest.mark.parametrize("kind", ["summaries", "names"])
def test_hybrid_search_is_not_worse_than_its_parts(judged, kind):
    opened, embedded = judged
    dense = mean_gain(opened.search(vector, K, mode="exact") for _, vector in embedded[kind])
    keyword = mean_gain(opened.search(None, K, mode="keyword", text=text) for text, _ in embedded[kind])
    hybrid = mean_gain(opened.search(vector, K, mode="hybrid", text=text) for text, vector in embedded[kind])
    assert hybrid >= max(dense, keyword) - 0.003
    assert keyword >= 0.97 * LIBRARY[kind]
