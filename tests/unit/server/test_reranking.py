"""Rerank requests in both forms, to a cross-encoder and to a model with a ColBERT output."""

import asyncio
import json
import random

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from embedstack.errors import EmbedStackError
from embedstack_server.compute.cross_encoder import CrossEncoder
from embedstack_server.compute.encoder import Encoder
from embedstack_server.http import protocol
from embedstack_server.http.protocol import EmbedProtocol, Invocation
from embedstack_server.http.requests import RequestError
from tests.support.reference_models import ReferenceModel
from tests.support.tiny_bert import write_model
from tests.unit.server.mutations import mutated

QUERY = "the cat sat"
TEXTS = ["dog ran far", "the cat sat on the mat", "on the mat", "the cat sat on the mat", "far"]


@pytest.fixture(scope="module")
def reranker(tmp_path_factory):
    folder = ReferenceModel.load("cross-bert").write(tmp_path_factory.mktemp("cross-bert"))
    model = CrossEncoder.load(folder, model_id="test/reranker", precision="fp32")
    yield model
    model.close()


@pytest.fixture(scope="module")
def m3(tmp_path_factory):
    encoder = Encoder.load(
        ReferenceModel.load("bge-m3").write(tmp_path_factory.mktemp("m3")), model_id="test/m3", precision="fp32"
    )
    yield encoder
    encoder.close()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    encoder = Encoder.load(write_model(tmp_path_factory.mktemp("tiny")), model_id="test/tiny", precision="fp32")
    yield encoder
    encoder.close()


def respond(model, accept=None, /, **body):
    response = asyncio.run(EmbedProtocol().respond(model, Invocation(json.dumps(body).encode(), accept)))
    return json.loads(response.body)


def rejection(model, accept=None, /, **body):
    try:
        respond(model, accept, **body)
    except RequestError as error:
        return error
    except EmbedStackError as error:
        return RequestError.from_error(error)
    raise AssertionError("accepted")


def expected(model, texts=TEXTS, *, raw=False):
    """The indexes of the texts, best first, and the scores in this order."""
    scores = model.score(QUERY, texts)
    order = np.argsort(-scores.values(raw=True), kind="stable").tolist()
    return order, pytest.approx(scores.values(raw=raw)[order].tolist(), abs=1e-5)


def test_tei_form_returns_a_sorted_list(reranker):
    entries = respond(reranker, query=QUERY, texts=TEXTS)
    assert all(entry.keys() == {"index", "score"} for entry in entries)
    assert ([entry["index"] for entry in entries], [entry["score"] for entry in entries]) == expected(reranker)


def test_cohere_form_returns_results_and_usage(reranker):
    documents = [TEXTS[0], *({"text": text} for text in TEXTS[1:])]
    response = respond(reranker, query=QUERY, documents=documents, model="test/reranker")
    results = response.pop("results")
    assert all(result.keys() == {"index", "relevance_score"} for result in results)
    scores = [result["relevance_score"] for result in results]
    assert ([result["index"] for result in results], scores) == expected(reranker)
    tokens = reranker.score(QUERY, TEXTS).tokens
    assert response == {"model": "test/reranker", "usage": {"total_tokens": tokens}}


def test_duplicates_keep_their_order(reranker):
    order = [result["index"] for result in respond(reranker, query=QUERY, documents=[TEXTS[1]] * 4)["results"]]
    assert sorted(order) == [0, 1, 2, 3]
    order = [entry["index"] for entry in respond(reranker, query=QUERY, texts=TEXTS)]
    assert abs(order.index(1) - order.index(3)) == 1


@pytest.mark.parametrize("top_n", [1, 2, 5, 99])
def test_top_n_limits_the_results(reranker, top_n):
    order, _ = expected(reranker)
    results = respond(reranker, query=QUERY, documents=TEXTS, top_n=top_n)["results"]
    assert [result["index"] for result in results] == order[:top_n]
    assert [entry["index"] for entry in respond(reranker, query=QUERY, texts=TEXTS, top_n=top_n)] == order[:top_n]


def test_raw_scores_are_logits(reranker):
    entries = respond(reranker, query=QUERY, texts=TEXTS, raw_scores=True)
    assert [entry["score"] for entry in entries] == expected(reranker, raw=True)[1]
    plain = respond(reranker, query=QUERY, texts=TEXTS, raw_scores=False)
    assert all(0 < entry["score"] < 1 for entry in plain)
    assert plain[0]["score"] == pytest.approx(1 / (1 + np.exp(-entries[0]["score"])), abs=1e-6)


