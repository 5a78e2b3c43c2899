"""Requests for BGE-M3's outputs, late chunking and reranking."""

import asyncio
import base64
import io
import json

import numpy as np
import pytest

from embedstack.errors import EmbedStackError
from embedstack_server.compute.encoder import Encoder
from embedstack_server.http.protocol import EmbedProtocol, Invocation
from embedstack_server.http.requests import RequestError
from embedstack_server.model.token_heads import colbert_score
from tests.support.reference_models import TEXTS, ReferenceModel
from tests.support.tiny_bert import hidden_states, make_tensors, write_model

EMBEDDED = [TEXTS[0], TEXTS[3]]
TEXT = "the cat sat on the mat"


@pytest.fixture(scope="module")
def reference():
    return ReferenceModel.load("bge-m3")


@pytest.fixture(scope="module")
def m3(reference, tmp_path_factory):
    encoder = Encoder.load(reference.write(tmp_path_factory.mktemp("m3")), precision="fp32")
    yield encoder
    encoder.close()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    encoder = Encoder.load(write_model(tmp_path_factory.mktemp("tiny"), make_tensors(seed=5)), precision="fp32")
    yield encoder
    encoder.close()


def respond(encoder, **payload):
    body = json.dumps(payload).encode()
    return json.loads(asyncio.run(EmbedProtocol().respond(encoder, Invocation(body))).body)


def test_protocol_returns_the_three_outputs_of_bge_m3(m3, reference):
    response = respond(m3, inputs=EMBEDDED, outputs=["dense", "sparse", "colbert"])
    np.testing.assert_allclose(response["dense"], reference.outputs["dense"], atol=2e-6)
    for index in range(len(EMBEDDED)):
        expected = {int(token): weight for token, weight in reference.outputs[f"sparse{index}"]}
        sparse = {int(token): weight for token, weight in response["sparse"][index].items()}
        assert sparse == pytest.approx(expected, abs=2e-5)
        np.testing.assert_allclose(response["colbert"][index], reference.outputs[f"colbert{index}"], atol=2e-5)
    assert response["usage"]["total_tokens"] == sum(len(ids) for ids in m3.encode(EMBEDDED).ids)


def test_rerank_orders_by_maxsim(m3):
    texts = ["dog ran far", TEXT, "on the mat the cat sat"]
    response = respond(m3, query=TEXT, texts=texts)
    vectors = m3.encode([TEXT, *texts], hidden_hook=lambda _, states: m3.model.heads.colbert(states)).derived
    expected = [colbert_score(vectors[0], vector) for vector in vectors[1:]]
    assert [entry["index"] for entry in response] == list(np.argsort(expected)[::-1])
    assert response[0]["index"] == 1
    assert [entry["score"] for entry in response] == pytest.approx(sorted(expected, reverse=True), abs=1e-6)


def test_rerank_returns_texts_on_request(m3):
    texts = ["dog ran far", TEXT]
    assert [entry["text"] for entry in respond(m3, query=TEXT, texts=texts, return_text=True)] == texts[::-1]
    assert "text" not in respond(m3, query=TEXT, texts=texts)[0]


def test_rerank_names_a_rejected_query(m3):
    with pytest.raises(RequestError, match=r"`query`: Text 0 has .* tokens"):
        respond(m3, query=TEXT * 3_000, texts=["dog"], truncate=False)


def test_colbert_score_includes_all_tokens_of_long_texts():
    random = np.random.default_rng(1)
    query, passage = (random.standard_normal((rows, 8), np.float32) for rows in (5, 2_000))
    assert colbert_score(query, passage) == pytest.approx(float((query @ passage.T).max(axis=1).mean()), abs=1e-6)


def test_spans_are_computed_in_the_context_of_the_text(tiny):
    cat_sat, mat = [4, 11], [19, 22]
    response = respond(tiny, inputs=TEXT, spans=[[cat_sat, mat]])
    states = hidden_states(make_tensors(seed=5), TEXT)  # [CLS] the cat sat on the mat [SEP]
    expected = np.stack([states[2:4].mean(axis=0), states[6]])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(response["spans"][0], expected, atol=2e-5)
    alone = respond(tiny, inputs="mat")[0]
    assert np.abs(np.asarray(response["spans"][0][1]) - alone).max() > 0.01, "the context made no difference"


