"""Vectors in Postgres: bulk ingestion compared with LangChain's PGVector, and index search with an exact scan.

    python benchmarks/vector_search.py                                           # about five minutes
    python benchmarks/vector_search.py --langchain .venv-langchain/bin/python    # see vector_search_langchain.py

The server is a temporary Postgres. Vectors are drawn around 1,000 centers, so that each has near neighbors, like those
of texts. Queries are drawn from the same distribution.
"""

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from embedstack.stores import CollectionInfo, Filter, Record, embedded_postgres
from embedstack.stores.base import Mode
from embedstack.stores.pgvector import PgVectorStore
from embedstack.stores.pgvector.collection import PgVectorCollection

if TYPE_CHECKING:
    from numpy.typing import NDArray

MODEL, DIMENSIONS = "sentence-transformers/all-MiniLM-L6-v2", 384
CENTRES, SPREAD = 1000, 0.7
TEXT = "Invoices are paid within thirty days of their receipt unless the contract names another term. " * 5
K = 10


def unit_vectors(count: int, seed: int) -> "NDArray[np.float32]":
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(CENTRES, DIMENSIONS))
    vectors = centres[random.integers(0, CENTRES, count)] + SPREAD * random.normal(size=(count, DIMENSIONS))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors, np.float32)


def make_records(vectors: "NDArray[np.float32]") -> list[Record]:
    return [
        Record(f"r{index:07}", f"{index} {TEXT}", vector, {"number": index, "tenth": index % 10, "rare": index % 2000})
        for index, vector in enumerate(vectors)
    ]


def compare_ingestion(url: str, store: PgVectorStore, langchain: str | None, rows: int) -> None:
    records = make_records(unit_vectors(rows, 1))
    opened = store.open(CollectionInfo("ingest", MODEL, DIMENSIONS))
    started = time.perf_counter()
    opened.upsert(records)
    own = time.perf_counter() - started
    print(f"ingest {rows} rows: {rows / own:,.0f} rows/s")
    if langchain is None:
        return
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "rows.json").write_text(
            json.dumps([{"id": one.id, "text": one.text, "metadata": dict(one.metadata)} for one in records])
        )
        np.save(Path(folder, "vectors.npy"), np.stack([one.vector for one in records]))
        program = Path(__file__).with_name("vector_search_langchain.py")
        output = subprocess.run([langchain, program, url, folder], check=True, capture_output=True, text=True).stdout
    peer = float(output.split()[-1])
    print(f"ingest {rows} rows, LangChain's PGVector: {rows / peer:,.0f} rows/s; {peer / own:.1f} times as long")


def search_all(
    opened: PgVectorCollection, queries: "NDArray[np.float32]", mode: Mode, where: Filter | None = None
) -> tuple[list[set[str]], list[float]]:
    """The ids of the hits of each search, and its time in seconds."""
    ids, seconds = [], []
    for query in queries:
        started = time.perf_counter()
        hits = opened.search(query, K, mode=mode, filter=where)
        seconds.append(time.perf_counter() - started)
        ids.append({hit.record.id for hit in hits})
    return ids, seconds


def compare_search(url: str, store: PgVectorStore, rows: int) -> None:
    opened = store.open(CollectionInfo("search", MODEL, DIMENSIONS))
    started = time.perf_counter()
    opened.upsert(make_records(unit_vectors(rows, 2)))
    loaded = time.perf_counter()
    opened.optimize(live=False)
    print(f"{rows} rows: loaded in {loaded - started:.0f} s, indexes built in {time.perf_counter() - loaded:.0f} s")
    queries = unit_vectors(200, 3)
    search_all(opened, queries[:20], "approximate")  # loads the index into memory
    search_all(opened, queries[:5], "exact")
    exact, exact_seconds = search_all(opened, queries[:100], "exact")
    slow = statistics.median(exact_seconds)
    for candidates in (40, 64, 100):
        with PgVectorStore(url, ef_search=candidates) as tuned:
            collection = tuned.open(opened.info)
            search_all(collection, queries[:5], "approximate")
            approximate, seconds = search_all(collection, queries, "approximate")
        recall = statistics.mean(len(one & other) / K for one, other in zip(exact, approximate, strict=False))
        fast = statistics.median(seconds)
        print(
            f"ef_search {candidates}: recall@{K} {recall:.4f}; median {fast * 1000:.2f} ms, "
            f"exact {slow * 1000:.1f} ms, "
            f"{slow / fast:.1f} times as long"
        )
    for name, where in (
        ("a tenth", {"tenth": 3}),
        ("a 2,000th", {"rare": 7, "tenth": 7}),
        ("a range", {"number": {"$lt": 500}}),
    ):
        exact, _ = search_all(opened, queries[:20], "exact", where)
        approximate, seconds = search_all(opened, queries[:20], "approximate", where)
        recall = statistics.mean(len(one & other) / len(one) for one, other in zip(exact, approximate, strict=True))
        counts, exact_counts = {len(ids) for ids in approximate}, {len(ids) for ids in exact}
        median = statistics.median(seconds) * 1000
        print(f"filter {name}: {counts} of {exact_counts} hits, recall {recall:.3f}, median {median:.2f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--langchain", help="Python of an environment with langchain-postgres")
    parser.add_argument("--ingest", type=int, default=5000, help="rows for the comparison of ingestion")
    parser.add_argument("--rows", type=int, default=100_000, help="rows for the comparison of searches")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = embedded_postgres.start(Path(folder) / "postgres")
        try:
            with PgVectorStore(server.url) as store:
                compare_ingestion(server.url, store, options.langchain, options.ingest)
                compare_search(server.url, store, options.rows)
        finally:
            embedded_postgres.stop(server.folder)


if __name__ == "__main__":
    main()