def test_saturated_scores_are_sorted_by_their_logits(tmp_path):
    folder = ReferenceModel.load("cross-bert").write(tmp_path)
    tensors = load_file(folder / "model.safetensors")
    tensors["classifier.bias"][:] = 40
    save_file(tensors, folder / "model.safetensors")
    model = CrossEncoder.load(folder, precision="fp32")
    entries = respond(model, query=QUERY, texts=TEXTS[1:])
    assert [entry["score"] for entry in entries] == [1, 1, 1, 1]
    assert [entry["index"] for entry in entries] == expected(model, TEXTS[1:])[0] != [0, 1, 2, 3]
    model.close()


def test_documents_are_returned_on_request(reranker):
    documents = ["dog ran far", {"text": "the mat", "title": "T"}]
    results = respond(reranker, query=QUERY, documents=documents, return_documents=True)["results"]
    assert {result["index"]: result["document"] for result in results} == {
        0: {"text": "dog ran far"},
        1: {"text": "the mat", "title": "T"},
    }
    entries = respond(reranker, query=QUERY, texts=["dog ran far", "the mat"], return_text=True)
    assert {entry["index"]: entry["text"] for entry in entries} == {0: "dog ran far", 1: "the mat"}


@pytest.mark.parametrize(
    "body",
    [
        {"model": "reranker", "top_n": 2, "rank_fields": ["text"], "return_documents": True},
        {"model": "reranker", "top_n": 2, "max_tokens_per_doc": None},
        {"model": "reranker", "top_n": None, "max_tokens_per_doc": 4096, "return_documents": None},
        {"truncate": True, "truncation_direction": "left", "user": "u1"},
    ],
)
def test_members_of_cohere_clients_are_accepted(reranker, body):
    results = respond(reranker, query=QUERY, documents=[TEXTS[0], {"text": TEXTS[1]}], **body)["results"]
    assert [result["index"] for result in results] == expected(reranker, TEXTS[:2])[0]


def test_litellm_request_in_tei_form_is_accepted(reranker):
    body = {"raw_scores": False, "truncation_direction": "Right", "top_n": 1, "return_text": True}
    (entry,) = respond(reranker, query=QUERY, texts=TEXTS[:2], **body)
    assert entry["text"] == TEXTS[entry["index"]]


def test_long_texts_are_truncated_or_rejected_by_their_index(reranker):
    long = " ".join(["the cat sat on"] * 100 + ["far"] * 100)
    left, right = (
        respond(reranker, query=QUERY, texts=[long], raw_scores=True, truncate=True, truncation_direction=side)[0]
        for side in ("left", "Right")
    )
    assert left["score"] != pytest.approx(right["score"], abs=1e-4)
    error = rejection(reranker, query=QUERY, texts=["dog", long])
    assert (error.status, error.error_type, error.index) == (422, "text_too_long", 1)
    error = rejection(reranker, query=long, texts=["dog"])
    assert (error.status, error.index) == (422, None)
    assert "query" in error.message


def test_too_many_tokens_are_413(reranker, monkeypatch):
    tokens = reranker.score(QUERY, TEXTS).tokens
    monkeypatch.setattr(protocol, "MAX_REQUEST_TOKENS", tokens)
    assert len(respond(reranker, query=QUERY, texts=TEXTS)) == len(TEXTS)
    monkeypatch.setattr(protocol, "MAX_REQUEST_TOKENS", tokens - 1)
    assert rejection(reranker, query=QUERY, texts=TEXTS).status == 413


def test_late_interaction_serves_both_forms(m3):
    texts = ["dog ran far", "the cat sat on the mat"]
    entries = respond(m3, query="the cat", texts=texts)
    response = respond(m3, query="the cat", documents=texts)
    assert [entry["index"] for entry in entries] == [1, 0]
    assert [(entry["index"], entry["score"]) for entry in entries] == [
        (result["index"], result["relevance_score"]) for result in response["results"]
    ]
    assert response["model"] == "test/m3"
    assert response["usage"] == {"total_tokens": m3.encode(["the cat", *texts]).tokens}


@pytest.mark.parametrize("body", [{"inputs": "cat"}, {"input": "cat"}, {"inputs": "cat", "outputs": ["dense"]}])
def test_reranker_rejects_embedding_requests(reranker, body):
    error = rejection(reranker, **body)
    assert (error.status, error.error_type) == (422, "unsupported_kind")
    assert error.message.startswith("test/reranker is a reranker")