def test_spans_exclude_the_prompt(tiny):
    with_prompt = respond(tiny, inputs="cat sat", spans=[[[0, 3]]], prompt_name="query")
    written_out = respond(tiny, inputs="the cat sat", spans=[[[4, 7]]])
    np.testing.assert_allclose(with_prompt["spans"], written_out["spans"], atol=1e-6)


def decoded(vectors):
    return np.stack([np.frombuffer(base64.b64decode(vector, validate=True), "<f4") for vector in vectors])


def test_base64_encodes_every_vector(m3):
    for payload in ({"inputs": EMBEDDED}, {"inputs": EMBEDDED, "normalize": False}):
        np.testing.assert_array_equal(
            decoded(respond(m3, **payload, encoding_format="base64")),
            np.asarray(respond(m3, **payload, encoding_format="float"), np.float32),
        )
    payload = {"inputs": EMBEDDED, "outputs": ["dense", "sparse", "colbert"], "spans": [[[0, 3]], [[0, 3], [4, 7]]]}
    response, expected = respond(m3, **payload, encoding_format="base64"), respond(m3, **payload)
    np.testing.assert_array_equal(decoded(response["dense"]), np.asarray(expected["dense"], np.float32))
    for index in range(len(EMBEDDED)):
        for output in ("colbert", "spans"):
            numbers = np.asarray(expected[output][index], np.float32)
            np.testing.assert_array_equal(decoded(response[output][index]), numbers)
    assert response["sparse"] == expected["sparse"]


def test_accept_header_overrides_encoding_format(tiny):
    invocation = Invocation(b'{"inputs": "cat", "encoding_format": "base64"}', accept="application/x-npy")
    response = asyncio.run(EmbedProtocol().respond(tiny, invocation))
    assert np.load(io.BytesIO(response.body)).shape == (1, 32)


def test_spans_and_dense_vectors_in_one_response(tiny):
    response = respond(tiny, inputs=["cat", TEXT], spans=[[[0, 3]], [[0, len(TEXT)], [0, 3]]], outputs=["dense"])
    assert np.asarray(response["dense"]).shape == (2, 32)
    assert [len(vectors) for vectors in response["spans"]] == [1, 2]


@pytest.mark.parametrize(
    ("payload", "status", "message"),
    [
        ({"inputs": "cat", "spans": [[[0, 4]]]}, 422, "0 <= start < end <= 3"),
        ({"inputs": "cat", "spans": [[[2, 2]]]}, 422, r"\[2, 2\]"),
        ({"inputs": "cat", "spans": [[]]}, 422, "non-empty list"),
        ({"inputs": ["cat", "dog"], "spans": [[[0, 3]]]}, 422, "1 lists for 2 inputs"),
        ({"inputs": "cat  dog", "spans": [[[3, 5]]]}, 422, "no token"),
        ({"inputs": "cat " * 30, "truncate": True, "spans": [[[100, 110]]]}, 422, "beyond the length"),
        ({"inputs": "cat", "encoding_format": "hex"}, 422, "'hex'; it must be one of float, base64"),
        ({"inputs": "cat", "encoding_format": 64}, 422, "`encoding_format` is a number"),
        ({"query": "cat", "texts": []}, 400, "`texts` is an empty list"),
        ({"query": 3, "texts": ["a"]}, 422, "`query` is a number"),
        ({"query": "cat", "texts": ["dog"]}, 422, "is an embedding model without a ColBERT output, and cannot rerank"),
        ({"inputs": "cat", "outputs": ["colbert"]}, 422, "no output colbert; it has: dense"),
    ],
)
def test_protocol_rejects_invalid_requests(tiny, payload, status, message):
    with pytest.raises(RequestError, match=message) as caught:
        respond(tiny, **payload)
    assert caught.value.status == status


def test_encoder_stays_usable_after_a_cancelled_request(tiny):
    async def cancel():
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(tiny.aencode([TEXT] * 5000), 0.05)

    asyncio.run(cancel())
    assert tiny.encode([TEXT]).tokens == 8


def test_protocol_keeps_the_index_of_an_encoder_error(tiny):
    with pytest.raises(EmbedStackError) as caught:
        respond(tiny, inputs=["cat", [99]])
    assert caught.value.index == 1
