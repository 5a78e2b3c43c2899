"""ModernBERT equals transformers for every token of a long text, and every known mistake is visible."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embedstack.errors import ConfigurationError
from embedstack_server.compute.graph import build_graph, modernbert
from embedstack_server.model.architectures import UnsupportedArchitecture
from embedstack_server.model.architectures.modernbert import ModernBertConfig
from embedstack_server.model.model_folder import ModelFolder
from tests.support.graphs import Array, compute, cosines, run
from tests.support.reference_models import SHARP_TEXTS, ReferenceModel
from tests.support.sharp_models import change_config, change_weights, largest_error, write_model

MODELS = ("modernbert", "modernbert-biases")
FORMER_NAMES = {"rope_parameters": None, "layer_types": None, "global_attn_every_n_layers": 3}
FORMER_ROPE = {"global_rope_theta": 160000.0, "local_rope_theta": 10000.0}


def write(path: Path) -> ModelFolder:
    return write_model(path, "modernbert")


def config_of(model: ModelFolder) -> ModernBertConfig:
    assert isinstance(model.config, ModernBertConfig)
    return model.config


def error_of(model: ModelFolder) -> float:
    return largest_error(model, "modernbert")


@pytest.mark.parametrize("name", MODELS)
def test_modernbert_equals_the_reference_for_every_token(tmp_path, name):
    outputs = ReferenceModel.load(name).outputs
    pooled, hidden = compute(write_model(tmp_path, name), SHARP_TEXTS)
    assert len(hidden[0]) > 600
    np.testing.assert_allclose(hidden[0], outputs["hidden"], atol=1e-4)
    assert cosines(pooled, outputs["pooled"]).min() > 0.999999


MUTANTS = {
    "one base of 160000": lambda config: {"local_rope": config.global_rope},
    "one base of 10000": lambda config: {"global_rope": config.local_rope},
    "radius 63": lambda config: {"radius": config.radius - 1},
    "radius 65": lambda config: {"radius": config.radius + 1},
    "window as radius": lambda config: {"radius": 2 * config.radius},
    "other layers global": lambda config: {"is_local": config.is_local[1:] + config.is_local[:1]},
    "tanh GELU": lambda _: {"activation": "gelu_pytorch_tanh"},
    "smaller epsilon": lambda _: {"norm_eps": 1e-12},
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_modernbert_reference_rejects_other_settings(tmp_path, mutant):
    model = write(tmp_path)
    config = replace(config_of(model), **MUTANTS[mutant](model.config))
    assert error_of(replace(model, config=config)) > 5e-4


@pytest.mark.parametrize("fused", ["mlp.Wi", "attn.Wqkv"])
def test_modernbert_reference_rejects_swapped_parts(tmp_path, fused):
    model = write(tmp_path)

    def swapped(name: str, tensor: Array) -> Array:
        if fused not in name:
            return tensor
        parts = np.split(tensor, 2 if fused == "mlp.Wi" else 3)
        return np.concatenate([parts[1], parts[0], *parts[2:]])

    change_weights(model, lambda weights: {name: swapped(name, tensor) for name, tensor in weights.items()})
    assert error_of(model) > 1e-2


def test_modernbert_reference_rejects_a_norm_before_the_first_attention(tmp_path, monkeypatch):
    attention = modernbert._attention

    def mutant(layers, config, x, rotary, bias, layer):
        normed = layers.layer_norm(x, "embeddings.norm", config.hidden_size, config.norm_eps, bias=False)
        return attention(layers, config, normed if layer == "layers.0.attn." else x, rotary, bias, layer)

    monkeypatch.setattr(modernbert, "_attention", mutant)
    assert error_of(write(tmp_path)) > 1e-2


def test_modernbert_local_layer_sees_64_tokens_to_either_side(tmp_path):
    write(tmp_path)
    model = change_config(
        tmp_path, num_hidden_layers=1, layer_types=["sliding_attention"], local_attention=128, mlp_bias=False
    )
    ids = [2, *(4 + number % 60 for number in range(598)), 3]
    unchanged = run(model, [ids])[1][0]
    affected: set[int] = set()
    # Several tokens, since sharp attention gives some of them no weight.
    for token in (9, 17, 23, 31, 40):
        changed = run(model, [[*ids[:300], token, *ids[301:]]])[1][0]
        affected |= {*np.flatnonzero(np.abs(changed - unchanged).max(axis=1)).tolist()}
    assert (min(affected), max(affected)) == (300 - 64, 300 + 64)


def test_modernbert_rows_are_independent_of_their_batch(tmp_path):
    model = write(tmp_path)
    # The first text's window lies wholly in the padding for most padded rows.
    ids = [[2, 3], [2, 9, 3], [2, *range(4, 60), 3], [2, *([5, 8, 11] * 200), 3]]
    pooled, hidden = run(model, ids)
    assert np.isfinite(pooled).all()
    for row, text in enumerate(ids):
        alone, states = run(model, [text])
        # Sharp attention amplifies rounding.
        np.testing.assert_allclose(hidden[row], states[0], atol=5e-5)
        np.testing.assert_allclose(pooled[row], alone[0], atol=1e-5)


def test_modernbert_reads_both_spellings_of_its_settings(tmp_path):
    model = write(tmp_path)
    assert change_config(tmp_path, **FORMER_NAMES, **FORMER_ROPE).config == model.config
    assert change_config(tmp_path, global_attn_every_n_layers=2).config != model.config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"global_rope_theta": 10000.0}, "rope_parameters contradicts global_rope_theta"),
        ({"local_rope_theta": 160000.0}, "rope_parameters contradicts local_rope_theta"),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "rope_parameters contradicts .* rope_scaling"),
        ({"rope_parameters": None}, "neither global_rope_theta nor rope_theta in rope_parameters"),
        ({"rope_parameters": {"rope_theta": 1.0}}, "rope_parameters has no object full_attention"),
        ({"rope_parameters": [1]}, "rope_parameters is .* must be an object"),
        ({"global_attn_every_n_layers": 2}, "layer_types contradicts global_attn_every_n_layers"),
        ({"layer_types": None}, "neither layer_types nor global_attn_every_n_layers"),
        ({"layer_types": ["full_attention"]}, "layer_types must be a list of 6 names"),
        ({"num_attention_heads": 5}, "hidden_size 32 is not divisible into 5 attention heads"),
        ({"local_attention": 0}, "local_attention is 0"),
        ({"norm_bias": "no"}, "norm_bias is 'no'; it must be true or false"),
        ({"hidden_activation": "mish"}, "activation 'mish' is not supported"),
    ],
)
def test_modernbert_rejects_invalid_settings(tmp_path, changes, message):
    write(tmp_path)
    with pytest.raises(ConfigurationError, match=message):
        change_config(tmp_path, **changes)


def test_modernbert_rejects_an_unsupported_rope_type(tmp_path):
    write(tmp_path)
    scaling = {"rope_type": "yarn", "factor": 4.0}
    with pytest.raises(UnsupportedArchitecture, match=r"type 'yarn' is not supported.* Supported are default, linear"):
        change_config(tmp_path, **FORMER_NAMES, **FORMER_ROPE, rope_scaling=scaling)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("layers.3.attn.Wqkv.weight", "no tensor layers.3.attn.Wqkv.weight"),
        ("final_norm.weight", "no tensor final_norm.weight"),
        ("embeddings.tok_embeddings.weight", "no tensor embeddings.tok_embeddings.weight"),
    ],
)
def test_modernbert_names_a_missing_tensor(tmp_path, name, message):
    model = write(tmp_path)
    change_weights(model, lambda weights: {key: tensor for key, tensor in weights.items() if key != name})
    with pytest.raises(ConfigurationError, match=message):
        build_graph(model)


def test_modernbert_names_both_shapes_of_a_wrong_tensor(tmp_path):
    model = write(tmp_path)
    name = "layers.1.mlp.Wi.weight"
    change_weights(model, lambda weights: {**weights, name: weights[name][:48]})
    with pytest.raises(ConfigurationError, match=r"layers.1.mlp.Wi.weight has shape 48 x 32.*requires 96 x 32"):
        build_graph(model)


def test_modernbert_reads_the_checkpoint_of_a_language_model(tmp_path):
    model = write(tmp_path)
    expected = compute(model, SHARP_TEXTS[1:])[0]
    bias = {"decoder.bias": np.zeros(64, np.float32)}
    change_weights(model, lambda weights: {f"model.{name}": tensor for name, tensor in weights.items()} | bias)
    np.testing.assert_array_equal(compute(model, SHARP_TEXTS[1:])[0], expected)
