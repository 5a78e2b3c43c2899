"""The containers' protocols accept and reject what the images do, and fail on no input."""

import asyncio
import json
import random

import numpy as np
import pytest
import tokenizers

from embedstack.errors import ConfigurationError
from embedstack_server.compute.cross_encoder import CrossEncoder
from embedstack_server.compute.encoder import Encoder
from embedstack_server.http.protocol import Invocation
from embedstack_server.http.requests import RequestError
from localaws.services.sagemaker.containers.protocols import huggingface
from localaws.services.sagemaker.containers.protocols.huggingface import HuggingFaceProtocol
from localaws.services.sagemaker.containers.protocols.tei import TeiProtocol
from localaws.services.sagemaker.containers.tei_settings import InvalidTeiSettings, TeiSettings
from tests.support.reference_models import PAIRS, ReferenceModel
from tests.support.tiny_bert import POSITIONS, WORDS, hidden_states, make_tensors, write_model
from tests.unit.server.mutations import mutated

LONG = " ".join(WORDS[4:] * 3)


@pytest.fixture(scope="module")
def reranker(tmp_path_factory):
    folder = ReferenceModel.load("cross-bert").write(tmp_path_factory.mktemp("reranker"))
    model = CrossEncoder.load(folder, precision="fp32")
    yield model
    model.close()


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    encoder = Encoder.load(write_model(tmp_path_factory.mktemp("tiny")), precision="fp32")
    yield encoder
    encoder.close()


def invocation(body, content_type="application/json"):
    return Invocation(body if isinstance(body, bytes) else json.dumps(body).encode(), None, content_type)


def respond(protocol, encoder, body, content_type="application/json"):
    """Status and body of the response."""
    try:
        response = asyncio.run(protocol.respond(encoder, invocation(body, content_type)))
    except RequestError as error:
        response = protocol.render_error(error)
    return response.status, response.body.decode()


def tei_protocol(release="1.8", **environment):
    return TeiProtocol(TeiSettings.from_environment(release, environment))


def tei(model, body, release="1.8", **environment):
    """The response's document."""
    status, content = respond(tei_protocol(release, **environment), model, body)
    assert status == 200, content
    document = json.loads(content)
    return np.asarray(document) if isinstance(document[0], list) else document


@pytest.mark.parametrize("direction", ["Left", "Right"])
def test_tei_truncates_in_the_requested_direction(encoder, direction):
    library = tokenizers.Tokenizer.from_file(str(encoder.model.tokenizer))
    library.no_padding()
    library.enable_truncation(POSITIONS, direction=direction.lower())
    truncated = " ".join(token for token in library.encode(LONG).tokens if token[0] != "[")
    vectors = tei(encoder, {"inputs": LONG, "truncate": True, "truncation_direction": direction})
    np.testing.assert_allclose(vectors, tei(encoder, {"inputs": truncated}), atol=1e-6)


@pytest.mark.parametrize("inputs", [[2, 4, 5, 3], [[2, 4, 5, 3], [2, 4, 5, 3]], ["the cat", [2, 4, 5, 3]]])
def test_tei_accepts_token_ids(encoder, inputs):
    rows = tei(encoder, {"inputs": inputs})
    np.testing.assert_allclose(rows, tei(encoder, {"inputs": ["the cat"] * len(rows)}), atol=1e-6)


def test_tei_adds_special_tokens_to_token_ids_with_a_prompt(encoder):
    prompted = tei(encoder, {"inputs": [4, 5], "prompt_name": "query"})
    np.testing.assert_allclose(prompted, tei(encoder, {"inputs": "the the cat"}), atol=1e-6)


