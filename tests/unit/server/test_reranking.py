"""Rerank requests in both forms, to a cross-encoder and to a model with a ColBERT output."""

import asyncio
import json
from types import SimpleNamespace

import numpy as np
import pytest

from embedstack.errors import EmbedStackError, TextTooLong
from embedstack_server.compute.encoder import Encoder
from embedstack_server.http.protocol import EmbedProtocol, Invocation
from embedstack_server.http.requests import RequestError
from tests.support.reference_models import ReferenceModel
from tests.support.tiny_bert import write_model

DOCUMENTS = ["b", "cccc", "aaa", "cccc", "dd"]


class StandInScores:
    def __init__(self, logits, tokens):
        self.logits = np.asarray(logits, np.float32)[:, np.newaxis]
        self.tokens = tokens

    def values(self, *, raw=False):
        logits = self.logits[:, 0]
        return logits if raw else 1 / (1 + np.exp(-logits))


class StandInReranker:
    """Scores a text by its length."""

    model = SimpleNamespace(model_id="test/reranker", max_tokens=512)
    scale = 1.0

    async def ascore(self, query, texts, *, truncate=True, direction="right", most_tokens=None):
        if not truncate and (long := [index for index, text in enumerate(texts) if len(text) > 10]):
            raise TextTooLong(f"Text {long[0]} is too long.", index=long[0])
        lengths = [len(text) for text in texts]
        return StandInScores(np.array(lengths) * self.scale, len(query) * len(texts) + sum(lengths))


@pytest.fixture
def reranker():
    return StandInReranker()


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


def sigmoid(logit):
    return pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-6)


def test_tei_form_returns_a_sorted_list(reranker):
    assert respond(reranker, query="q", texts=["b", "cccc", "aaa"]) == [
        {"index": 1, "score": sigmoid(4)},
        {"index": 2, "score": sigmoid(3)},
        {"index": 0, "score": sigmoid(1)},
    ]


def test_cohere_form_returns_results_and_usage(reranker):
    assert respond(reranker, query="qq", documents=["b", {"text": "cccc"}], model="test/reranker") == {
        "model": "test/reranker",
        "results": [{"index": 1, "relevance_score": sigmoid(4)}, {"index": 0, "relevance_score": sigmoid(1)}],
        "usage": {"total_tokens": 9},
    }


def test_duplicates_keep_their_indexes_and_order(reranker):
    results = respond(reranker, query="q", documents=DOCUMENTS)["results"]
    assert [result["index"] for result in results] == [1, 3, 2, 4, 0]


@pytest.mark.parametrize(("top_n", "indexes"), [(1, [1]), (2, [1, 3]), (5, [1, 3, 2, 4, 0]), (99, [1, 3, 2, 4, 0])])
def test_top_n_limits_the_results(reranker, top_n, indexes):
    results = respond(reranker, query="q", documents=DOCUMENTS, top_n=top_n)["results"]
    assert [result["index"] for result in results] == indexes
    assert [result["index"] for result in respond(reranker, query="q", texts=DOCUMENTS, top_n=top_n)] == indexes


def test_raw_scores_are_logits(reranker):
    entries = respond(reranker, query="q", texts=["b", "cccc"], raw_scores=True)
    assert [entry["score"] for entry in entries] == [4, 1]
    assert respond(reranker, query="q", texts=["b"], raw_scores=False)[0]["score"] == sigmoid(1)


def test_saturated_scores_are_sorted_by_their_logits(reranker):
    reranker.scale = 100.0
    entries = respond(reranker, query="q", texts=["b", "aaa", "dd"])
    assert [(entry["index"], entry["score"]) for entry in entries] == [(1, 1), (2, 1), (0, 1)]


def test_documents_are_returned_on_request(reranker):
    documents = ["b", {"text": "cccc", "title": "T"}]
    results = respond(reranker, query="q", documents=documents, return_documents=True)["results"]
    assert [result["document"] for result in results] == [{"text": "cccc", "title": "T"}, {"text": "b"}]
    entries = respond(reranker, query="q", texts=["b", "cccc"], return_text=True)
    assert [entry["text"] for entry in entries] == ["cccc", "b"]
    for plain in (respond(reranker, query="q", documents=["b"])["results"], respond(reranker, query="q", texts=["b"])):
        assert len(plain[0]) == 2


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
    results = respond(reranker, query="q", documents=["b", {"text": "cccc"}], **body)["results"]
    assert [result["index"] for result in results] == [1, 0]


def test_litellm_request_in_tei_form_is_accepted(reranker):
    body = {"raw_scores": False, "truncation_direction": "Right", "top_n": 1, "return_text": True}
    entries = respond(reranker, query="q", texts=["a", "bb"], **body)
    assert entries == [{"index": 1, "score": sigmoid(2), "text": "bb"}]


def test_rejected_text_is_named_by_its_index(reranker):
    error = rejection(reranker, query="q", texts=["a", "b" * 20], truncate=False)
    assert (error.status, error.error_type, error.index) == (422, "text_too_long", 1)


def test_non_finite_score_is_an_error(reranker):
    reranker.scale = np.nan
    error = rejection(reranker, query="q", texts=["a", "bb"])
    assert (error.status, error.error_type, error.index) == (500, "model_error", 0)


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
        ({"documents": ["a"], "top_n": 0}, 422, "`top_n` is 0; it must be at least 1"),
        ({"documents": ["a"], "top_n": -1}, 422, "`top_n` is -1; it must be at least 1"),
        ({"documents": ["a"], "top_n": 1.5}, 422, "`top_n` is a number; it must be an integer"),
        ({"documents": ["a"], "top_n": True}, 422, "`top_n` is a boolean"),
        ({"documents": ["a"], "rank_fields": ["title"]}, 422, "`rank_fields` must be"),
        ({"documents": ["a"], "max_tokens_per_doc": 100}, 422, "the model reads 512 tokens"),
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
