"""GTE equals transformers for every token of a long text, and every known mistake is visible."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embedstack.errors import ConfigurationError
from embedstack_server.compute.graph import build_graph
from embedstack_server.model.architectures import UnsupportedArchitecture
from embedstack_server.model.architectures.gte import GteConfig
from embedstack_server.model.model_folder import ModelFolder
from tests.support.graphs import Array, compute, cosines, run
from tests.support.reference_models import SHARP_TEXTS, ReferenceModel
from tests.support.sharp_models import change_config, change_weights, largest_error, write_model

# The reference's positions in the spelling of Alibaba's checkpoints.
ORIGINAL_ROPE = {"rope_parameters": None, "rope_theta": 20000, "rope_scaling": {"type": "ntk", "factor": 8.0}}
TRANSFORMERS_NAMES = {
    "encoder.layer.": "layers.", "attention.o_proj": "self_attn.o_proj", "attn_ln": "post_attention_layernorm",
    "mlp_ln": "post_mlp_layernorm",
}  # fmt: skip


def write(path: Path) -> ModelFolder:
    return write_model(path, "gte")


def config_of(model: ModelFolder) -> GteConfig:
    assert isinstance(model.config, GteConfig)
    return model.config


def error_of(model: ModelFolder) -> float:
    return largest_error(model, "gte")


def split_packed(weights: dict[str, Array]) -> dict[str, Array]:
    """The tensors under the names of transformers' module, each projection in its own tensor."""
    split: dict[str, Array] = {}
    for name, tensor in weights.items():
        for original, converted in TRANSFORMERS_NAMES.items():
            name = name.replace(original, converted)  # noqa: PLW2901 - several replacements
        if "qkv_proj" in name:
            for letter, part in zip("qkv", np.split(tensor, 3), strict=True):
                split[name.replace("attention.qkv", f"self_attn.{letter}")] = part
        elif "up_gate_proj" in name:
            for half, part in zip(("up", "gate"), np.split(tensor, 2), strict=True):
                split[name.replace("up_gate", half)] = part
        else:
            split[name] = tensor
    return split


@pytest.mark.parametrize("name", ["gte", "gte-no-types"])
def test_gte_equals_the_reference_for_every_token(tmp_path, name):
    outputs = ReferenceModel.load(name).outputs
    pooled, hidden = compute(write_model(tmp_path, name), SHARP_TEXTS)
    assert len(hidden[0]) > 600
    np.testing.assert_allclose(hidden[0], outputs["hidden"], atol=1e-4)
    assert cosines(pooled, outputs["pooled"]).min() > 0.999999


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda config: {"rope": replace(config.rope, divisor=1.0)}, id="larger base only"),
        pytest.param(lambda config: {"rope": replace(config.rope, base=20000.0)}, id="original base"),
        pytest.param(lambda config: {"rope": replace(config.rope, divisor=8.0)}, id="linear scaling"),
        pytest.param(lambda _: {"activation": "gelu_new"}, id="tanh GELU"),
        pytest.param(lambda _: {"token_types": False}, id="no token types"),
    ],
)
def test_gte_reference_rejects_other_settings(tmp_path, change):
    model = write(tmp_path)
    assert error_of(replace(model, config=replace(config_of(model), **change(model.config)))) > 5e-4


@pytest.mark.parametrize("packed", ["up_gate_proj", "qkv_proj"])
def test_gte_reference_rejects_swapped_parts(tmp_path, packed):
    model = write(tmp_path)

    def swapped(name: str, tensor: Array) -> Array:
        if packed not in name:
            return tensor
        parts = np.split(tensor, 2 if packed == "up_gate_proj" else 3)
        return np.concatenate([parts[1], parts[0], *parts[2:]])

    change_weights(model, lambda weights: {name: swapped(name, tensor) for name, tensor in weights.items()})
    assert error_of(model) > 1e-2