@pytest.mark.parametrize(
    "body",
    [
        b'{"inputs": "cat"} and more',
        b' \n{"inputs": "cat", "unknown": [1, {"a": null}]}',
        b'{"inputs": "cat", "unknown": 1, "unknown": 2}',
        b'{"inputs": "cat", "truncate": null, "dimensions": null, "prompt_name": null}',
        b'{"inputs": "c\\u0061t"}',
    ],
)
def test_tei_accepts_what_serde_accepts(encoder, body):
    np.testing.assert_allclose(tei(encoder, body), tei(encoder, {"inputs": "cat"}))


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"", 400, "Failed to parse"),
        (b"{", 400, "Failed to parse"),
        (b'\xef\xbb\xbf{"inputs": "cat"}', 400, "Failed to parse"),
        ('{"inputs": "cat"}'.encode("utf-16"), 400, "Failed to parse"),
        (b'{"inputs": "\xff"}', 400, "Failed to parse"),
        (b'{"inputs": "\\ud83d"}', 400, "lone leading surrogate"),
        (b'{"inputs": "cat", "prompt_name": "\\ud83d"}', 400, "lone leading surrogate"),
        (b'{"inputs": NaN}', 400, "Failed to parse"),
        (b'{"inputs": "cat", "dimensions": -Infinity}', 400, "Failed to parse"),
        (b'{"inputs": "cat", "dimensions": 1e999}', 400, "number out of range"),
        (b'{"inputs": "cat", "truncation_direction": null}', 400, "expected value"),
        (b'{"inputs": ' + b"[" * 100_000, 400, "Failed to parse"),
        (b'{"inputs": ' + b"[" * 300 + b"]" * 300 + b"}", 400, "recursion limit exceeded"),
        (b'{"inputs": ' + b'{"a":' * 300 + b"1" + b"}" * 300 + b"}", 400, "recursion limit exceeded"),
        (b"{" + b'"a":[[]],' * 200_000 + b'"inputs":1}', 422, "Send fewer"),
        (b'"cat"', 422, "expected struct EmbedRequest"),
        (b"[[]]", 422, "expected struct EmbedRequest"),
        ({}, 422, "missing field `inputs`"),
        (b'{"inputs": "cat", "inputs": "dog"}', 422, "duplicate field `inputs`"),
        ({"inputs": None}, 422, "untagged enum Input"),
        ({"inputs": [[[1]]]}, 422, "untagged enum Input"),
        ({"inputs": [1.0]}, 422, "untagged enum Input"),
        ({"inputs": [-1]}, 422, "untagged enum Input"),
        ({"inputs": [2**32]}, 422, "untagged enum Input"),
        ({"inputs": [True]}, 422, "untagged enum Input"),
        ({"inputs": {"text": "cat"}}, 422, "untagged enum Input"),
        ({"inputs": "cat", "normalize": None}, 422, "normalize"),
        ({"inputs": "cat", "truncate": 1}, 422, "truncate"),
        ({"inputs": "cat", "dimensions": 1.0}, 422, "dimensions"),
        ({"inputs": "cat", "dimensions": -1}, 422, "dimensions"),
        ({"inputs": "cat", "dimensions": 2**64}, 422, "dimensions"),
        ({"inputs": "cat", "truncation_direction": "left"}, 422, "unknown variant"),
        ({"inputs": "cat", "truncation_direction": "Up"}, 422, "unknown variant"),
        ({"inputs": []}, 413, "`inputs` cannot be empty"),
        ({"inputs": ""}, 413, "`inputs` cannot be empty"),
        ({"inputs": ["cat", []]}, 413, "`inputs` cannot be empty"),
        ({"inputs": "cat", "dimensions": 0}, 413, "`dimensions` should be positive"),
        ({"inputs": "cat", "dimensions": 33}, 413, "smaller than the maximum"),
        ({"inputs": LONG}, 413, f"must have less than {POSITIONS} tokens. Given: 26"),
        ({"inputs": "cat " * 1_001}, 413, f"must have less than {POSITIONS * 250} characters. Given: 4004"),
        ({"inputs": [2] * 4_001}, 413, f"must have less than {POSITIONS * 250} characters. Given: 4001"),
    ],
)
def test_tei_rejects_what_serde_and_tei_reject(encoder, body, status, message):
    actual, content = respond(tei_protocol(), encoder, body)
    assert actual == status, content
    assert message in content


