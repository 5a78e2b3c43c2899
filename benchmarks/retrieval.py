"""Quality and latency of the search modes on Postgres, with BM25 by bm25s beside them where it is installed.

    python benchmarks/retrieval.py --quality
    python benchmarks/retrieval.py --beir FOLDER …            # judged sets in the format of BEIR
    python benchmarks/retrieval.py --rows 1400 10000 100000

The judged sets are docstrings of Python's standard library: the texts are names and descriptions, the queries are the
summaries (prose) or the names (identifiers), and the text of the same function is relevant. Latencies are those of the
store, for a query of six words, over texts with a vocabulary distributed by Zipf's law.
"""

import argparse
import importlib
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from judged_questions import JudgedSet
from reranking import late_interaction, ndcg, read_beir
from tokenizers import Tokenizer

from embedstack.documents.load import find_tokenizer
from embedstack.embedders import LocalEmbedder, SpannedText
from embedstack.models.catalogue import known_model
from embedstack.settings.settings import load_settings
from embedstack.stores import CollectionInfo, Hit, Record, embedded_postgres
from embedstack.stores.pgvector import PgVectorStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

MODEL, DIMENSIONS, K, CANDIDATES = "sentence-transformers/all-MiniLM-L6-v2", 384, 10, 50
DATA = Path(__file__).with_name("data") / "python_library.json"
# Postgres' stop words for English, so that both analyses agree.
STOP_WORDS = """
    i me my myself we our ours ourselves you your yours yourself yourselves he him his himself she her hers herself
    it its itself they them their theirs themselves what which who whom this that these those am is are was were be
    been being have has had having do does did doing a an the and but if or because as until while of at by for with
    about against between into through during before after above below to from up down in out on off over under
    again further then once here there when where why how all any both each few more most other some such no nor not
    only own same so than too very s t can will just don should now
""".split()  # noqa: SIM905 - shorter


def python_library(*, identifiers: bool) -> JudgedSet:
    """Names and descriptions, asked for by name or by summary."""
    entries = json.loads(DATA.read_text(encoding="utf-8"))["entries"]
    texts = [f"{name}\n{rest}" for name, _, rest in entries]
    queries = [(name if identifiers else summary, {index: 1}) for index, (name, summary, _) in enumerate(entries)]
    return JudgedSet(texts, queries)


def recall(ranking: list[int], grades: dict[int, int]) -> float:
    return len(set(ranking[:K]) & grades.keys()) / len(grades)


def bm25_rankings(judged: JudgedSet) -> list[list[int]] | None:
    """The rankings by bm25s with the same stemmer, stop words and parameters; None if it is not installed."""
    try:
        bm25s, stemmer = importlib.import_module("bm25s"), importlib.import_module("Stemmer")
    except ImportError:
        return None
    options = {"stopwords": STOP_WORDS, "stemmer": stemmer.Stemmer("english"), "show_progress": False}
    index = bm25s.BM25(k1=1.2, b=0.75)
    index.index(bm25s.tokenize(judged.texts, **options), show_progress=False)
    rankings: list[list[int]] = []
    for query, _ in judged.questions:
        tokens = bm25s.tokenize([query], **options)
        if not tokens.vocab:
            rankings.append([])
            continue
        found, scores = index.retrieve(tokens, k=K, show_progress=False)
        rankings.append([int(place) for place, score in zip(found[0], scores[0], strict=True) if score > 0])
    return rankings


def late_vectors(embedder: LocalEmbedder, texts: list[str]) -> "NDArray[np.float32]":
    """Vectors by late chunking: neighbouring texts are computed together, as many as the model reads."""
    tokenizer = Tokenizer.from_file(str(find_tokenizer(load_settings(), embedder.info)))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    most = (embedder.info.max_tokens or 0) - 2
    vectors = np.asarray(embedder.embed_documents(texts))
    tokens = [len(encoding.ids) for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]
    passage: list[int] = []
    passages = [passage]
    for place, count in enumerate(tokens):
        if count <= most:  # a longer text keeps its own vector
            if sum(tokens[other] for other in passage) + count > most:
                passage = []
                passages.append(passage)
            passage.append(place)
    for places in filter(None, passages):
        ends = np.cumsum([len(texts[place]) + 1 for place in places])
        spans = tuple((int(end) - len(texts[place]) - 1, int(end) - 1) for place, end in zip(places, ends, strict=True))
        (pooled,) = embedder.embed_spans([SpannedText("\n".join(texts[place] for place in places), spans)])
        vectors[places] = pooled
    return vectors


