"""A model's facts come from the settings, its folder and the catalogue, in this order; the rest is unknown."""

import json
import logging

import pytest

from embedstack.embedders import FakeEmbedder, LocalEmbedder
from embedstack.errors import ConfigurationError
from embedstack.factory import load_embedder
from embedstack.models import ModelInfo, known_model, resolve_model
from embedstack.models.model_folder import read_model_facts
from embedstack.models.resolution import warn_of_license
from embedstack.settings.settings import load_settings
from tests.support.tiny_bert import HIDDEN, write_model

E5, MINILM = "intfloat/multilingual-e5-small", "sentence-transformers/all-MiniLM-L6-v2"


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()


def resolved(model_id, **settings):
    return resolve_model(load_settings(embedding_model=model_id, **settings))


def test_catalogue_model_is_resolved():
    assert resolved(E5) == known_model(E5)
    assert resolved(E5, embedding_model_revision="abc").revision == "abc"


def test_unknown_model_has_unknown_facts():
    info = resolved("my-org/my-model")
    assert info == ModelInfo("my-org/my-model", normalized=None)
    assert (info.dimensions, info.max_tokens, info.pooling, info.kind) == (None, None, None, "embedding")
    assert not info.has_unknown_prompts


def test_settings_override_the_folder_and_the_folder_the_catalogue(tmp_path):
    folder = write_model(tmp_path / "models" / E5)
    (folder / "config_sentence_transformers.json").write_text(json.dumps({"prompts": {"query": "folder: "}}))
    info = resolved(E5)
    assert (info.dimensions, info.max_tokens, info.license) == (HIDDEN, 16, "mit")
    assert info.prompts == {"query": "folder: ", "document": "passage: "}
    info = resolved(E5, embedding_max_tokens=9, embedding_query_prompt="mine: ", embedding_document_prompt="")
    assert (info.dimensions, info.max_tokens) == (HIDDEN, 9)
    assert info.prompts == {"query": "mine: ", "document": ""}


def test_folder_without_prompts_keeps_those_of_the_catalogue(tmp_path):
    folder = write_model(tmp_path / "models" / E5)
    (folder / "config_sentence_transformers.json").write_text(json.dumps({"prompts": {"query": "", "document": ""}}))
    assert resolved(E5).prompts == known_model(E5).prompts


def test_dimensions_must_be_a_trained_length():
    assert resolved("BAAI/bge-m3", embedding_dimensions=1024).shortened_from is None
    shortened = resolved("Qwen/Qwen3-Embedding-0.6B", embedding_dimensions=256)
    assert (shortened.dimensions, shortened.shortened_from) == (256, 1024)
    with pytest.raises(ConfigurationError, match="supports vectors of 1024 dimensions, not 256"):
        resolved("BAAI/bge-m3", embedding_dimensions=256)
    stated = resolved("my-org/my-model", embedding_dimensions=256)
    assert (stated.dimensions, stated.shortened_from) == (256, None)


def test_lengths_of_the_catalogue_must_be_shorter_than_the_folders(tmp_path):
    write_model(tmp_path / "models" / "Qwen" / "Qwen3-Embedding-0.6B")
    with pytest.raises(ConfigurationError, match=f"supports vectors of {HIDDEN} dimensions, not 256"):
        resolved("Qwen/Qwen3-Embedding-0.6B", embedding_dimensions=256)


def test_folder_of_a_catalogue_model_agrees_with_the_catalogue(minilm_folder):
    facts = read_model_facts(minilm_folder)
    info = known_model(MINILM)
    assert facts == {name: getattr(info, name) for name in facts}
    assert {"architecture", "dimensions", "max_tokens", "normalized", "pooling"} <= facts.keys()


def test_facts_of_the_configured_model_are_not_used_for_another():
    settings = load_settings(
        embedding_model="my-org/my-model", embedding_model_revision="abc", embedding_dimensions=5,
        embedding_max_tokens=6, embedding_query_prompt="q: ", embedding_document_prompt="d: ",
    )  # fmt: skip
    assert resolve_model(settings.with_model("BAAI/bge-m3")) == known_model("BAAI/bge-m3")
    assert resolve_model(settings.with_model("other/one")) == ModelInfo("other/one", normalized=None)
    assert resolve_model(settings.with_model("my-org/my-model")).revision == "abc"
    assert resolve_model(settings.with_model(None)).prompts == {"query": "q: ", "document": "d: "}