@pytest.mark.parametrize("name", ["texts", "documents"])
def test_embedding_model_rejects_rerank_requests(tiny, name):
    error = rejection(tiny, query="cat", **{name: ["dog"]})
    assert (error.status, error.error_type) == (422, "unsupported_kind")
    assert error.message.startswith("test/tiny is an embedding model")


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({}, 422, "neither `texts` nor `documents`"),
        ({"texts": ["a"], "documents": ["a"]}, 422, "`texts` and `documents`. Send one of them"),
        ({"documents": []}, 400, "`documents` is an empty list"),
        ({"texts": []}, 400, "`texts` is an empty list"),
        ({"documents": ["a"] * 2049}, 413, "`documents` has 2049 items; one request takes 2048"),
        ({"texts": ["a"] * 2049}, 413, "`texts` has 2049 items"),
        ({"documents": ["a", ""]}, 400, "`documents[1]` is empty"),
        ({"documents": ["a", {"text": ""}]}, 400, "`documents[1]` is empty"),
        ({"texts": ["a", ""]}, 400, "`texts[1]` is empty"),
        ({"query": "", "texts": ["a"]}, 400, "`query` is empty"),
        ({"query": ["q"], "texts": ["a"]}, 422, "`query` is a list; it must be a string"),
        ({"texts": "a"}, 422, "`texts` is a string; it must be a list of strings"),
        ({"texts": ["a", {"text": "b"}]}, 422, "`texts[1]` is an object; it must be a string"),
        ({"documents": "a"}, 422, "`documents` is a string; it must be a list"),
        ({"documents": ["a", 3]}, 422, "`documents[1]` is a number"),
        ({"documents": ["a", None]}, 422, "`documents[1]` is null"),
        ({"documents": ["a", ["b"]]}, 422, "`documents[1]` is a list"),
        ({"documents": [{"title": "b"}]}, 422, "`documents[0]` is an object without a string `text`"),
        ({"documents": [{"text": 3}]}, 422, "`documents[0]` is an object without a string `text`"),
        ({"documents": [{"text": "b", "tags": []}]}, 422, "`documents[0]` has a list or an object as a field"),
        ({"documents": ["a"], "top_n": 0}, 422, "`top_n` is 0; it must be at least 1"),
        ({"documents": ["a"], "top_n": -1}, 422, "`top_n` is -1; it must be at least 1"),
        ({"documents": ["a"], "top_n": 1.5}, 422, "`top_n` is a number; it must be an integer"),
        ({"documents": ["a"], "top_n": True}, 422, "`top_n` is a boolean"),
        ({"documents": ["a"], "rank_fields": ["title"]}, 422, "`rank_fields` must be"),
        ({"documents": ["a"], "max_tokens_per_doc": 100}, 422, "the model reads 140 tokens"),
        ({"documents": ["a"], "model": "rerank-v3.5"}, 422, "serves the model test/reranker, not rerank-v3.5"),
        ({"documents": ["a"], "return_text": True}, 400, "Unknown member: 'return_text'"),
        ({"texts": ["a"], "return_documents": True}, 400, "Unknown member: 'return_documents'"),
        ({"documents": ["a"], "top_k": 1}, 400, "Unknown member: 'top_k'. Known members: query, top_n"),
        ({"texts": ["a"], "truncation_direction": "up"}, 422, "must be Left or Right"),
        ({"texts": ["a"], "raw_scores": 1}, 422, "`raw_scores` is a number"),
    ],
)
def test_invalid_requests_are_rejected(reranker, body, status, message):
    error = rejection(reranker, **{"query": "q", **body})
    assert error.status == status
    assert message in error.message


def test_duplicate_member_of_a_document_is_rejected(reranker):
    body = b'{"query": "q", "documents": [{"text": "a", "text": "b"}]}'
    with pytest.raises(RequestError, match="a member twice"):
        asyncio.run(EmbedProtocol().respond(reranker, Invocation(body)))


def test_response_is_json_only(reranker):
    assert rejection(reranker, "application/x-npy", query="q", texts=["a"]).status == 406


def test_mutated_bodies_are_accepted_or_rejected(reranker):
    choice = random.Random(11)  # noqa: S311 - the same bodies every time
    bodies = [
        b'{"query": "the cat", "texts": ["dog", "cat"], "truncate": true, "return_text": true, "top_n": 1}',
        b'{"query": "the cat", "documents": ["dog", {"text": "cat"}], "return_documents": true, "raw_scores": false}',
    ]
    wire = EmbedProtocol()
    statuses = set()

    async def send():
        for _ in range(1_500):
            body = mutated(choice.choice(bodies), choice)
            try:
                statuses.add((await wire.respond(reranker, Invocation(body))).status)
            except RequestError as error:
                statuses.add(wire.render_error(error).status)
            except EmbedStackError as error:
                statuses.add(wire.render_error(RequestError.from_error(error)).status)

    asyncio.run(send())
    assert statuses == {200, 400, 422}
