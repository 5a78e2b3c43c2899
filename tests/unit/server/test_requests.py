"""Every member of a request is applied or rejected, and no body causes a server error."""

import asyncio
import json
import random

import numpy as np
import pytest
import tokenizers

from embedstack.errors import EmbedStackError
from embedstack_server.compute.encoder import Encoder
from embedstack_server.http import protocol
from embedstack_server.http.protocol import EmbedProtocol, Invocation
from embedstack_server.http.requests import RequestError, check_size, parse_request
from tests.support.tiny_bert import POSITIONS, WORDS, write_model
from tests.unit.server.mutations import mutated

LONG = " ".join(WORDS[4:] * 3)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    encoder = Encoder.load(write_model(tmp_path_factory.mktemp("tiny")), model_id="test/tiny", precision="fp32")
    yield encoder
    encoder.close()


def respond(encoder, body, accept=None):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return asyncio.run(EmbedProtocol().respond(encoder, Invocation(content, accept)))


def vectors(encoder, **body):
    return np.asarray(json.loads(respond(encoder, body).body))


def rejection(encoder, body, accept=None):
    try:
        respond(encoder, body, accept)
    except RequestError as error:
        return error.status, error.message
    except EmbedStackError as error:
        rejected = RequestError.from_error(error)
        return rejected.status, rejected.message
    raise AssertionError("accepted")


@pytest.mark.parametrize("names", [("Left", "left"), ("Right", "right")])
def test_truncation_direction_equals_the_tokenizers_library(encoder, names):
    library = tokenizers.Tokenizer.from_file(str(encoder.model.tokenizer))
    library.no_padding()
    library.enable_truncation(POSITIONS, direction=names[1])
    truncated = library.encode(LONG)
    text = " ".join(token for token in truncated.tokens if token[0] != "[")
    expected = vectors(encoder, inputs=text)
    for name in names:
        cut = vectors(encoder, inputs=LONG, truncate=True, truncation_direction=name)
        np.testing.assert_allclose(cut, expected, atol=1e-6)


def test_truncation_directions_differ(encoder):
    left, right = (
        vectors(encoder, inputs=LONG, truncate=True, truncation_direction=name)[0] for name in ("Left", "Right")
    )
    assert left @ right < 0.999
    nested = vectors(encoder, inputs=LONG, parameters={"truncate": True, "truncation_direction": "Left"})[0]
    np.testing.assert_array_equal(nested, left)


@pytest.mark.parametrize("inputs", [[2, 4, 5, 3], [[2, 4, 5, 3]], [[2, 4, 5, 3], "the cat"]])
def test_token_ids_give_the_vectors_of_their_text(encoder, inputs):
    rows = vectors(encoder, inputs=inputs)
    np.testing.assert_allclose(rows, vectors(encoder, inputs=["the cat"] * len(rows)), atol=1e-6)


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (None, "application/json"),
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("text/html, */*;q=0.1", "application/json"),
        ("application/x-npy", "application/x-npy"),
        ("Application/X-NPY; q=0.4", "application/x-npy"),
        ("application/json;q=0.5, application/x-npy", "application/x-npy"),
        ("application/json;q=0, */*", "application/x-npy"),
        ("application/x-npy;q=0.5, application/json;q=0.9", "application/json"),
        ("application/x-npy;q=nonsense, application/json", "application/json"),
    ],
)
def test_accept_header_chooses_the_media_type(encoder, accept, media_type):
    assert respond(encoder, {"inputs": "cat"}, accept).media_type == media_type


@pytest.mark.parametrize("accept", ["text/html", "application/json;q=0", "image/*, text/plain", ",", ";;;"])
def test_accept_header_without_a_supported_type_is_406(encoder, accept):
    status, message = rejection(encoder, {"inputs": "cat"}, accept)
    assert status == 406
    assert "application/json or application/x-npy" in message


