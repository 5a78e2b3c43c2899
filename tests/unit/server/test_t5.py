"""T5's encoder equals transformers for every token of a long text, and every known mistake is visible."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from openvino import opset13 as ops
from safetensors.numpy import load_file, save_file

from embedstack.errors import ConfigurationError
from embedstack_server.compute.graph import build_graph, t5
from embedstack_server.model.architectures import UnsupportedArchitecture
from embedstack_server.model.architectures.t5 import T5Config
from embedstack_server.model.model_folder import ModelFolder
from tests.support.graphs import compute, cosines, token_ids
from tests.support.reference_models import SHARP_TEXTS, ReferenceModel
from tests.support.sharp_models import change_config, exchange_tensors, largest_error, rows_alone_error, write_model

MODELS = ("t5", "t5-gated")


def config_of(model: ModelFolder) -> T5Config:
    assert isinstance(model.config, T5Config)
    return model.config


@pytest.mark.parametrize("name", MODELS)
def test_t5_equals_the_reference_for_every_token(tmp_path, name):
    outputs = ReferenceModel.load(name).outputs
    model = write_model(tmp_path, name)
    pooled, hidden = compute(model, SHARP_TEXTS)
    assert len(hidden[0]) == len(outputs["hidden"]) > 600
    np.testing.assert_allclose(hidden[0], outputs["hidden"], atol=1e-4)
    # A Dense module without a bias follows the pooling.
    assert (model.dimensions, model.normalize) == (24, True)
    assert cosines(pooled, outputs["pooled"]).min() > 0.999999


def test_t5_mean_includes_the_end_token(tmp_path):
    model = write_model(tmp_path, "t5")
    assert token_ids(model, ["w1"]) == [[4, 1]]


Mutant = Callable[[T5Config], dict[str, Any]]
MUTANTS: dict[tuple[str, str], Mutant] = {
    ("t5", "largest distance 64"): lambda _: {"largest_distance": 64},
    ("t5", "largest distance 129"): lambda _: {"largest_distance": 129},
    ("t5", "GELU"): lambda _: {"activation": "gelu_new"},
    ("t5", "larger epsilon"): lambda _: {"rms_norm_eps": 1e-3},
    ("t5-gated", "erf GELU"): lambda _: {"activation": "gelu"},
    ("t5-gated", "largest distance 128"): lambda _: {"largest_distance": 128},
}


@pytest.mark.parametrize(("name", "mutant"), MUTANTS)
def test_t5_reference_rejects_other_settings(tmp_path, name, mutant):
    model = write_model(tmp_path, name)
    config = replace(config_of(model), **MUTANTS[name, mutant](config_of(model)))
    assert largest_error(replace(model, config=config), name) > 3e-4


def test_t5_reference_rejects_scaled_scores(tmp_path, monkeypatch):
    monkeypatch.setattr(t5, "_SCORE_SCALE", 12**-0.5)
    assert largest_error(write_model(tmp_path, "t5"), "t5") > 1e-2


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table[np.r_[16:32, 0:16]],  # ranges of preceding and following tokens exchanged
        lambda table: np.concatenate([table[:16], table[:16]]),  # the direction ignored
        np.zeros_like,
    ],
)
def test_t5_reference_rejects_other_distances(tmp_path, change):
    model = write_model(tmp_path, "t5")
    weights = load_file(model.weights)
    name = "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
    save_file({**weights, name: change(weights[name])}, model.weights)
    assert largest_error(model, "t5") > 1e-2


@pytest.mark.parametrize("name", MODELS)
def test_t5_reference_rejects_the_bias_in_one_layer_only(tmp_path, monkeypatch, name):
    attention = t5._attention

    def only_in_the_first_layer(layers, config, x, bias, layer):
        no_bias = ops.constant(np.zeros((1, 1, 1, 1), np.float32))
        return attention(layers, config, x, bias if ".block.0." in layer else no_bias, layer)

    monkeypatch.setattr(t5, "_attention", only_in_the_first_layer)
    assert largest_error(write_model(tmp_path, name), name) > 1e-2


def test_t5_reference_rejects_exchanged_gates(tmp_path):
    model = write_model(tmp_path, "t5-gated")
    exchange_tensors(model, "wi_0", "wi_1")
    assert largest_error(model, "t5-gated") > 1e-2


@pytest.mark.parametrize("skipped", ["layer.0", "layer.1"])
def test_t5_reference_rejects_a_missing_norm(tmp_path, monkeypatch, skipped):
    norm = t5._norm
    monkeypatch.setattr(
        t5, "_norm", lambda layers, config, x, layer: x if skipped in layer else norm(layers, config, x, layer)
    )
    assert largest_error(write_model(tmp_path, "t5"), "t5") > 1e-2


@pytest.mark.parametrize("name", MODELS)
def test_t5_rows_are_independent_of_their_batch(tmp_path, name):
    ids = [[1], [9, 1], [*range(4, 60), 1], [*([5, 8, 11] * 200), 1]]
    assert rows_alone_error(write_model(tmp_path, name), ids) < 1e-4


def test_t5_ignores_the_decoder_and_accepts_either_name_of_the_word_table(tmp_path):
    model = write_model(tmp_path, "t5")
    weights = load_file(model.weights)
    decoder = {"decoder.block.0.layer.0.SelfAttention.q.weight": np.ones((3, 3), np.float32)}
    words = {"encoder.embed_tokens.weight": weights.pop("shared.weight")}
    for table in (words, {"shared.weight": words["encoder.embed_tokens.weight"]}):
        save_file({**weights, **decoder, **table}, model.weights)
        assert largest_error(model, "t5") < 1e-4


def test_t5_reads_a_full_models_configuration(tmp_path):
    model = write_model(tmp_path, "t5")
    full = {"is_encoder_decoder": True, "architectures": ["T5ForConditionalGeneration"], "n_positions": 512}
    assert change_config(tmp_path, **full, relative_attention_max_distance=..., is_decoder=...).config == model.config


def test_t5_rejects_a_missing_tensor_and_another_shape(tmp_path):
    model = write_model(tmp_path, "t5")
    weights = load_file(model.weights)
    name = "encoder.final_layer_norm.weight"
    save_file({key: tensor for key, tensor in weights.items() if key != name}, model.weights)
    with pytest.raises(ConfigurationError, match=f"has no tensor {name}"):
        build_graph(model)
    save_file(weights, model.weights)
    with pytest.raises(ConfigurationError, match=r"bias.weight has shape 32 x 4, but .* requires 64 x 4"):
        build_graph(change_config(tmp_path, relative_attention_num_buckets=64))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"is_decoder": True}, "is_decoder True is not supported"),
        ({"feed_forward_proj": "gated-glu"}, "feed_forward_proj 'gated-glu' is not supported"),
        ({"relative_attention_num_buckets": 30}, "relative_attention_num_buckets 30 is not supported"),
        ({"model_type": "umt5"}, "architecture 'umt5' is not supported"),
    ],
)
def test_t5_refuses_unsupported_variants(tmp_path, changes, message):
    with pytest.raises(UnsupportedArchitecture, match=message):
        write_model(tmp_path, "t5", **changes)
