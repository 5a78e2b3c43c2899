"""Prompts are chosen as by sentence-transformers' ``encode``, and clients can send their own."""

import asyncio
import json

import numpy as np
import pytest

from embedstack.embedders.local import LocalEmbedder
from embedstack.embedders.sagemaker.requests import request_body
from embedstack.errors import ConfigurationError, InputError
from embedstack.models.model_info import ModelInfo
from embedstack_server.compute.encoder import Encoder
from embedstack_server.http.protocol import EmbedProtocol, Invocation
from embedstack_server.http.requests import RequestError
from embedstack_server.model.model_folder import ModelFolder
from localaws.services.sagemaker.containers.protocols.tei import TeiProtocol
from localaws.services.sagemaker.containers.tei_settings import TeiSettings
from tests.support.tiny_bert import HIDDEN, POSITIONS, write_model

PROMPTS = {"query": "the ", "passage": "far ", "document": ""}
MODEL = ModelInfo("test/tiny", dimensions=HIDDEN, max_tokens=POSITIONS, pooling="mean")


def write_prompts(folder, **config):
    (folder / "config_sentence_transformers.json").write_text(json.dumps({"prompts": PROMPTS, **config}))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_prompts(write_model(tmp_path_factory.mktemp("tiny")), default_prompt_name="query")


@pytest.fixture(scope="module")
def encoder(folder):
    encoder = Encoder.load(folder, precision="fp32")
    yield encoder
    encoder.close()


def vectors(encoder, text):
    return encoder.encode([text], prompt="").vectors()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "the cat"),
        ({"prompt_name": "query"}, "the cat"),
        ({"prompt_name": "passage"}, "far cat"),
        ({"prompt_name": "document"}, "cat"),
        ({"prompt": "sat "}, "sat cat"),
        ({"prompt": ""}, "cat"),
    ],
)
def test_request_chooses_its_prompt(encoder, options, text):
    invocation = Invocation(json.dumps({"inputs": "cat", **options}).encode())
    response = asyncio.run(EmbedProtocol().respond(encoder, invocation))
    np.testing.assert_allclose(json.loads(response.body), vectors(encoder, text), atol=1e-6)


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
def test_prompt_can_be_left_out_of_the_pooling(tmp_path, pooling):
    folder = write_prompts(write_model(tmp_path, pooling=pooling))
    (folder / "1_Pooling/config.json").write_text(json.dumps({"pooling_mode": pooling, "include_prompt": False}))
    encoder = Encoder.load(folder, precision="fp32")
    texts, length = ["cat sat on", "dog"], 3  # [CLS] the mat
    encoded = encoder.encode(texts, prompt="the mat ", hidden_hook=lambda _, hidden: np.array(hidden))
    for pooled, hidden in zip(encoded.pooled, encoded.derived, strict=True):
        rest = hidden[length:]
        expected = {"mean": rest.mean(axis=0), "cls": rest[0], "max": rest.max(axis=0)}[pooling]
        np.testing.assert_allclose(pooled, expected, atol=1e-5)
    # The other tokens still attend to the prompt, and without a prompt every token is pooled.
    assert not np.allclose(encoded.derived[1][length:], encoder.encode(["dog"], prompt="").pooled, atol=1e-2)
    whole = encoder.encode(["the mat dog"], prompt="", hidden_hook=lambda _, hidden: np.array(hidden))
    expected = {"mean": whole.derived[0].mean(axis=0), "cls": whole.derived[0][0], "max": whole.derived[0].max(axis=0)}
    np.testing.assert_allclose(whole.pooled[0], expected[pooling], atol=1e-5)
    encoder.close()


def test_request_rejects_prompt_with_prompt_name(encoder):
    body = json.dumps({"inputs": "cat", "prompt": "", "prompt_name": "query"}).encode()
    with pytest.raises(RequestError, match="both given"):
        asyncio.run(EmbedProtocol().respond(encoder, Invocation(body)))


def test_spans_exclude_the_default_prompt(encoder):
    def spans(**payload):
        body = json.dumps({**payload, "normalize": True}).encode()
        return json.loads(asyncio.run(EmbedProtocol().respond(encoder, Invocation(body))).body)["spans"]

    with_default = spans(inputs="cat sat", spans=[[[4, 7]]])
    expected = spans(inputs="the cat sat", spans=[[[8, 11]]], prompt="")
    np.testing.assert_allclose(with_default, expected, atol=1e-6)


@pytest.mark.parametrize(("options", "text"), [({}, "cat"), ({"prompt_name": "passage"}, "far cat")])
def test_tei_protocol_applies_no_default_prompt(encoder, options, text):
    invocation = Invocation(json.dumps({"inputs": "cat", **options}).encode(), content_type="application/json")
    response = asyncio.run(TeiProtocol(TeiSettings.from_environment("1.9", {})).respond(encoder, invocation))
    np.testing.assert_allclose(json.loads(response.body), vectors(encoder, text), atol=1e-6)


@pytest.mark.parametrize(
    ("prompts", "kind", "text"),
    [
        ({}, "document", "the cat"),
        ({}, "query", "the cat"),
        ({"query": "dog "}, "query", "dog cat"),
        ({"query": "dog "}, "document", "the cat"),
        ({"document": ""}, "document", "cat"),
    ],
)
def test_local_embedder_prepends_only_one_prompt(encoder, folder, prompts, kind, text):
    info = ModelInfo("test/tiny", HIDDEN, POSITIONS, "mean", prompts=prompts)
    embedded = LocalEmbedder(info, folder=folder).embed(["cat"], kind=kind)
    assert (embedded * vectors(encoder, text)).sum() > 0.999


def test_request_body_disables_the_default_prompt():
    assert request_body(MODEL, ["cat"], truncate=True, has_prompt=True)["prompt"] == ""
    assert "prompt" not in request_body(MODEL, ["cat"], truncate=True, has_prompt=False)


def test_model_folder_rejects_an_unknown_default_prompt(tmp_path):
    folder = write_prompts(write_model(tmp_path), default_prompt_name="clustering")
    with pytest.raises(ConfigurationError, match="'clustering'; its prompts: query, passage, document"):
        ModelFolder.read(folder)


def test_encoder_rejects_an_unknown_prompt_name(encoder):
    with pytest.raises(InputError, match="no prompt 'clustering'"):
        encoder.encode(["cat"], prompt_name="clustering")
