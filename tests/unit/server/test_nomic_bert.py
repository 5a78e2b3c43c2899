"""NomicBERT equals its references for every token of a long text, and every known mistake is visible."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops
from safetensors.numpy import load_file, save_file

from embedstack.errors import ConfigurationError
from embedstack_server.compute.encoder import Encoder
from embedstack_server.compute.graph import build_graph, nomic_bert
from embedstack_server.compute.graph.layers import integers
from embedstack_server.compute.graph.rotary import DynamicRotary
from embedstack_server.model.architectures import UnsupportedArchitecture
from embedstack_server.model.architectures.nomic_bert import DynamicScaling, Experts, NomicBertConfig
from embedstack_server.model.model_folder import ModelFolder
from tests.support.graphs import compute, cosines, run
from tests.support.nomic_moe import nomic_moe_hidden
from tests.support.reference_models import SHARP_TEXTS, ReferenceModel
from tests.support.sharp_models import change_config, exchange_tensors, largest_error, rows_alone_error, write_model

MODELS = ("nomic-bert", "nomic-bert-dynamic", "nomic-moe")
# The configuration of nomic-bert in the spelling of the models' own code.
OWN_NAMES = {
    "hidden_size": ..., "num_attention_heads": ..., "num_hidden_layers": ..., "intermediate_size": ...,
    "hidden_act": ..., "layer_norm_eps": ..., "head_dim": ..., "rope_parameters": ..., "max_position_embeddings": ...,
    "n_embd": 32, "n_head": 2, "n_layer": 4, "n_inner": 48, "layer_norm_epsilon": 1e-12, "n_positions": 700,
    "activation_function": "swiglu", "rotary_emb_base": 1000, "rotary_scaling_factor": None, "prenorm": False,
    "rotary_emb_fraction": 1.0, "rotary_emb_interleaved": False, "qkv_proj_bias": False, "max_trained_positions": 2048,
    "auto_map": {"AutoModel": "nomic-ai/nomic-bert-2048--modeling_hf_nomic_bert.NomicBertModel"},
}  # fmt: skip
OWN_DYNAMIC = {"n_positions": 8192, "rotary_scaling_factor": 2, "max_trained_positions": 256}


def config_of(model: ModelFolder) -> NomicBertConfig:
    assert isinstance(model.config, NomicBertConfig)
    return model.config


@pytest.mark.parametrize("name", MODELS)
def test_nomic_bert_equals_the_reference_for_every_token(tmp_path, name):
    outputs = ReferenceModel.load(name).outputs
    pooled, hidden = compute(write_model(tmp_path, name), SHARP_TEXTS)
    assert len(hidden[0]) == len(outputs["hidden"]) > 600
    np.testing.assert_allclose(hidden[0], outputs["hidden"], atol=1e-4)
    assert cosines(pooled, outputs["pooled"]).min() > 0.999999


Mutant = Callable[[NomicBertConfig], dict[str, Any]]
MUTANTS: dict[tuple[str, str], Mutant] = {
    ("nomic-bert", "base 10000"): lambda _: {"rope_base": 10000.0},
    ("nomic-bert", "no token types"): lambda _: {"token_types": False},
    ("nomic-bert", "GELU"): lambda _: {"activation": "gelu"},
    ("nomic-bert", "larger epsilon"): lambda _: {"layer_norm_eps": 1e-3},
    ("nomic-bert-dynamic", "no scaling"): lambda _: {"scaling": None},
    ("nomic-bert-dynamic", "another factor"): lambda _: {"scaling": DynamicScaling(2.1, 256)},
    ("nomic-bert-dynamic", "other trained positions"): lambda _: {"scaling": DynamicScaling(2, 257)},
    ("nomic-moe", "base 1000"): lambda _: {"rope_base": 1000.0},
    ("nomic-moe", "one expert"): lambda _: {"experts": Experts(4, 1, 2)},
    ("nomic-moe", "all experts"): lambda _: {"experts": Experts(4, 4, 2)},
    ("nomic-moe", "tanh GELU"): lambda _: {"activation": "gelu_new"},
}


@pytest.mark.parametrize(("name", "mutant"), MUTANTS)
def test_nomic_bert_reference_rejects_other_settings(tmp_path, name, mutant):
    model = write_model(tmp_path, name)
    config = config_of(model)
    mutant_config = replace(config, **MUTANTS[name, mutant](config))
    assert largest_error(replace(model, config=mutant_config), name) > 3e-4


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("nomic-bert", "fc11", "fc12"),
        ("nomic-bert", "norm1", "norm2"),
        ("nomic-moe", "mlp.w1", "mlp.w2"),
    ],
)
def test_nomic_bert_reference_rejects_exchanged_tensors(tmp_path, name, first, second):
    model = write_model(tmp_path, name)
    exchange_tensors(model, first, second)
    assert largest_error(model, name) > 1e-3


def test_nomic_bert_reference_rejects_a_rounded_exponent(tmp_path, monkeypatch):
    """Text Embeddings Inference rounds the exponent d / (d - 2) down to 1."""

    def rounded(
        frequencies: np.ndarray[Any, Any], factor: float, trained_positions: int, float_mask: ov.Node
    ) -> DynamicRotary:
        growth = factor * 642 / trained_positions - factor + 1
        numbers, pairs = np.arange(len(frequencies)), len(frequencies)
        correction = growth ** (numbers / (pairs - 1) - numbers / pairs)
        return DynamicRotary((frequencies * correction).astype(np.float32), factor, trained_positions, float_mask)

    monkeypatch.setattr(nomic_bert, "DynamicRotary", rounded)
    assert largest_error(write_model(tmp_path, "nomic-bert-dynamic"), "nomic-bert-dynamic") > 1e-2


def test_nomic_moe_reference_rejects_normalized_weights(tmp_path, monkeypatch):
    expert_weights = nomic_bert._expert_weights

    def normalized(experts, scores):
        weights = expert_weights(experts, scores)
        return ops.divide(weights, ops.reduce_sum(weights, integers(-1), True))

    monkeypatch.setattr(nomic_bert, "_expert_weights", normalized)
    assert largest_error(write_model(tmp_path, "nomic-moe"), "nomic-moe") > 1e-2


@pytest.mark.parametrize("name", MODELS)
def test_nomic_bert_rows_are_independent_of_their_batch(tmp_path, name):
    # With scaled positions, the length of another text of the batch must not change a vector.
    ids = [[2, 3], [3], [2, *range(4, 60), 3], [2, *([5, 8, 11] * 90), 3], [2, *([5, 8, 11] * 200), 3]]
    assert rows_alone_error(write_model(tmp_path, name), ids) < 1e-4


def test_nomic_bert_scales_positions_beyond_the_trained_ones(tmp_path):
    scaled = write_model(tmp_path, "nomic-bert-dynamic")
    plain = replace(scaled, config=replace(config_of(scaled), scaling=None))
    for tokens, is_scaled in ((256, False), (257, True)):
        ids = [[4 + number % 60 for number in range(tokens)]]
        difference = np.abs(run(scaled, ids)[1][0] - run(plain, ids)[1][0]).max()
        assert (difference > 1e-3) == is_scaled


def test_nomic_moe_chooses_two_experts_of_equal_scores(tmp_path):
    model = write_model(tmp_path, "nomic-moe")
    weights = load_file(model.weights)
    for layer in (1, 3):
        router = weights[f"encoder.layers.{layer}.mlp.router.layer.weight"]
        router[:] = router[0]  # all experts tie
    save_file(weights, model.weights)
    ids = [2, 9, 3]
    config = json.loads((tmp_path / "config.json").read_text())
    expected = nomic_moe_hidden(config, weights, ids)
    for batch in ([ids], [ids, [2, *range(4, 60), 3]], [ids[:1]]):
        states = run(model, batch)[1][0]
        assert np.isfinite(states).all()
        if batch[0] == ids:
            np.testing.assert_allclose(states, expected, atol=1e-4)


def test_nomic_moe_accepts_an_expert_that_no_token_chooses(tmp_path):
    model = write_model(tmp_path, "nomic-moe")
    weights = load_file(model.weights)
    for layer in (1, 3):
        # The chosen two are the expert with a positive score and one with a score of 0; never the last.
        router = weights[f"encoder.layers.{layer}.mlp.router.layer.weight"]
        router[2:] = 0
        router[1] = -router[0]
    save_file(weights, model.weights)
    config = json.loads((tmp_path / "config.json").read_text())
    ids = [2, 9, 17, 3]
    np.testing.assert_allclose(run(model, [ids])[1][0], nomic_moe_hidden(config, weights, ids), atol=1e-4)


def test_nomic_moe_experts_use_int8(tmp_path):
    model = write_model(tmp_path, "nomic-moe")
    exact, _ = compute(model, SHARP_TEXTS[2:])
    int8, _ = compute(model, SHARP_TEXTS[2:], int8=True)
    assert 0.95 < cosines(int8, exact).min() < 0.999999


@pytest.mark.parametrize(("name", "own"), [("nomic-bert", {}), ("nomic-bert-dynamic", OWN_DYNAMIC)])
def test_nomic_bert_reads_both_spellings_of_its_settings(tmp_path, name, own):
    model = write_model(tmp_path, name)
    assert change_config(tmp_path, **{**OWN_NAMES, **own}).config == model.config


def test_nomic_bert_reads_a_file_with_both_spellings(tmp_path):
    model = write_model(tmp_path, "nomic-bert")
    both = {name: value for name, value in OWN_NAMES.items() if value is not ...}
    assert change_config(tmp_path, **both).config == model.config


@pytest.mark.parametrize("prefix", ["bert.", "nomic_bert."])
def test_nomic_bert_accepts_prefixes_and_unused_tensors(tmp_path, prefix):
    model = write_model(tmp_path, "nomic-bert")
    weights = {f"{prefix}{name}": tensor for name, tensor in load_file(model.weights).items()}
    save_file({**weights, "cls.predictions.bias": np.ones(3, np.float32)}, model.weights)
    assert largest_error(model, "nomic-bert") < 1e-4


def test_nomic_bert_rejects_a_missing_tensor_and_another_shape(tmp_path):
    model = write_model(tmp_path, "nomic-moe")
    weights = load_file(model.weights)
    router = "encoder.layers.3.mlp.router.layer.weight"
    save_file({name: tensor for name, tensor in weights.items() if name != router}, model.weights)
    with pytest.raises(ConfigurationError, match=f"has no tensor {router}"):
        build_graph(model)
    save_file(weights, model.weights)
    with pytest.raises(ConfigurationError, match=r"router.layer.weight has shape 4 x 32, but .* requires 8 x 32"):
        build_graph(change_config(tmp_path, num_experts=8))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prenorm": True}, "prenorm True is not supported"),
        ({"rotary_emb_interleaved": True}, "rotary_emb_interleaved True"),
        ({"rotary_emb_fraction": 0.5}, "rotary_emb_fraction 0.5"),
        ({"use_rms_norm": True}, "use_rms_norm True"),
        ({"causal": True}, "causal True"),
        ({"moe_normalize_expert_weights": True}, "moe_normalize_expert_weights True"),
        ({"num_shared_experts": 1}, "num_shared_experts 1"),
        ({"expert_choice_router": True}, "expert_choice_router True"),
        ({"activation_function": "glu"}, "activation_function 'glu'"),
        ({"activation_function": "swiglu"}, "experts with a gate"),
        ({"rope_parameters": {"rope_type": "yarn", "rope_theta": 10000.0}}, "rope_type 'yarn'"),
    ],
)
def test_nomic_bert_refuses_unsupported_variants(tmp_path, changes, message):
    with pytest.raises(UnsupportedArchitecture, match=message):
        write_model(tmp_path, "nomic-moe", **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rope_parameters": {"rope_theta": 1000.0}}, "rope_parameters contradicts rotary_emb_base"),
        ({"rotary_emb_base": ...}, "neither rotary_emb_base nor rope_parameters"),
        ({"n_head": 3}, "hidden_size 32 is not divisible into 3 attention heads"),
        ({"moe_top_k": 5}, "moe_top_k is 5, but there are 4 experts"),
        ({"n_inner": 0}, "n_inner is 0"),
    ],
)
def test_nomic_bert_rejects_invalid_settings(tmp_path, changes, message):
    with pytest.raises(ConfigurationError, match=message):
        write_model(tmp_path, "nomic-moe", **changes)


@pytest.mark.parametrize("name", ["nomic-bert", "nomic-moe"])
def test_nomic_bert_shortens_a_vector_as_its_version_does(tmp_path, name):
    """Version 1.5 layer-normalizes the whole vector first, which changes the direction of the shorter one."""
    write_model(tmp_path, name, matryoshka_dimensions=[8])
    encoder = Encoder.load(tmp_path, precision="fp32")
    encoded = encoder.encode(SHARP_TEXTS[1:])
    pooled = ReferenceModel.load(name).outputs["pooled"][1:]
    centred = (pooled - pooled.mean(axis=1, keepdims=True)) / pooled.std(axis=1, keepdims=True)
    expected, other = (centred, pooled) if name == "nomic-bert" else (pooled, centred)
    assert cosines(encoded.vectors(8), expected[:, :8]).min() > 0.999999
    assert cosines(encoded.vectors(8), other[:, :8]).min() < 0.9999
    assert cosines(encoded.vectors(32), pooled).min() > 0.99999
    encoder.check_dimensions(8)
    encoder.close()