@pytest.mark.parametrize("prefix", ["", "new."])
def test_gte_reads_packed_and_split_tensors(tmp_path, prefix):
    model = write(tmp_path)
    expected = compute(model, SHARP_TEXTS[1:])[0]
    head = {"classifier.weight": np.zeros((2, 32), np.float32)}
    change_weights(model, lambda weights: {prefix + name: tensor for name, tensor in weights.items()} | head)
    np.testing.assert_array_equal(compute(model, SHARP_TEXTS[1:])[0], expected)
    change_weights(model, split_packed)
    np.testing.assert_array_equal(compute(model, SHARP_TEXTS[1:])[0], expected)


def test_gte_reads_the_configuration_of_a_checkpoint_with_code(tmp_path):
    write(tmp_path)
    original = {
        **ORIGINAL_ROPE, "model_type": "new", "position_embedding_type": "rope", "layer_norm_type": "layer_norm",
        "pack_qkv": True, "unpad_inputs": False, "use_memory_efficient_attention": False,
        "logn_attention_scale": False, "logn_attention_clip1": False,
        "auto_map": {"AutoModel": "Alibaba-NLP/new-impl--modeling.NewModel"},
    }  # fmt: skip
    assert error_of(change_config(tmp_path, **original)) < 1e-4
    assert error_of(change_config(tmp_path, rope_scaling=None)) > 1e-2


def test_gte_rows_are_independent_of_their_batch(tmp_path):
    model = write(tmp_path)
    ids = [[2, 3], [2, 9, 3], [2, *range(4, 60), 3], [2, *([5, 8, 11] * 200), 3]]
    pooled, _ = run(model, ids)
    for row, text in enumerate(ids):
        np.testing.assert_allclose(pooled[row], run(model, [text])[0][0], atol=2e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"logn_attention_scale": True}, "logn_attention_scale True is not supported"),
        ({"logn_attention_clip1": True}, "logn_attention_clip1 True is not supported"),
        ({"layer_norm_type": "rms_norm"}, "layer_norm_type 'rms_norm' is not supported"),
        ({"position_embedding_type": "absolute"}, "position_embedding_type 'absolute' is not supported"),
        ({**ORIGINAL_ROPE, "rope_scaling": {"type": "dynamic", "factor": 2.0}}, "type 'dynamic' is not supported"),
        ({**ORIGINAL_ROPE, "rope_scaling": {"type": "ntk", "factor": 2.0, "mixed_b": 0.6}}, "mixed_b 0.6"),
    ],
)
def test_gte_rejects_unsupported_variants(tmp_path, changes, message):
    write(tmp_path)
    with pytest.raises(UnsupportedArchitecture, match=message):
        change_config(tmp_path, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rope_theta": 20000}, "rope_parameters contradicts rope_theta"),
        ({**ORIGINAL_ROPE, "rope_scaling": {"type": "ntk"}}, "has no factor"),
        ({**ORIGINAL_ROPE, "rope_theta": -1}, "rope_theta is -1; it must be a positive number"),
        ({"num_attention_heads": 3}, "hidden_size 32 is not divisible into 3 attention heads"),
    ],
)
def test_gte_rejects_invalid_settings(tmp_path, changes, message):
    write(tmp_path)
    with pytest.raises(ConfigurationError, match=message):
        change_config(tmp_path, **changes)


def test_gte_names_a_missing_tensor_and_both_shapes(tmp_path):
    model = write(tmp_path)
    name = "encoder.layer.2.mlp.up_gate_proj.weight"
    change_weights(model, lambda weights: {**weights, name: weights[name][:-1]})
    with pytest.raises(ConfigurationError, match=rf"{name} has shape 95 x 32.*requires 96 x 32"):
        build_graph(model)
    missing = "encoder.layer.3.mlp_ln.bias"
    change_weights(
        model, lambda weights: {key: tensor for key, tensor in weights.items() if key not in (name, missing)}
    )
    with pytest.raises(ConfigurationError, match=r"no tensor encoder\.layer\.2\.mlp\.up_proj\.weight"):
        build_graph(model)