def test_named_outputs_are_json_only(encoder):
    body = {"inputs": "cat", "outputs": ["dense"]}
    assert respond(encoder, body, "application/x-npy, application/json;q=0.1").media_type == "application/json"
    assert rejection(encoder, body, "application/x-npy")[0] == 406


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"inputs": "cat", "truncation_direction": "Up"}, 422, "must be Left or Right"),
        ({"inputs": "cat", "truncation_direction": 1}, 422, "`truncation_direction` is a number"),
        ({"inputs": "cat", "normalise": False}, 400, "Unknown member: 'normalise'. Known members: inputs, normalize"),
        ({"inputs": "cat", "parameters": {"truncation": True}}, 400, "Unknown member in `parameters`: 'truncation'"),
        ({"inputs": "cat", "model": "another/model"}, 422, "serves the model test/tiny, not another/model"),
        ({"inputs": "cat", "dimensions": 64}, 422, "32 dimensions, not 64"),
        ({"inputs": "cat", "dimensions": 0}, 422, "32 dimensions, not 0"),
        ({"inputs": "cat", "dimensions": 2**70}, 422, "must be an integer"),
        ({"inputs": "cat", "dimensions": 1.5}, 422, "must be an integer"),
        ({"inputs": []}, 400, "`inputs` is an empty list"),
        ({"inputs": ""}, 400, "`inputs` is empty"),
        ({"inputs": [[4], []]}, 400, "`inputs[1]` is empty"),
        ({"inputs": 3}, 422, "`inputs` is a number; it must be a string, a list of token ids, or a list of these"),
        ({"inputs": [4, 5.0]}, 422, "a number; it must be a string or a list of token ids"),
        ({"inputs": [4, True]}, 422, "`inputs[0]` is a number"),
        ({"inputs": [4, -5]}, 422, "`inputs[0]` is a number"),
        ({"inputs": [99]}, 422, "token id 99"),
        ({"inputs": [4], "spans": [[[0, 1]]]}, 422, "`inputs` are token ids"),
        ({"inputs": "cat", "spans": [[[False, 1]]]}, 422, "a span is"),
        ({}, 400, "none of `inputs`, `input`, `query`"),
        ({"inputs": None}, 400, "none of `inputs`, `input`, `query`"),
        ({"inputs": "cat", "input": "cat"}, 422, "The body has `inputs`, `input`. Send one of them."),
        ({"inputs": "cat", "query": "cat"}, 422, "The body has `inputs`, `query`. Send one of them."),
        ([1], 400, "a list; send an object"),
        (b'{"inputs": "cat", "inputs": "dog"}', 422, "a member twice"),
        (b'{"inputs": "cat", "parameters": {"truncate": true, "truncate": false}}', 422, "a member twice"),
        (b'{"inputs": "\\ud800"}', 400, "not JSON"),
        (b'{"inputs": "\xff"}', 400, "not JSON"),
        (b'\xef\xbb\xbf{"inputs": "cat"}', 400, "not JSON"),
        ('{"inputs": "cat"}'.encode("utf-16"), 400, "not JSON"),
        (b'{"inputs": Infinity}', 400, "not JSON"),
        (b'{"inputs": "cat"} x', 400, "not JSON"),
        (b"", 400, "not JSON"),
        (b"[" * 100_000, 400, "not JSON"),
        (b'{"inputs": ' + b"[" * 500 + b"]" * 500 + b"}", 422, "must be a string or a list of token ids"),
    ],
)  # fmt: skip
def test_unsupported_requests_are_rejected(encoder, body, status, message):
    actual, text = rejection(encoder, body)
    assert actual == status
    assert message in text


def test_model_member_accepts_the_served_model(encoder):
    expected = vectors(encoder, inputs="cat")
    for model in ("test/tiny", "tiny"):
        np.testing.assert_array_equal(vectors(encoder, inputs="cat", model=model, user="somebody"), expected)


@pytest.mark.parametrize(
    "body",
    [
        {"inputs": "secret " * 30, "prompt_name": "secret " * 30},
        {"inputs": "cat", "secret " * 30: 1},
        {"inputs": "cat", "encoding_format": "secret " * 30},
        {"inputs": "cat", "pooling": "secret " * 30},
        {"inputs": "cat", "model": "secret " * 30},
        {"inputs": "cat", "outputs": ["secret " * 30] * 30},
        {"inputs": "cat", "spans": [["secret " * 30]]},
        {"inputs": "cat", "truncation_direction": "secret " * 30},
    ],
)
def test_error_message_repeats_no_long_value(encoder, body):
    assert len(rejection(encoder, body)[1]) < 400


def test_too_many_spans_are_413_before_the_model_runs(encoder, monkeypatch):
    monkeypatch.setattr(Encoder, "acompute", None)
    status, message = rejection(encoder, {"inputs": "cat", "spans": [[[0, 3]] * 120_000]})
    assert status == 413
    assert f"the limit of {protocol.RESPONSE_LIMIT_BYTES} bytes. Send fewer texts or spans" in message


