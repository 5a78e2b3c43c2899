"""Whether a reranker improves the ranking of an embedding model: nDCG@10 with and without, and the time of a query.

    .venv-reference/bin/python benchmarks/train_reranker.py .local/reranker
    python benchmarks/reranking.py --model .local/reranker
    python benchmarks/reranking.py --model FOLDER --beir scifact    # a judged set in the format of BEIR

The embedding model ranks all texts by cosine similarity; the reranker orders the first of them. Without --beir, the
texts and questions are generated (benchmarks/judged_questions.py). nDCG is that of Järvelin and Kekäläinen, 2002
(https://doi.org/10.1145/582415.582418), with the grade as gain.
"""

import argparse
import csv
import json
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from judged_questions import JudgedSet, judged_set

from embedstack.embedders import LocalEmbedder
from embedstack.models.catalogue import known_model
from embedstack.models.model_info import ModelInfo
from embedstack.rerankers import LocalReranker

if TYPE_CHECKING:
    from numpy.typing import NDArray

EMBEDDING_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
DEPTH = 10


def ndcg(ranking: Sequence[int], grades: Mapping[int, int]) -> float:
    """The nDCG at 10 of positions of texts, most relevant first."""
    discounts = 1 / np.log2(np.arange(2, DEPTH + 2))
    ideal = sorted(grades.values(), reverse=True)[:DEPTH]
    gains = [grades.get(index, 0) for index in ranking[:DEPTH]]
    return float(np.dot(gains, discounts[: len(gains)]) / np.dot(ideal, discounts[: len(ideal)]))


def read_beir(folder: Path) -> JudgedSet:
    """A set of BEIR (https://github.com/beir-cellar/beir): corpus.jsonl, queries.jsonl and qrels/test.tsv."""
    corpus = [json.loads(line) for line in (folder / "corpus.jsonl").read_text(encoding="utf-8").splitlines()]
    positions = {document["_id"]: index for index, document in enumerate(corpus)}
    texts = [f"{document.get('title', '')} {document['text']}".strip() for document in corpus]
    queries = [json.loads(line) for line in (folder / "queries.jsonl").read_text(encoding="utf-8").splitlines()]
    grades: dict[str, dict[int, int]] = defaultdict(dict)
    with (folder / "qrels" / "test.tsv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            if int(row["score"]) > 0:
                grades[row["query-id"]][positions[row["corpus-id"]]] = int(row["score"])
    return JudgedSet(texts, [(query["text"], grades[query["_id"]]) for query in queries if query["_id"] in grades])


def rank_by_similarity(judged: JudgedSet, candidates: int) -> "NDArray[np.intp]":
    """Positions of the nearest texts of each question, nearest first: (questions, candidates)."""
    with LocalEmbedder(known_model(EMBEDDING_MODEL), truncate=True) as embedder:
        texts = embedder.embed_documents(judged.texts)
        questions = embedder.embed([question for question, _ in judged.questions], "query")
    return np.argsort(-questions @ texts.T, axis=1, kind="stable")[:, :candidates]


def measure(judged: JudgedSet, model: Path, candidates: int) -> None:
    nearest = rank_by_similarity(judged, candidates)
    found = [
        len(grades.keys() & set(ranking.tolist())) / len(grades)
        for ranking, (_, grades) in zip(nearest, judged.questions, strict=True)
    ]
    rows: dict[str, list[float]] = {"nearest": [], "reranked": []}
    seconds = []
    with LocalReranker(ModelInfo(model.name, kind="reranker"), folder=model, truncate=True) as reranker:
        reranker.rerank("warm up", ["the model"])
        for ranking, (question, grades) in zip(nearest, judged.questions, strict=True):
            started = time.perf_counter()
            rankings = reranker.rerank(question, [judged.texts[index] for index in ranking])
            seconds.append(time.perf_counter() - started)
            rows["nearest"].append(ndcg(ranking.tolist(), grades))
            rows["reranked"].append(ndcg([int(ranking[place.index]) for place in rankings], grades))
    print(f"{len(judged.texts)} texts, {len(judged.questions)} questions, {candidates} candidates for a question")
    print(f"relevant texts among the candidates: {100 * np.mean(found):.0f} %")
    for name, values in rows.items():
        print(f"nDCG@{DEPTH} {name}: {np.mean(values):.3f}")
    differences = np.subtract(rows["reranked"], rows["nearest"])
    low, high = bootstrap(differences)
    print(f"gain: {differences.mean():+.3f} (95 % interval {low:+.3f} to {high:+.3f})")
    print(f"reranking: {1000 * np.median(seconds):.0f} ms for a question (median)")


def bootstrap(differences: "NDArray[np.float64]") -> tuple[float, float]:
    """The 95 % interval of a mean, by 10,000 resamples of the questions."""
    generator = np.random.default_rng(0)
    means = generator.choice(differences, (10_000, len(differences))).mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="folder of a cross-encoder")
    parser.add_argument("--beir", type=Path, help="folder of a judged set in the format of BEIR")
    parser.add_argument("--candidates", type=int, default=50, help="texts that are reranked (default: %(default)s)")
    options = parser.parse_args()
    measure(read_beir(options.beir) if options.beir else judged_set(), options.model, options.candidates)
