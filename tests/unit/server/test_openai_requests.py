"""OpenAI's embeddings requests, as its clients send them."""

import asyncio
import base64
import json

import numpy as np
import pytest

from embedstack.errors import EmbedStackError
from embedstack_server.compute.encoder import Encoder
from embedstack_server.http.protocol import EmbedProtocol, Invocation
from embedstack_server.http.requests import RequestError
from tests.support.tiny_bert import HIDDEN, WORDS, write_model

LONG = " ".join(WORDS[4:] * 3)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    folder = write_model(tmp_path_factory.mktemp("tiny"))
    (folder / "config_sentence_transformers.json").write_text(json.dumps({"prompts": {"query": "the "}}))
    encoder = Encoder.load(folder, model_id="test/tiny", precision="fp32")
    yield encoder
    encoder.close()


def respond(encoder, accept=None, /, **body):
    response = asyncio.run(EmbedProtocol().respond(encoder, Invocation(json.dumps(body).encode(), accept)))
    assert response.media_type == "application/json"
    return json.loads(response.body)


def rejection(encoder, accept=None, /, **body):
    try:
        respond(encoder, accept, **body)
    except RequestError as error:
        return error
    except EmbedStackError as error:
        return RequestError.from_error(error)
    raise AssertionError("accepted")


def vectors(encoder, texts, **options):
    return encoder.encode(texts, **options).vectors()


def test_response_has_openai_members(encoder):
    texts = ["cat", "the dog ran", "cat"]
    response = respond(encoder, input=texts, model="test/tiny")
    assert response.keys() == {"object", "data", "model", "usage"}
    assert (response["object"], response["model"]) == ("list", "test/tiny")
    assert [(item["object"], item["index"]) for item in response["data"]] == [("embedding", i) for i in range(3)]
    rows = [item["embedding"] for item in response["data"]]
    np.testing.assert_allclose(rows, vectors(encoder, texts), atol=1e-6)
    assert response["usage"] == {"prompt_tokens": 3 + 5 + 3, "total_tokens": 3 + 5 + 3}


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        ("cat", ["cat"]),
        (["cat"], ["cat"]),
        ([2, 5, 3], ["cat"]),
        ([[2, 5, 3], [2, 4, 9, 3]], ["cat", "the dog"]),
        ([[2, 5, 3], "the dog"], ["cat", "the dog"]),
    ],
)
def test_input_is_texts_or_token_ids(encoder, value, texts):
    response = respond(encoder, input=value, model="tiny")
    rows = [item["embedding"] for item in response["data"]]
    np.testing.assert_allclose(rows, vectors(encoder, texts), atol=1e-6)
    assert response["usage"]["prompt_tokens"] == encoder.encode(texts).tokens


def test_base64_embeddings_equal_the_numbers(encoder):
    texts = ["cat", "the dog"]
    numbers = respond(encoder, input=texts, encoding_format="float")
    encoded = respond(encoder, input=texts, encoding_format="base64", dimensions=HIDDEN, user="u1")
    assert encoded["usage"] == numbers["usage"]
    for item, expected in zip(encoded["data"], numbers["data"], strict=True):
        vector = np.frombuffer(base64.b64decode(item["embedding"], validate=True), "<f4")
        np.testing.assert_array_equal(vector, np.asarray(expected["embedding"], np.float32))


def test_null_members_are_absent(encoder):
    nulls = dict.fromkeys(("user", "dimensions", "encoding_format", "model"))
    assert respond(encoder, input="cat", **nulls) == respond(encoder, input="cat")


def test_long_text_is_rejected_by_default(encoder):
    error = rejection(encoder, input=["cat", LONG])
    assert (error.status, error.error_type, error.index) == (422, "text_too_long", 1)
    response = respond(encoder, input=["cat", LONG], truncate=True)
    assert response["usage"]["prompt_tokens"] == 3 + encoder.model.max_tokens


def test_prompt_name_applies_a_prompt(encoder):
    item = respond(encoder, input="cat", prompt_name="query")["data"][0]
    np.testing.assert_allclose(item["embedding"], vectors(encoder, ["the cat"])[0], atol=1e-6)


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"input": []}, 400, "`input` is an empty list"),
        ({"input": ""}, 400, "`input` is empty"),
        ({"input": ["cat", ""]}, 400, "`input[1]` is empty"),
        ({"input": [[]]}, 400, "`input[0]` is empty"),
        ({"input": 3}, 422, "`input` is a number"),
        ({"input": {"text": "cat"}}, 422, "`input` is an object"),
        ({"input": ["cat", 3]}, 422, "`input[1]` is a number"),
        ({"input": [[4, "a"]]}, 422, "`input[0]` is a list"),
        ({"input": [99]}, 422, "token id 99"),
        ({"input": ["cat"] * 2049}, 413, "2049 items"),
        ({"input": "cat", "encoding_format": "md5"}, 422, "must be one of float, base64"),
        ({"input": "cat", "dimensions": 0}, 422, "not 0"),
        ({"input": "cat", "dimensions": "32"}, 422, "`dimensions` is a string"),
        ({"input": "cat", "model": "text-embedding-3-small"}, 422, "serves the model test/tiny"),
        ({"input": "cat", "user": 3}, 422, "`user` is a number"),
        ({"input": "cat", "task": "retrieval.query"}, 400, "Unknown member: 'task'. Known members: input, "),
        ({"input": "cat", "spans": [[[0, 1]]]}, 400, "Unknown member: 'spans'"),
        ({"input": "cat", "prompt_name": "passage"}, 422, "no prompt 'passage'"),
    ],
)
def test_invalid_requests_are_rejected(encoder, body, status, message):
    error = rejection(encoder, **body)
    assert error.status == status
    assert message in error.message


def test_response_is_json_only(encoder):
    assert rejection(encoder, "application/x-npy", input="cat").status == 406