@pytest.mark.parametrize(
    "options",
    [{}, {"encoding_format": "base64"}, {"outputs": ["dense"]}, {"spans": [[[0, 3]]] * 40}, {"normalize": False}],
)
def test_response_over_the_limit_is_413(encoder, monkeypatch, options):
    body = {"inputs": ["cat"] * 40, **options}
    size = len(respond(encoder, body).body)
    monkeypatch.setattr(protocol, "RESPONSE_LIMIT_BYTES", size)
    assert len(respond(encoder, body).body) == size
    monkeypatch.setattr(protocol, "RESPONSE_LIMIT_BYTES", size - 1)
    assert rejection(encoder, body)[0] == 413


@pytest.mark.parametrize(("threshold", "most"), [(0, 2), (1_000_000, 6)])
def test_large_responses_are_computed_two_at_a_time(encoder, monkeypatch, threshold, most):
    monkeypatch.setattr(protocol, "_LARGE_RESPONSE_BYTES", threshold)
    running, counts = set(), []
    acompute = Encoder.acompute

    async def counted(self, *arguments):
        task = asyncio.current_task()
        running.add(task)
        counts.append(len(running))
        await asyncio.sleep(0.05)
        running.remove(task)
        return await acompute(self, *arguments)

    monkeypatch.setattr(Encoder, "acompute", counted)

    async def send():
        wire = EmbedProtocol()
        await asyncio.gather(*(wire.respond(encoder, Invocation(b'{"inputs": "cat"}')) for _ in range(6)))

    asyncio.run(send())
    assert max(counts) == most


def test_too_many_tokens_are_413(encoder, monkeypatch):
    monkeypatch.setattr(protocol, "MAX_REQUEST_TOKENS", 11)
    assert rejection(encoder, {"inputs": ["cat"] * 4}) == (
        413, "The texts have more than 11 tokens in total. Send fewer texts in one request."
    )  # fmt: skip


@pytest.mark.parametrize("unit", [b"[],", b"[[[]]],", b"{},", b'{"a":1},', b'"a",', b"1,", b'["\\"[",1],'])
def test_bodies_with_too_many_values_are_not_parsed(unit):
    with pytest.raises(RequestError, match="Send fewer in one request") as caught:
        parse_request(b'{"inputs": [' + unit * 1_600_000 + b"1]}")
    assert caught.value.status == 413


@pytest.mark.parametrize("text", ["[{," * 1_000_000, '\\"[,' * 500_000, "\\\\" * 500_000, "a, b\n" * 500_000])
def test_check_size_ignores_brackets_within_texts(text):
    check_size(json.dumps({"inputs": [text, "\\", '"']}).encode())


BODIES = [
    b'{"inputs": "the cat", "truncate": true, "truncation_direction": "Left", "normalize": false, "dimensions": 32}',
    b'{"inputs": ["the cat", [2, 4, 3], "dog"], "prompt_name": "query", "encoding_format": "base64", "user": "x"}',
    b'{"inputs": "the cat", "spans": [[[0, 3], [4, 7]]], "outputs": ["dense"], "parameters": {"pooling": "mean"}}',
    b'{"query": "the cat", "texts": ["dog", "cat"], "truncate": true, "return_text": true, "model": "tiny"}',
    b'{"query": "the cat", "documents": ["dog", {"text": "cat"}], "top_n": 1, "raw_scores": false, "user": null}',
    b'{"input": ["the cat", [2, 4, 3]], "model": "tiny", "dimensions": null, "encoding_format": "float", "user": "x"}',
]


def test_mutated_bodies_are_accepted_or_rejected(encoder):
    choice = random.Random(7)  # noqa: S311 - the same bodies every time
    wire = EmbedProtocol()
    statuses = set()

    async def send():
        for _ in range(4_000):
            body = mutated(choice.choice(BODIES), choice)
            try:
                statuses.add((await wire.respond(encoder, Invocation(body, "*/*"))).status)
            except RequestError as error:
                statuses.add(wire.render_error(error).status)
            except EmbedStackError as error:
                statuses.add(wire.render_error(RequestError.from_error(error)).status)

    asyncio.run(send())
    assert statuses == {200, 400, 422}
