"""Gemma 3 equals transformers for every token of a long text, and every known mistake is visible."""

import json
import logging
import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from embedstack.errors import ConfigurationError
from embedstack_server.compute.graph import build_graph, gemma3
from embedstack_server.model.architectures import UnsupportedArchitecture
from embedstack_server.model.architectures.gemma3 import Gemma3Config
from embedstack_server.model.architectures.rope import Rope
from embedstack_server.model.model_folder import ModelFolder
from embedstack_server.model.tokenizer import Tokenizer
from embedstack_server.model.weights import Weights
from tests.support.graphs import compute, cosines, run, token_ids
from tests.support.reference_models import SHARP_TEXTS, ReferenceModel
from tests.support.sharp_models import change_config, exchange_tensors, largest_error, rows_alone_error, write_model

FORMER_ROPE = {"rope_parameters": ..., "rope_theta": 1000000.0, "rope_local_base_freq": 10000.0}
CAUSAL_FORMER_ROPE = {**FORMER_ROPE, "rope_scaling": {"rope_type": "linear", "factor": 4.0}}


def config_of(model: ModelFolder) -> Gemma3Config:
    assert isinstance(model.config, Gemma3Config)
    return model.config


@pytest.mark.parametrize("name", ["gemma3", "gemma3-causal"])
def test_gemma3_equals_the_reference_for_every_token(tmp_path, name):
    outputs = ReferenceModel.load(name).outputs
    model = write_model(tmp_path, name)
    pooled, hidden = compute(model, SHARP_TEXTS)
    assert len(hidden[0]) == len(outputs["hidden"]) > 600
    np.testing.assert_allclose(hidden[0], outputs["hidden"], atol=1e-4)
    # Two Dense modules follow the pooling.
    assert (model.dimensions, len(model.modules.dense), model.normalize) == (32, 2, True)
    assert cosines(pooled, outputs["pooled"]).min() > 0.999999
    np.testing.assert_allclose(pooled / np.linalg.norm(pooled, axis=1, keepdims=True), outputs["pooled"], atol=1e-5)