def compare_quality(store: PgVectorStore, name: str, judged: JudgedSet, *, rerank: bool) -> None:
    """Print nDCG@10 and recall@10 of each mode."""
    with LocalEmbedder(known_model(MODEL), truncate=True) as embedder:
        vectors = embedder.embed_documents(judged.texts)
        late = late_vectors(embedder, judged.texts)
        queries = embedder.embed([query for query, _ in judged.questions], "query")
    opened = store.open(CollectionInfo(name, MODEL, DIMENSIONS, language="en"))
    opened.upsert(
        Record(f"{index:08}", text, vector)
        for index, (text, vector) in enumerate(zip(judged.texts, vectors, strict=True))
    )
    rankings: dict[str, list[list[int]]] = {"dense": [], "keyword": [], "hybrid": []}
    candidates: list[list[Hit]] = []
    for (query, _), vector in zip(judged.questions, queries, strict=True):
        dense = opened.search(vector, K, mode="exact")
        keyword = opened.search(None, K, mode="keyword", text=query)
        hybrid = opened.search(vector, K, mode="hybrid", text=query)
        for mode, hits in zip(rankings, (dense, keyword, hybrid), strict=True):
            rankings[mode].append([int(hit.record.id) for hit in hits])
        if rerank:
            candidates.append(opened.search(vector, CANDIDATES, mode="hybrid", text=query))
    rankings["late chunking"] = [list(map(int, np.argsort(-(late @ vector), kind="stable")[:K])) for vector in queries]
    library = bm25_rankings(judged)
    if library is not None:
        rankings["bm25s"] = library
    seconds = []
    if rerank:
        rankings["hybrid + rerank"] = []
        with late_interaction() as reranker:
            for (query, _), hits in zip(judged.questions, candidates, strict=True):
                begun = time.perf_counter()
                places = reranker.rerank(query, [hit.record.text for hit in hits])
                seconds.append(time.perf_counter() - begun)
                rankings["hybrid + rerank"].append([int(hits[place.index].record.id) for place in places])
    print(f"{name}: {len(judged.texts)} texts, {len(judged.questions)} queries")
    for mode, found in rankings.items():
        pairs = [(ranking, grades) for ranking, (_, grades) in zip(found, judged.questions, strict=True)]
        gain = statistics.mean(ndcg(ranking, grades) for ranking, grades in pairs)
        share = statistics.mean(recall(ranking, grades) for ranking, grades in pairs)
        print(f"  {mode:16} nDCG@{K} {gain:.3f}  recall@{K} {share:.3f}")
    if seconds:
        print(f"  reranking {CANDIDATES} texts: {1000 * statistics.median(seconds):.0f} ms (median)")


def compare_latency(store: PgVectorStore, rows: int) -> None:
    """Print the median time of a search in each mode."""
    random = np.random.default_rng(0)
    words = np.array([f"word{index}" for index in range(30_000)])
    weights = 1 / (np.arange(len(words)) + 10)
    weights /= weights.sum()
    vectors = _unit_vectors(random, rows)
    bodies = map(" ".join, random.choice(words, (rows, 80), p=weights))
    opened = store.open(CollectionInfo(f"rows-{rows}", MODEL, DIMENSIONS, language="en"))
    started = time.perf_counter()
    opened.upsert(Record(f"{index:08}", body, vectors[index]) for index, body in enumerate(bodies))
    loaded = time.perf_counter() - started
    opened.optimize(live=False)
    print(f"{rows} rows: stored in {loaded:.0f} s ({rows / loaded:,.0f} rows/s)")
    queries = [(vector, " ".join(random.choice(words, 6, p=weights))) for vector in _unit_vectors(random, 300)]
    searches: dict[str, Callable[[NDArray[np.float32], str], object]] = {
        "dense": lambda vector, _: opened.search(vector, K),
        "keyword": lambda _, text: opened.search(None, K, mode="keyword", text=text),
        "hybrid": lambda vector, text: opened.search(vector, K, mode="hybrid", text=text),
    }
    seconds: dict[str, list[float]] = {mode: [] for mode in searches}
    for turn in range(-20, len(queries)):  # the first ones warm up
        for place, (mode, search) in enumerate(searches.items()):
            # Modes take turns, so that other load affects all of them, with different queries, so that none is prepared
            # by another one.
            vector, text = queries[(turn + place * len(queries) // len(searches)) % len(queries)]
            begun = time.perf_counter()
            search(vector, text)
            if turn >= 0:
                seconds[mode].append(time.perf_counter() - begun)
    dense = statistics.median(seconds["dense"])
    for mode, times in seconds.items():
        median = statistics.median(times)
        print(f"  {mode:8} {1000 * median:.2f} ms, {median / dense:.1f} times dense")


def _unit_vectors(random: np.random.Generator, count: int) -> "NDArray[np.float32]":
    """Clustered vectors, like those of texts: the same clusters at each call."""
    centres = np.random.default_rng(1).normal(size=(200, DIMENSIONS))
    vectors = centres[random.integers(0, 200, count)] + 0.5 * random.normal(size=(count, DIMENSIONS))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quality", action="store_true", help="compare the quality of the modes")
    parser.add_argument("--beir", type=Path, nargs="+", default=[], help="compare it on sets in the format of BEIR")
    parser.add_argument("--rerank", action="store_true", help="also rerank the hybrid hits by late interaction")
    parser.add_argument("--rows", type=int, nargs="*", default=[], help="compare latencies at these numbers of rows")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = embedded_postgres.start(Path(folder) / "postgres")
        try:
            with PgVectorStore(server.url) as store:
                sets = {folder.name: read_beir(folder) for folder in options.beir}
                if options.quality:
                    sets["python-summaries"] = python_library(identifiers=False)
                    sets["python-names"] = python_library(identifiers=True)
                for name, judged in sets.items():
                    compare_quality(store, name, judged, rerank=options.rerank)
                for rows in options.rows:
                    compare_latency(store, rows)
        finally:
            embedded_postgres.stop(server.folder)


if __name__ == "__main__":
    main()