@pytest.mark.parametrize(
    ("body", "old", "new"),
    [
        ({"inputs": LONG}, 413, 200),
        ({"inputs": LONG, "truncate": None}, 413, 200),
        ({"inputs": LONG, "truncate": False}, 413, 422),
        ({"inputs": LONG, "truncate": True}, 200, 200),
        ({"inputs": "cat " * 1_001, "truncate": False}, 413, 422),
        ({"inputs": ["cat"] * 33}, 413, 422),
        ({"inputs": ""}, 413, 400),
        ({"inputs": []}, 413, 400),
        ({"inputs": ["cat", []]}, 413, 400),
        ({"inputs": "cat", "dimensions": 0}, 413, 422),
        ({"inputs": "cat", "dimensions": 33}, 413, 422),
        ({"inputs": "cat", "prompt_name": "passage"}, 413, 422),
        ({"inputs": "cat", "truncation_direction": "left"}, 422, 200),
        ({"inputs": "cat", "truncation_direction": "right"}, 422, 200),
        ({"inputs": "cat", "truncation_direction": "LEFT"}, 422, 422),
        ({"input": "cat"}, 422, 422),
        (b"{", 400, 400),
    ],
)
def test_tei_releases_differ(encoder, body, old, new):
    assert [respond(tei_protocol(release), encoder, body)[0] for release in ("1.8", "1.9")] == [old, new]


def test_tei_error_names_its_type(encoder):
    _, content = respond(tei_protocol("1.9"), encoder, {"inputs": ""})
    assert json.loads(content) == {
        "error": "Input validation error: `inputs` cannot be empty",
        "error_type": "Empty",
    }


@pytest.mark.parametrize(
    ("release", "environment", "status"),
    [
        ("1.9", {"AUTO_TRUNCATE": "false"}, 422),
        ("1.8", {"AUTO_TRUNCATE": "true"}, 200),
        ("1.9", {"AUTO_TRUNCATE": "true"}, 200),
    ],
)
def test_tei_reads_auto_truncate(encoder, release, environment, status):
    assert respond(tei_protocol(release, **environment), encoder, {"inputs": LONG})[0] == status
    # A request's own choice is kept.
    assert respond(tei_protocol(release, **environment), encoder, {"inputs": LONG, "truncate": True})[0] == 200


def test_tei_reads_the_limits_of_its_environment(encoder):
    protocol = tei_protocol("1.9", MAX_CLIENT_BATCH_SIZE="2", MAX_CONCURRENT_REQUESTS="1", PAYLOAD_LIMIT="100")
    assert protocol.payload_limit == 100
    assert respond(protocol, encoder, {"inputs": ["cat"] * 3})[0] == 422
    status, content = respond(protocol, encoder, {"inputs": ["cat"] * 2})
    assert (status, json.loads(content)["error_type"]) == (429, "Overloaded")
    assert respond(protocol, encoder, {"inputs": "cat"})[0] == 200
    # A batch waits in 1.8.
    assert respond(tei_protocol("1.8", MAX_CONCURRENT_REQUESTS="1"), encoder, {"inputs": ["cat"] * 2})[0] == 200


@pytest.mark.parametrize("environment", [{"DEFAULT_PROMPT_NAME": "query"}, {"DEFAULT_PROMPT": "the "}])
def test_tei_applies_a_default_prompt_of_its_environment(encoder, environment):
    np.testing.assert_allclose(
        tei(encoder, {"inputs": "cat"}, **environment), tei(encoder, {"inputs": "the cat"}), atol=1e-6
    )


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"AUTO_TRUNCATE": "yes"}, "invalid value 'yes' for '--auto-truncate'"),
        ({"MAX_BATCH_TOKENS": "16k"}, "invalid value '16k' for '--max-batch-tokens'"),
        ({"MAX_CLIENT_BATCH_SIZE": "9" * 5_000}, "--max-client-batch-size"),
        ({"DEFAULT_PROMPT": "a", "DEFAULT_PROMPT_NAME": "query"}, "cannot be used together"),
        ({"POOLING": "cls"}, "does not implement Text Embeddings Inference's POOLING"),
    ],
)
def test_tei_rejects_invalid_options(environment, message):
    with pytest.raises(InvalidTeiSettings, match=message):
        TeiSettings.from_environment("1.9", environment)


