"""Relevance of searches in S3 Vectors with all-MiniLM-L6-v2: queries for identifiers, and questions in other words."""

import pytest

from conftest import MINILM
from embedstack.embedders.local import LocalEmbedder
from embedstack.models.catalogue import known_model
from embedstack.stores import CollectionInfo, Record

COMPONENTS = {
    "feed pump": "the machine that moves the liquid", "intake valve": "the part that opens and closes the inlet",
    "drive belt": "the strap that turns the wheels", "control panel": "the screen with the buttons",
    "cooling fan": "the blower against heat", "door lock": "the latch that keeps it shut",
}  # fmt: skip
PROBLEMS = {
    "is worn": "looks used up", "overheats": "gets too hot", "makes noise": "is loud",
    "has lost its connection": "is offline", "was not calibrated": "was never adjusted", "is blocked": "cannot move",
}  # fmt: skip
FAULTS = [(component, problem) for component in COMPONENTS for problem in PROBLEMS]
#: Text and a question with neither its code nor its words, by code.
TEXTS = {
    f"{'ABCDEF'[number % 6]}-{4000 + 37 * number}": (
        f"The {component} {problem}.",
        f"{COMPONENTS[component]} {PROBLEMS[problem]}?",
    )
    for number, (component, problem) in enumerate(FAULTS)
}


@pytest.fixture(scope="module")
def relevance(s3vectors, minilm_folder):
    """The mean reciprocal rank of the relevant records in ten hits, by mode."""
    with LocalEmbedder(known_model(MINILM), folder=minilm_folder) as embedder:
        opened = s3vectors.open(CollectionInfo.for_model("error-codes", embedder.info, language="en"))
        texts = [f"Error {code}. {text}" for code, (text, _) in TEXTS.items()]
        vectors = embedder.embed_documents(texts)
        opened.upsert(Record(code, text, vector) for code, text, vector in zip(TEXTS, texts, vectors, strict=True))

        def relevance(queries, mode):
            reciprocal_ranks = []
            for code, query in queries.items():
                text = query if mode != "approximate" else None
                ids = [hit.record.id for hit in opened.search(embedder.embed_query(query), 10, mode=mode, text=text)]
                reciprocal_ranks.append(1 / (ids.index(code) + 1) if code in ids else 0)
            return sum(reciprocal_ranks) / len(reciprocal_ranks)

        yield lambda queries: {mode: relevance(queries, mode) for mode in ("approximate", "keyword", "hybrid")}
    s3vectors.drop("error-codes")


def test_hybrid_search_finds_identifiers_that_vectors_confuse(relevance):
    by_mode = relevance({code: f"What do I do about error {code}?" for code in TEXTS})
    assert by_mode["approximate"] < by_mode["keyword"] == by_mode["hybrid"] == 1


def test_hybrid_search_finds_other_words_as_well_as_vectors(relevance):
    by_mode = relevance({code: question for code, (_, question) in TEXTS.items()})
    assert by_mode["keyword"] < by_mode["approximate"] <= by_mode["hybrid"]
