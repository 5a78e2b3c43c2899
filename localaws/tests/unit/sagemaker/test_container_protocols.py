"""The containers' protocols accept and reject what the images do, and fail on no input."""

import asyncio
import json
import random

import numpy as np
import pytest
import tokenizers

from embedstack_server.compute.encoder import Encoder
from embedstack_server.http.protocol import Invocation
from embedstack_server.http.requests import RequestError
from localaws.services.sagemaker.containers.protocols import huggingface
from localaws.services.sagemaker.containers.protocols.huggingface import HuggingFaceProtocol
from localaws.services.sagemaker.containers.protocols.tei import TeiProtocol
from tests.support.tiny_bert import POSITIONS, WORDS, hidden_states, make_tensors, write_model
from tests.unit.server.mutations import mutated

LONG = " ".join(WORDS[4:] * 3)


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


def tei(encoder, body):
    status, content = respond(TeiProtocol(), encoder, body)
    assert status == 200, content
    return np.asarray(json.loads(content))


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
    actual, content = respond(TeiProtocol(), encoder, body)
    assert actual == status, content
    assert message in content


@pytest.mark.parametrize(
    "content_type", [None, "", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
def test_tei_requires_a_json_content_type(encoder, content_type):
    assert respond(TeiProtocol(), encoder, {"inputs": "cat"}, content_type)[0] == 415
    assert respond(TeiProtocol(), encoder, {"inputs": "cat"}, "application/merge-patch+json; charset=utf-8")[0] == 200


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
    TeiProtocol: [
        b'{"inputs": "the cat", "truncate": true, "truncation_direction": "Left", "normalize": false, "dimensions": 8}',
        b'{"inputs": ["the cat", [2, 4, 3], "dog"], "prompt_name": "query", "truncate": true}',
    ],
    HuggingFaceProtocol: [
        b'{"inputs": "the cat", "parameters": {"truncation": true, "return_tensors": false}}',
        b'{"inputs": ["the cat", "dog"], "parameters": {"tokenize_kwargs": {}}}',
    ],
}


@pytest.mark.parametrize("protocol", [TeiProtocol, HuggingFaceProtocol])
def test_protocols_respond_to_mutated_bodies(encoder, protocol):
    choice = random.Random(11)  # noqa: S311 - the same bodies every time
    wire = protocol()
    statuses = set()

    async def send():
        for _ in range(3_000):
            body = mutated(choice.choice(BODIES[protocol]), choice)
            try:
                statuses.add((await wire.respond(encoder, invocation(body))).status)
            except RequestError as error:
                statuses.add(wire.render_error(error).status)

    asyncio.run(send())
    assert statuses == ({200, 400, 413, 422} if protocol is TeiProtocol else {200, 400})