@pytest.mark.parametrize(
    ("model_id", "message"),
    [
        ("baai/bge-m3", "Did you mean BAAI/bge-m3"),
        ("BAAI/bge-m3@main", "EMBEDDING_MODEL to BAAI/bge-m3 and EMBEDDING_MODEL_REVISION to main"),
        ("my-org/my-model@v1", "EMBEDDING_MODEL to my-org/my-model and EMBEDDING_MODEL_REVISION to v1"),
        ("BAAI/bge m3", "no spaces"),
        ("BAAI/bge-\u00e9", "Invalid model id"),
        ("x" * 300, "Invalid model id"),
        ("BAAI/bge-reranker-v2-m3", "is a reranker, not an embedding model"),
    ],
)
def test_malformed_and_misspelt_ids_are_rejected(model_id, message):
    with pytest.raises(ConfigurationError, match=message):
        resolved(model_id)


def test_reranker_is_resolved_on_request():
    settings = load_settings().with_model("BAAI/bge-reranker-base")
    assert resolve_model(settings, kind="reranker").max_tokens == 512
    with pytest.raises(ConfigurationError, match=r"bge-m3 is an embedding model, not a reranker\. Set EMBEDDING_MODEL"):
        resolve_model(settings.with_model("BAAI/bge-m3"), kind="reranker")


@pytest.mark.parametrize(
    ("model_id", "settings", "is_unknown"),
    [
        ("jinaai/jina-embeddings-v3", {}, True),
        ("jinaai/jina-embeddings-v3", {"embedding_query_prompt": "q: "}, False),
        (E5, {}, False),
        (MINILM, {}, False),
    ],
)
def test_unknown_prompts_are_a_state(model_id, settings, is_unknown):
    assert resolved(model_id, **settings).has_unknown_prompts is is_unknown


def test_non_commercial_license_is_logged_once(caplog):
    caplog.set_level(logging.WARNING)
    for _ in range(2):
        warn_of_license(resolved("jinaai/jina-embeddings-v3"))
        warn_of_license(resolved(MINILM))
    (record,) = caplog.records
    assert "jinaai/jina-embeddings-v3 (cc-by-nc-4.0) forbids commercial use" in record.getMessage()


@pytest.mark.parametrize("facts", [{"dimensions": 0}, {"max_tokens": -1}])
def test_model_info_rejects_non_positive_numbers(facts):
    with pytest.raises(ConfigurationError, match=f"m: {next(iter(facts))} is"):
        ModelInfo("m", **facts)


def test_unknown_facts_are_required_with_a_remedy():
    with pytest.raises(ConfigurationError, match="set EMBEDDING_DIMENSIONS"):
        ModelInfo("m").require_dimensions()
    with pytest.raises(ConfigurationError, match="Set EMBEDDING_MAX_TOKENS"):
        ModelInfo("m").require_max_tokens()


@pytest.mark.parametrize("name", ["passage", "corpus", "classification"])
def test_prompt_of_an_unknown_kind_is_rejected(name):
    with pytest.raises(ConfigurationError, match=f"A prompt is for '{name}', which is not one of query, document"):
        FakeEmbedder(ModelInfo("m", dimensions=8, prompts={name: "x: "}))


def test_model_folder_that_is_not_in_the_catalogue_embeds(tmp_path):
    write_model(tmp_path / "models" / "my-org" / "my-model")
    with load_embedder(embedding_backend="local", embedding_model="my-org/my-model") as embedder:
        assert embedder.info.dimensions == HIDDEN
        assert embedder.embed(["the cat", "the dog"]).shape == (2, HIDDEN)
    with LocalEmbedder(ModelInfo("my-org/my-model"), folder=tmp_path / "models" / "my-org" / "my-model") as bare:
        assert bare.info.dimensions is None
        assert bare.learn_dimensions() == bare.info.dimensions == HIDDEN