def test_tei_does_not_start_when_a_text_exceeds_a_batch(encoder):
    few = {"MAX_BATCH_TOKENS": str(POSITIONS - 1)}
    with pytest.raises(ConfigurationError, match=f"maximum input length is `{POSITIONS}` which exceeds"):
        tei_protocol("1.9", AUTO_TRUNCATE="false", **few).prepare(encoder)
    assert tei_protocol("1.9", AUTO_TRUNCATE="false", MAX_BATCH_TOKENS=str(POSITIONS)).prepare(encoder) is encoder
    assert tei_protocol("1.8", **few).prepare(encoder) is encoder


def test_tei_truncates_to_a_batch(tmp_path):
    protocol = tei_protocol("1.9", MAX_BATCH_TOKENS="4")
    model = protocol.prepare(Encoder.load(write_model(tmp_path), precision="fp32"))
    try:
        np.testing.assert_allclose(
            tei(model, {"inputs": "the cat sat on"}, "1.9"), tei(model, {"inputs": "the cat"}, "1.9"), atol=1e-6
        )
    finally:
        model.close()


def test_tei_does_not_start_without_the_default_prompt(encoder):
    with pytest.raises(ConfigurationError, match="`passage` but it was not found"):
        tei_protocol(DEFAULT_PROMPT_NAME="passage").prepare(encoder)


@pytest.mark.parametrize("release", ["1.8", "1.9"])
def test_tei_reranks_with_a_cross_encoder(reranker, release):
    query, texts = "cat sat", ["the dog ran far", "cat on mat", "far"]
    logits = reranker.score(query, texts).values(raw=True)
    ranks = tei(reranker, {"query": query, "texts": texts}, release)
    order = np.argsort(-logits).tolist()
    assert [rank["index"] for rank in ranks] == order
    assert all(set(rank) == {"index", "score"} for rank in ranks)
    np.testing.assert_allclose([rank["score"] for rank in ranks], 1 / (1 + np.exp(-logits[order])), rtol=1e-5)
    raw = tei(reranker, {"query": query, "texts": texts, "raw_scores": True, "return_text": True}, release)
    np.testing.assert_allclose([rank["score"] for rank in raw], logits[order], rtol=1e-5)
    assert [rank["text"] for rank in raw] == [texts[index] for index in order]


def test_tei_scores_equal_the_reference(reranker):
    expected = ReferenceModel.load("cross-bert").outputs["right"]
    scores = [
        tei(reranker, {"query": query, "texts": [text], "raw_scores": True, "truncate": True})[0]["score"]
        for query, text in PAIRS
    ]
    np.testing.assert_allclose(scores, expected, atol=5e-5)


@pytest.mark.parametrize(
    ("body", "old", "new", "message"),
    [
        ({"query": "cat", "texts": []}, 400, 400, "`texts` cannot be empty"),
        ({"query": "", "texts": ["cat", ""]}, 413, 400, "`inputs` cannot be empty"),
        ({"query": "cat", "texts": ["cat"] * 33}, 413, 422, "batch size 33 > maximum allowed batch size 32"),
        (
            {"query": "cat", "texts": ["cat " * 200], "truncate": False},
            413,
            422,
            "`inputs` must have less than 140 tokens",
        ),
        ({"query": "cat"}, 422, 422, "missing field `texts`"),
        ({"texts": ["cat"]}, 422, 422, "missing field `query`"),
        ({"inputs": "cat"}, 422, 422, "missing field `texts`"),
        ({"query": None, "texts": ["cat"]}, 422, 422, "query: invalid type"),
        ({"query": "cat", "texts": "cat"}, 422, 422, "texts: invalid type"),
        ({"query": "cat", "texts": [1]}, 422, 422, "texts: invalid type"),
        ({"query": "cat", "texts": ["cat"], "raw_scores": None}, 422, 422, "raw_scores: invalid type"),
        ({"query": "cat", "texts": ["cat"], "truncation_direction": "up"}, 422, 422, "unknown variant"),
        (b'{"query": "cat", "texts": ["\\ud83d"]}', 400, 400, "lone leading surrogate"),
    ],
)
def test_tei_rejects_rerank_requests(reranker, body, old, new, message):
    for release, status in (("1.8", old), ("1.9", new)):
        actual, content = respond(tei_protocol(release), reranker, body)
        assert actual == status, content
        assert message in content


