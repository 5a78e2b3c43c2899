"""Vectors of a tiny BERT equal the textbook formulas; unusable input and damaged folders are rejected."""

import sys
from pathlib import Path

import numpy as np
import pytest

from embedstack.errors import ConfigurationError, InputError, NonFiniteVector, TextTooLong
from embedstack_server.compute.encoder import Encoder
from tests.support.tiny_bert import POSITIONS, hidden_states, make_tensors, write_model

POOLING = {
    "mean": lambda states: states.mean(axis=0),
    "cls": lambda states: states[0],
    "max": lambda states: states.max(axis=0),
}
TEXTS = ["the cat sat on the mat", "dog", "the dog ran far far far", "unheard words count too", "cat cat"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return Encoder.load(write_model(tmp_path_factory.mktemp("tiny")), precision="fp32")


def copied(_, states):
    return states.copy()


@pytest.mark.parametrize("pooling", POOLING)
@pytest.mark.parametrize("normalize", [True, False])
def test_encoder_equals_the_textbook(tmp_path, pooling, normalize):
    tensors = make_tensors(seed=3)
    encoder = Encoder.load(write_model(tmp_path, tensors, pooling=pooling), precision="fp32")
    expected = np.stack([POOLING[pooling](hidden_states(tensors, text)) for text in TEXTS])
    if normalize:
        expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(encoder.encode(TEXTS).vectors(normalize=normalize), expected, atol=2e-5)


def test_encoder_token_vectors_equal_the_textbook_without_padding(tmp_path):
    tensors = make_tensors(seed=4)
    encoder = Encoder.load(write_model(tmp_path, tensors), precision="fp32")
    for states, text in zip(encoder.encode(TEXTS, hidden_hook=copied).derived, TEXTS, strict=True):
        np.testing.assert_allclose(states, hidden_states(tensors, text), atol=2e-5)


def test_encoder_truncates_long_texts_only_on_request(tiny):
    texts = ["cat", " ".join(["cat"] * POSITIONS)]
    assert [len(ids) for ids in tiny.encode(texts).ids] == [3, POSITIONS]
    with pytest.raises(TextTooLong, match=f"Text 1 has {POSITIONS + 2} tokens; the model reads {POSITIONS}") as caught:
        tiny.encode(texts, truncate=False)
    assert caught.value.index == 1


def test_encoder_prepends_the_named_prompt(tiny):
    np.testing.assert_array_equal(tiny.encode(["cat"], prompt_name="query").pooled, tiny.encode(["the cat"]).pooled)
    with pytest.raises(InputError, match="no prompt 'passage'; its prompts: document, query"):
        tiny.encode(["cat"], prompt_name="passage")


def test_encoder_rejects_an_empty_text_with_its_index(tiny):
    with pytest.raises(InputError, match="Text 1 is empty") as caught:
        tiny.encode(["cat", ""])
    assert caught.value.index == 1


def test_encoder_raises_for_a_non_finite_vector(tmp_path):
    tensors = make_tensors()
    # Each is finite, and their sum is not.
    tensors["embeddings.word_embeddings.weight"][9, 0] = 3e38
    tensors["embeddings.token_type_embeddings.weight"][0, 0] = 3e38
    encoder = Encoder.load(write_model(tmp_path, tensors), precision="fp32")
    with pytest.raises(NonFiniteVector, match="text 1") as caught:
        encoder.encode(["cat", "dog"])
    assert caught.value.index == 1


def _without(name: str):
    def damage(folder: Path) -> None:
        (folder / name).unlink()

    return damage


def _writing(name: str, content: bytes):
    def damage(folder: Path) -> None:
        (folder / name).write_bytes(content)

    return damage


def _without_tensor(folder: Path) -> None:
    tensors = make_tensors()
    del tensors["encoder.layer.1.output.dense.bias"]
    write_model(folder, tensors)


def _with_wrong_shape(folder: Path) -> None:
    tensors = make_tensors()
    tensors["embeddings.LayerNorm.weight"] = tensors["embeddings.LayerNorm.weight"][:-1]
    write_model(folder, tensors)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_without("config.json"), "it has no config.json"),
        (_without("model.safetensors"), "it has no model.safetensors"),
        (_writing("model.safetensors", b"not weights"), "not a readable safetensors file"),
        (_writing("tokenizer.json", b'{"version": "1.0"'), "tokenizer.json cannot be read as JSON"),
        (_writing("tokenizer.json", b'{"version": "1.0"}'), "not a readable tokenizer"),
        (_writing("config.json", b"{"), "cannot be read as JSON"),
        (
            _writing("config.json", b'{"model_type": "gpt2"}'),
            "architecture 'gpt2' is not supported. Supported are bert, .*embedstack.torch",
        ),
        (_writing("modules.json", b'[{"type": "x.Transformer"}]'), "has no Pooling module"),
        (_writing("modules.json", b'[{"type": "x.Dense", "path": ""}]'), "module Dense is not supported"),
        (
            _writing("1_Pooling/config.json", b'{"pooling_mode_weightedmean_tokens": true}'),
            "pooling .* is not supported",
        ),
        (_without_tensor, "no tensor encoder.layer.1.output.dense.bias"),
        (_with_wrong_shape, "embeddings.LayerNorm.weight has shape"),
    ],
)
def test_encoder_rejects_a_damaged_folder_with_the_reason(tmp_path, monkeypatch, damage, message):
    monkeypatch.setitem(sys.modules, "torch", None)  # simulates that torch is not installed
    damage(write_model(tmp_path))
    with pytest.raises(ConfigurationError, match=message):
        Encoder.load(tmp_path)


def test_encoder_needs_the_torch_extra_for_a_gpu(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ConfigurationError, match=r"cannot run on cuda .* pip install 'embedstack\[torch\]'"):
        Encoder.load(write_model(tmp_path), device="cuda")


def test_encoder_batched_vectors_equal_single_ones_at_every_length(tiny):
    # One word more than the model reads, so that no rounded width exceeds the model's positions.
    texts = [" ".join(["cat"] * length) for length in range(1, POSITIONS + 2, 3)]
    alone = np.concatenate([tiny.encode([text]).pooled for text in texts])
    np.testing.assert_allclose(tiny.encode(texts).pooled, alone, atol=2e-5)