Mutant = Callable[[Gemma3Config], dict[str, Any]]
MUTANTS: dict[str, Mutant] = {
    "one base of 1000000": lambda config: {"local_rope": config.global_rope},
    "one base of 10000": lambda config: {"global_rope": config.local_rope},
    "radius 63": lambda config: {"radius": config.radius - 1},
    "radius 65": lambda config: {"radius": config.radius + 1},
    "window as radius": lambda config: {"radius": 2 * config.radius},
    "window halved twice": lambda config: {"radius": config.radius // 2},
    "causal": lambda _: {"bidirectional": False},
    "other layers global": lambda config: {"is_local": config.is_local[1:] + config.is_local[:1]},
    "scale by head size": lambda config: {"attention_scale": config.head_size**-0.5},
    "erf GELU": lambda _: {"activation": "gelu"},
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_gemma3_reference_rejects_other_settings(tmp_path, mutant):
    model = write_model(tmp_path, "gemma3")
    config = replace(config_of(model), **MUTANTS[mutant](config_of(model)))
    assert largest_error(replace(model, config=config), "gemma3") > 3e-4


CAUSAL_MUTANTS: dict[str, Mutant] = {
    "local layers scaled": lambda config: {"local_rope": Rope(config.local_rope.base, config.global_rope.divisor)},
    "global layers not scaled": lambda config: {"global_rope": Rope(config.global_rope.base)},
    "bidirectional": lambda _: {"bidirectional": True},
    "radius 126": lambda config: {"radius": config.radius - 1},
    "radius 128": lambda config: {"radius": config.radius + 1},
}


@pytest.mark.parametrize("mutant", CAUSAL_MUTANTS)
def test_causal_gemma3_reference_rejects_other_settings(tmp_path, mutant):
    model = write_model(tmp_path, "gemma3-causal")
    config = replace(config_of(model), **CAUSAL_MUTANTS[mutant](config_of(model)))
    assert largest_error(replace(model, config=config), "gemma3-causal") > 1e-3


def test_gemma3_reference_rejects_scales_without_one(tmp_path, monkeypatch):
    monkeypatch.setattr(gemma3, "_SCALE_OFFSET", 0)
    assert largest_error(write_model(tmp_path, "gemma3"), "gemma3") > 1e-2


def test_gemma3_reference_rejects_embeddings_without_their_factor(tmp_path, monkeypatch):
    monkeypatch.setattr(Weights, "rounded", lambda *_: 1.0)
    assert largest_error(write_model(tmp_path, "gemma3"), "gemma3") > 1e-2


@pytest.mark.parametrize("skipped", ["post_attention", "post_feedforward", "pre_feedforward", "norm"])
def test_gemma3_reference_rejects_a_missing_norm(tmp_path, monkeypatch, skipped):
    norm = gemma3._norm
    monkeypatch.setattr(
        gemma3, "_norm", lambda layers, config, x, name: x if skipped in name else norm(layers, config, x, name)
    )
    assert largest_error(write_model(tmp_path, "gemma3"), "gemma3") > 1e-2


@pytest.mark.parametrize(
    "pair", [("gate_proj", "up_proj"), ("q_norm", "k_norm"), ("post_attention", "pre_feedforward")]
)
def test_gemma3_reference_rejects_exchanged_tensors(tmp_path, pair):
    model = write_model(tmp_path, "gemma3")
    exchange_tensors(model, *pair)
    assert largest_error(model, "gemma3") > 1e-3


def test_gemma3_local_layer_sees_half_of_its_window_to_either_side(tmp_path):
    model = write_model(tmp_path, "gemma3", num_hidden_layers=1, layer_types=["sliding_attention"], sliding_window=9)
    ids = [4 + number % 60 for number in range(100)]

    def probe(changed: int) -> Any:
        return run(model, [[*ids[:changed], 17, *ids[changed + 1 :]]])[1][0][50]

    unchanged = run(model, [ids])[1][0][50]
    for inside in (46, 54):
        assert np.abs(probe(inside) - unchanged).max() > 1e-5
    for outside in (45, 55):
        np.testing.assert_array_equal(probe(outside), unchanged)


@pytest.mark.parametrize("name", ["gemma3", "gemma3-causal"])
def test_gemma3_rows_are_independent_of_their_batch(tmp_path, name):
    ids = [[2, 1], [2], [2, *range(4, 60), 1], [2, *([5, 8, 11] * 200), 1]]
    assert rows_alone_error(write_model(tmp_path, name), ids) < 1e-4


def test_gemma3_embedding_factor_is_rounded_to_the_type_of_the_weights(tmp_path):
    values = np.ones((4, 768), np.float32)
    raw = (values.view(np.uint32) >> 16).astype("<u2").tobytes()
    header = json.dumps({"embed_tokens.weight": {"dtype": "BF16", "shape": [4, 768], "data_offsets": [0, len(raw)]}})
    (tmp_path / "bf16.safetensors").write_bytes(struct.pack("<Q", len(header)) + header.encode() + raw)
    save_file({"embed_tokens.weight": values}, tmp_path / "fp32.safetensors")
    scale = {
        name: Weights.open(tmp_path / f"{name}.safetensors").rounded("embed_tokens.weight", 768**0.5)
        for name in ("bf16", "fp32")
    }
    assert scale["bf16"] == 27.75
    assert abs(scale["fp32"] - 27.712812) < 1e-5


@pytest.mark.parametrize(("name", "former"), [("gemma3", FORMER_ROPE), ("gemma3-causal", CAUSAL_FORMER_ROPE)])
def test_gemma3_reads_both_spellings_of_its_settings(tmp_path, name, former):
    model = write_model(tmp_path, name)
    assert change_config(tmp_path, **former, layer_types=...).config == model.config
    assert change_config(tmp_path, layer_types=..., sliding_window_pattern=2).config != model.config


def test_gemma3_warns_of_a_window_that_was_halved_before(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        model = write_model(tmp_path, "gemma3", sliding_window=257)
    assert config_of(model).radius == 128
    assert "sliding_window is 257, an odd number" in caplog.text


def test_gemma3_accepts_prefixes_and_unused_tensors(tmp_path):
    model = write_model(tmp_path, "gemma3")
    weights = {f"model.{name}": tensor for name, tensor in load_file(model.weights).items()}
    save_file({**weights, "lm_head.weight": weights["model.embed_tokens.weight"]}, model.weights)
    assert largest_error(model, "gemma3") < 1e-4


def test_gemma3_rejects_a_missing_tensor_and_another_shape(tmp_path):
    model = write_model(tmp_path, "gemma3")
    weights = load_file(model.weights)
    save_file(
        {name: tensor for name, tensor in weights.items() if "layers.3.self_attn.q_norm" not in name}, model.weights
    )
    with pytest.raises(ConfigurationError, match=r"has no tensor layers.3.self_attn.q_norm.weight"):
        build_graph(model)
    save_file(weights, model.weights)
    with pytest.raises(ConfigurationError, match=r"q_proj.weight has shape 48 x 32, but .* requires 96 x 32"):
        build_graph(change_config(tmp_path, num_attention_heads=4))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attn_logit_softcapping": 50.0}, "attn_logit_softcapping 50.0 is not supported"),
        ({"layer_types": ["chunked_attention"] * 6}, "layer_types has chunked_attention"),
        ({**FORMER_ROPE, "rope_scaling": {"rope_type": "yarn", "factor": 2.0}}, "type 'yarn' is not supported"),
        ({"model_type": "embedding_gemma2"}, "EmbeddingGemma 2 .* is not supported"),
    ],
)
def test_gemma3_refuses_unsupported_variants(tmp_path, changes, message):
    with pytest.raises(UnsupportedArchitecture, match=message):
        write_model(tmp_path, "gemma3", **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rope_theta": 10000.0}, "rope_parameters contradicts rope_theta"),
        ({"rope_local_base_freq": 1000000.0}, "rope_parameters contradicts rope_local_base_freq"),
        ({"rope_parameters": ...}, "neither rope_theta nor rope_theta in rope_parameters"),
        ({"rope_parameters": ..., "rope_theta": 1000000.0}, "neither rope_local_base_freq"),
        ({"num_key_value_heads": 3}, "2 attention heads are not divisible by 3"),
        ({"layer_types": ["full_attention"]}, "layer_types must name the kind of each of the 6 layers"),
        ({"head_dim": ...}, "has no head_dim"),
        ({"use_bidirectional_attention": "vision"}, "use_bidirectional_attention is 'vision'"),
    ],
)
def test_gemma3_rejects_invalid_settings(tmp_path, changes, message):
    with pytest.raises(ConfigurationError, match=message):
        write_model(tmp_path, "gemma3", **changes)


def test_gemma3_ignores_special_tokens_without_a_vector(tmp_path):
    """EmbeddingGemma's tokenizer has a token for images after those of its vocabulary."""
    model = write_model(tmp_path, "gemma3")
    plain = token_ids(model, ["w1 <image> w2"])
    definition = json.loads(model.tokenizer.read_text())
    token = {"id": 64, "content": "<image>", "single_word": False, "lstrip": False, "rstrip": False}
    for is_special in (True, False):
        added = [*definition["added_tokens"], {**token, "normalized": False, "special": is_special}]
        model.tokenizer.write_text(json.dumps({**definition, "added_tokens": added}))
        if is_special:
            tokenizer = Tokenizer(model.tokenizer, model.max_tokens, model.config.vocabulary_size)
            assert tokenizer.encode(["w1 <image> w2"], truncate=False) == plain
        else:
            with pytest.raises(ConfigurationError, match="has 65 tokens, but the model has vectors for 64"):
                Tokenizer(model.tokenizer, model.max_tokens, model.config.vocabulary_size)