def test_tei_embedding_model_rejects_a_rerank_request(encoder):
    status, content = respond(tei_protocol("1.9"), encoder, {"query": "cat", "texts": ["dog"]})
    assert status == 422
    assert "missing field `inputs`" in content


@pytest.mark.parametrize(
    "content_type", [None, "", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
def test_tei_requires_a_json_content_type(encoder, content_type):
    assert respond(tei_protocol(), encoder, {"inputs": "cat"}, content_type)[0] == 415
    assert respond(tei_protocol(), encoder, {"inputs": "cat"}, "application/merge-patch+json; charset=utf-8")[0] == 200


@pytest.mark.parametrize(
    ("parameters", "status"),
    [
        (None, 400), ({}, 400), ({"truncation": False}, 400), ({"truncation": "do_not_truncate"}, 400),
        ({"truncation": True}, 200), ({"truncation": "longest_first"}, 200), ({"truncation": "only_first"}, 200),
        ({"truncation": "shortest"}, 400), ({"truncation": ["longest_first"]}, 400), ({"return_tensors": True}, 400),
        ({"tokenize_kwargs": {"truncation": True}}, 400), ([1], 400), ("truncation", 400), (1, 400),
    ],
)  # fmt: skip
def test_huggingface_applies_or_rejects_parameters(encoder, parameters, status):
    body = {"inputs": LONG, "parameters": parameters}
    actual, content = respond(HuggingFaceProtocol(), encoder, body)
    assert actual == status
    if status == 200:
        library = tokenizers.Tokenizer.from_file(str(encoder.model.tokenizer))
        library.enable_truncation(POSITIONS)
        truncated = " ".join(token for token in library.encode(LONG).tokens if token[0] != "[")
        np.testing.assert_allclose(json.loads(content)[0], hidden_states(make_tensors(), truncated), atol=2e-5)


def test_huggingface_reports_the_length_of_a_text(encoder):
    status, content = respond(HuggingFaceProtocol(), encoder, {"inputs": ["cat", "the cat " * 100_000]})
    assert status == 400
    assert f"The size of tensor a (200002) must match the size of tensor b ({POSITIONS})" in content


def test_huggingface_rejects_large_responses_before_computing(encoder, monkeypatch):
    assert respond(HuggingFaceProtocol(), encoder, {"inputs": ["cat"] * 50})[0] == 200
    monkeypatch.setattr(huggingface, "PAYLOAD_LIMIT_BYTES", 20_000)
    monkeypatch.setattr(Encoder, "acompute", None)
    status, content = respond(HuggingFaceProtocol(), encoder, {"inputs": ["cat"] * 50})
    assert status == 400
    assert "limit of 20000 bytes" in content


BODIES = {
    "tei": [
        b'{"inputs": "the cat", "truncate": true, "truncation_direction": "Left", "normalize": false, "dimensions": 8}',
        b'{"inputs": ["the cat", [2, 4, 3], "dog"], "prompt_name": "query", "truncate": true}',
    ],
    "tei-rerank": [b'{"query": "cat", "texts": ["the cat", "dog"], "raw_scores": true, "return_text": false}'],
    "huggingface": [
        b'{"inputs": "the cat", "parameters": {"truncation": true, "return_tensors": false}}',
        b'{"inputs": ["the cat", "dog"], "parameters": {"tokenize_kwargs": {}}}',
    ],
}


@pytest.mark.parametrize("name", BODIES)
def test_protocols_respond_to_mutated_bodies(encoder, reranker, name):
    choice = random.Random(11)  # noqa: S311 - the same bodies every time
    wire = HuggingFaceProtocol() if name == "huggingface" else tei_protocol("1.8")
    model = reranker if name == "tei-rerank" else encoder
    statuses = set()

    async def send():
        for _ in range(3_000):
            body = mutated(choice.choice(BODIES[name]), choice)
            try:
                statuses.add((await wire.respond(model, invocation(body))).status)
            except RequestError as error:
                statuses.add(wire.render_error(error).status)

    asyncio.run(send())
    assert statuses <= ({200, 400} if name == "huggingface" else {200, 400, 413, 422})
    assert {200, 400} <= statuses
