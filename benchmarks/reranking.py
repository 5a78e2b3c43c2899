"""Whether a reranker improves the ranking of an embedding model: nDCG@10 with and without, and the time of a query.

    python benchmarks/reranking.py
    python benchmarks/reranking.py --model FOLDER                    # a cross-encoder
    python benchmarks/reranking.py --model FOLDER --beir scifact     # a judged set in the format of BEIR

all-MiniLM-L6-v2 ranks all texts by cosine similarity; the reranker orders the first of them. Without --model, the
reranker is late interaction (MaxSim) of the token vectors of the same model, on an endpoint of the local AWS with this
project's model server. Without --beir, the texts and questions are generated (benchmarks/judged_questions.py). nDCG is
that of Järvelin and Kekäläinen, 2002 (https://doi.org/10.1145/582415.582418), with the grade as gain.
"""

import argparse
import csv
import json
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import numpy as np
from judged_questions import JudgedSet, judged_set
from safetensors.numpy import save_file

from embedstack.embedders import LocalEmbedder
from embedstack.models.catalogue import known_model
from embedstack.models.local_files import find_model_folder
from embedstack.models.model_info import ModelInfo
from embedstack.rerankers import LocalReranker, Reranker, SageMakerReranker
from embedstack.settings.settings import load_settings
from localaws.config import LocalAwsConfig
from localaws.gateway.local_aws import LocalAws

if TYPE_CHECKING:
    from numpy.typing import NDArray

EMBEDDING_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
LATE_INTERACTION, ENDPOINT = "benchmarks/late-interaction", "reranker"
IMAGE, ROLE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/embedstack:1", "arn:aws:iam::123456789012:role/any"
DEPTH = 10


def ndcg(ranking: Sequence[int], grades: Mapping[int, int]) -> float:
    """The nDCG at 10 of positions of texts, most relevant first."""
    discounts = 1 / np.log2(np.arange(2, DEPTH + 2))
    ideal = sorted(grades.values(), reverse=True)[:DEPTH]
    gains = [grades.get(index, 0) for index in ranking[:DEPTH]]
    return float(np.dot(gains, discounts[: len(gains)]) / np.dot(ideal, discounts[: len(ideal)]))


def read_beir(folder: Path) -> JudgedSet:
    """A set of BEIR (https://github.com/beir-cellar/beir): corpus.jsonl, queries.jsonl and qrels/test.tsv.

    Empty texts, such as two of Cranfield, are left out with their judgements: they have no vector.
    """
    corpus = [json.loads(line) for line in (folder / "corpus.jsonl").read_text(encoding="utf-8").splitlines()]
    texts = {document["_id"]: f"{document.get('title', '')} {document['text']}".strip() for document in corpus}
    texts = {document_id: text for document_id, text in texts.items() if text}
    positions = {document_id: index for index, document_id in enumerate(texts)}
    queries = [json.loads(line) for line in (folder / "queries.jsonl").read_text(encoding="utf-8").splitlines()]
    grades: dict[str, dict[int, int]] = defaultdict(dict)
    with (folder / "qrels" / "test.tsv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            if int(row["score"]) > 0 and row["corpus-id"] in positions:
                grades[row["query-id"]][positions[row["corpus-id"]]] = int(row["score"])
    questions = [(query["text"], grades[query["_id"]]) for query in queries if query["_id"] in grades]
    return JudgedSet(list(texts.values()), questions)


def write_late_interaction_model(folder: Path) -> None:
    """Write the embedding model with a ColBERT output that is its token vectors, unchanged."""
    source = find_model_folder(EMBEDDING_MODEL, Path("models"))
    if source is None:
        raise SystemExit(f"{EMBEDDING_MODEL} is not on this machine. Put its folder into models/.")
    folder.mkdir(parents=True)
    for path in source.iterdir():
        (folder / path.name).symlink_to(path)
    size = json.loads((source / "config.json").read_text(encoding="utf-8"))["hidden_size"]
    heads = {"colbert_linear": np.eye(size, dtype=np.float32), "sparse_linear": np.zeros((1, size), np.float32)}
    for name, weight in heads.items():
        save_file({"weight": weight, "bias": np.zeros(len(weight), np.float32)}, folder / f"{name}.safetensors")


@contextmanager
def late_interaction() -> Iterator[Reranker]:
    """The late interaction model on an endpoint of a local AWS."""
    with tempfile.TemporaryDirectory() as temporary:
        models = Path(temporary)
        write_late_interaction_model(models / LATE_INTERACTION)
        with LocalAws(LocalAwsConfig(port=0, models_dir=models)) as server:
            for name, value in LocalAwsConfig().client_environment(server.port).items():
                os.environ[name] = value
            deploy(boto3.client("sagemaker"))
            model = ModelInfo(LATE_INTERACTION, kind="reranker")
            with SageMakerReranker(model, endpoint=ENDPOINT, settings=load_settings(), truncate=True) as reranker:
                yield reranker


def deploy(sagemaker: Any) -> None:
    container = {"Image": IMAGE, "Environment": {"HF_MODEL_ID": LATE_INTERACTION}}
    sagemaker.create_model(ModelName=ENDPOINT, ExecutionRoleArn=ROLE, PrimaryContainer=container)
    serverless = {"MemorySizeInMB": 4096, "MaxConcurrency": 20}
    variant = {"VariantName": "all", "ModelName": ENDPOINT, "ServerlessConfig": serverless}
    sagemaker.create_endpoint_config(EndpointConfigName=ENDPOINT, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=ENDPOINT, EndpointConfigName=ENDPOINT)
    while (status := sagemaker.describe_endpoint(EndpointName=ENDPOINT)["EndpointStatus"]) != "InService":
        if status != "Creating":
            raise SystemExit(f"The endpoint is {status}.")
        time.sleep(0.1)


def local_cross_encoder(folder: Path) -> Reranker:
    return LocalReranker(ModelInfo(folder.name, kind="reranker"), folder=folder, truncate=True)


def rank_by_similarity(judged: JudgedSet, candidates: int) -> "NDArray[np.intp]":
    """Positions of the nearest texts of each question, nearest first: (questions, candidates)."""
    with LocalEmbedder(known_model(EMBEDDING_MODEL), truncate=True) as embedder:
        texts = embedder.embed_documents(judged.texts)
        questions = embedder.embed([question for question, _ in judged.questions], "query")
    return np.argsort(-questions @ texts.T, axis=1, kind="stable")[:, :candidates]


def measure(judged: JudgedSet, reranker: Reranker, candidates: int) -> None:
    nearest = rank_by_similarity(judged, candidates)
    found = [
        len(grades.keys() & set(ranking.tolist())) / len(grades)
        for ranking, (_, grades) in zip(nearest, judged.questions, strict=True)
    ]
    rows: dict[str, list[float]] = {"nearest": [], "reranked": []}
    seconds = []
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
    parser.add_argument("--model", type=Path, help="folder of a cross-encoder")
    parser.add_argument("--beir", type=Path, help="folder of a judged set in the format of BEIR")
    parser.add_argument("--candidates", type=int, default=50, help="texts that are reranked (default: %(default)s)")
    options = parser.parse_args()
    with local_cross_encoder(options.model) if options.model else late_interaction() as chosen:
        measure(read_beir(options.beir) if options.beir else judged_set(), chosen, options.candidates)
