"""Qwen3 equals transformers for every token of a long text, and every known mistake is visible."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from openvino import opset13 as ops

from embedstack.errors import ConfigurationError, PayloadTooLarge
from embedstack_server.compute.encoder import Encoder
from embedstack_server.compute.graph import attention, build_graph
from embedstack_server.compute.graph.layers import Layers
from embedstack_server.model.architectures import UnsupportedArchitecture
from embedstack_server.model.architectures.qwen3 import Qwen3Config
from embedstack_server.model.model_folder import ModelFolder
from embedstack_server.model.tokenizer import Tokenizer
from tests.support.graphs import compute, cosines, run, token_ids
from tests.support.reference_models import SHARP_TEXTS, ReferenceModel
from tests.support.sharp_models import change_config, change_weights, largest_error, write_model

END = 0  # the end token, which is also the padding token


def write(path: Path) -> ModelFolder:
    return write_model(path, "qwen3")


def config_of(model: ModelFolder) -> Qwen3Config:
    assert isinstance(model.config, Qwen3Config)
    return model.config


def error_of(model: ModelFolder) -> float:
    return largest_error(model, "qwen3")


@pytest.mark.parametrize("name", ["qwen3", "qwen3-bidirectional"])
def test_qwen3_equals_the_reference_for_every_token(tmp_path, name):
    outputs = ReferenceModel.load(name).outputs
    pooled, hidden = compute(write_model(tmp_path, name), SHARP_TEXTS)
    assert len(hidden[0]) > 600
    np.testing.assert_allclose(hidden[0], outputs["hidden"], atol=1e-4)
    assert cosines(pooled, outputs["pooled"]).min() > 0.999999


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda _: {"causal": False}, id="bidirectional"),
        pytest.param(lambda config: {"rope": replace(config.rope, base=10000.0)}, id="transformers' default base"),
        pytest.param(lambda config: {"rope": replace(config.rope, divisor=1.1)}, id="scaled positions"),
        pytest.param(lambda _: {"norm_eps": 1e-5}, id="larger epsilon"),
        pytest.param(lambda _: {"activation": "gelu"}, id="other activation"),
    ],
)
def test_qwen3_reference_rejects_other_settings(tmp_path, change):
    model = write(tmp_path)
    assert error_of(replace(model, config=replace(config_of(model), **change(model.config)))) > 5e-4


@pytest.mark.parametrize(
    ("first", "second"),
    [("mlp.gate_proj", "mlp.up_proj"), ("q_norm", "k_norm"), ("input_layernorm", "post_attention_layernorm")],
)
def test_qwen3_reference_rejects_exchanged_tensors(tmp_path, first, second):
    model = write(tmp_path)

    def other(name: str) -> str:
        return name.replace(first, second) if first in name else name.replace(second, first)

    change_weights(model, lambda weights: {name: weights[other(name)] for name in weights})
    assert error_of(model) > 1e-2


@pytest.mark.parametrize("norm", ["q_norm", "k_norm", ".norm"])
def test_qwen3_reference_rejects_a_missing_norm(tmp_path, monkeypatch, norm):
    rms_norm = Layers.rms_norm

    def mutant(self, x, name, *arguments, **options):
        return x if f".{name}".endswith(norm) else rms_norm(self, x, name, *arguments, **options)

    monkeypatch.setattr(Layers, "rms_norm", mutant)
    assert error_of(write(tmp_path)) > 1e-2


def test_qwen3_reference_rejects_interleaved_groups(tmp_path, monkeypatch):
    def mutant(node, heads, groups):
        order = np.tile(np.arange(heads // groups), groups)
        return ops.gather(node, ops.constant(order), ops.constant(np.int64(1)))

    monkeypatch.setattr(attention, "_repeat_heads", mutant)
    assert error_of(write(tmp_path)) > 1e-2


def test_qwen3_causal_token_ignores_its_successors(tmp_path):
    model = write(tmp_path)
    ids = [5, 9, 30, 12, 44, 8, END]
    hidden = run(model, [ids])[1][0]
    changed = run(model, [[*ids[:4], 17, 18, END]])[1][0]
    np.testing.assert_allclose(changed[:4], hidden[:4], atol=1e-6)
    assert np.abs(changed[4:] - hidden[4:]).max() > 1e-2


def test_qwen3_vector_is_the_last_token_of_each_padded_row(tmp_path):
    model = write(tmp_path)
    ids = [[END], [9, END], [9, END, END], [5, 8, 11] * 200 + [END]]
    pooled, hidden = run(model, ids)
    for row, text in enumerate(ids):
        np.testing.assert_array_equal(pooled[row], hidden[row][-1])
        alone, _ = run(model, [text])
        np.testing.assert_allclose(pooled[row], alone[0], atol=2e-5)
    # The last token of a text that ends with the end token itself is the added one.
    assert np.abs(pooled[1] - pooled[2]).max() > 1e-2


def test_qwen3_tokenizer_appends_the_end_token(tmp_path):
    model = write(tmp_path)
    words = token_ids(model, ["w1 w2"])[0]
    assert words[-1] == END
    assert token_ids(model, ["w1 w2<|endoftext|>"])[0] == [*words, END]
    truncated = Tokenizer(model.tokenizer, 4).encode([SHARP_TEXTS[2]], truncate=True)[0]
    assert (len(truncated), truncated[-1]) == (4, END)


def test_qwen3_pads_with_the_declared_padding_token(tmp_path):
    model = write(tmp_path)
    assert Tokenizer(model.tokenizer, model.max_tokens).pad_id == END


@pytest.mark.parametrize("heads", [1, 4])
def test_qwen3_accepts_any_number_of_key_value_heads(tmp_path, heads):
    write(tmp_path)
    model = change_config(tmp_path, num_key_value_heads=heads)

    def resized(name, tensor):
        is_key_or_value = "k_proj" in name or "v_proj" in name
        return np.concatenate([tensor, tensor])[: heads * 16] if is_key_or_value else tensor

    change_weights(model, lambda weights: {name: resized(name, tensor) for name, tensor in weights.items()})
    assert np.isfinite(compute(model, SHARP_TEXTS[2:])[0]).all()


def test_qwen3_reads_both_spellings_of_its_settings(tmp_path):
    model = write(tmp_path)
    assert config_of(model).rope.base == 1e6
    assert change_config(tmp_path, rope_parameters=None, rope_theta=1e6, rope_scaling=None).config == model.config
    scaled = change_config(tmp_path, rope_scaling={"type": "linear", "factor": 4.0})
    assert config_of(scaled).rope.divisor == 4
    parameters = {"rope_type": "linear", "rope_theta": 1e6, "factor": 4.0}
    assert (
        change_config(tmp_path, rope_parameters=parameters, rope_theta=None, rope_scaling=None).config == scaled.config
    )


@pytest.mark.parametrize(
    ("changes", "causal"),
    [
        ({}, True),
        ({"is_causal": False}, False),
        ({"use_bidirectional_attention": True}, False),
        ({"is_causal": False, "use_bidirectional_attention": True}, False),
        ({"is_causal": True, "use_bidirectional_attention": False}, True),
    ],
)
def test_qwen3_reads_both_names_of_bidirectional_attention(tmp_path, changes, causal):
    write(tmp_path)
    assert config_of(change_config(tmp_path, **changes)).causal == causal


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rope_theta": 10000.0}, "rope_parameters contradicts rope_theta"),
        ({"rope_parameters": None}, "neither rope_theta nor rope_theta in rope_parameters"),
        ({"is_causal": True, "use_bidirectional_attention": True}, "is_causal contradicts use_bidirectional"),
        ({"is_causal": False, "use_bidirectional_attention": False}, "is_causal contradicts use_bidirectional"),
        ({"num_key_value_heads": 3}, "num_attention_heads 4 is not divisible by num_key_value_heads 3"),
        ({"head_dim": 15}, "head_dim 15 is odd"),
        ({"rms_norm_eps": 2}, "rms_norm_eps is 2"),
    ],
)
def test_qwen3_rejects_invalid_settings(tmp_path, changes, message):
    write(tmp_path)
    with pytest.raises(ConfigurationError, match=message):
        change_config(tmp_path, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"use_sliding_window": True}, "use_sliding_window True is not supported"),
        ({"layer_types": ["sliding_attention"] * 4}, "local attention in layer_types is not supported"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, "type 'yarn' is not supported"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor 0.5 is not supported"),
    ],
)
def test_qwen3_rejects_unsupported_variants(tmp_path, changes, message):
    write(tmp_path)
    if "rope_scaling" in changes:
        changes = {**changes, "rope_parameters": None, "rope_theta": 1e6}
    with pytest.raises(UnsupportedArchitecture, match=message):
        change_config(tmp_path, **changes)


def test_qwen3_reads_the_checkpoint_of_a_language_model(tmp_path):
    model = write(tmp_path)
    expected = compute(model, SHARP_TEXTS[1:])[0]
    head = {"lm_head.weight": np.zeros((62, 32), np.float32)}
    change_weights(model, lambda weights: {f"model.{name}": tensor for name, tensor in weights.items()} | head)
    np.testing.assert_array_equal(compute(model, SHARP_TEXTS[1:])[0], expected)


def test_qwen3_names_missing_embeddings(tmp_path):
    model = write(tmp_path)
    change_weights(model, lambda weights: {"lm_head.weight": weights.pop("embed_tokens.weight"), **weights})
    with pytest.raises(ConfigurationError, match=r"no tensor embed_tokens\.weight"):
        build_graph(model)


def test_qwen3_names_both_shapes_of_a_wrong_tensor(tmp_path):
    write(tmp_path)
    model = change_config(tmp_path, head_dim=None)  # transformers' default, 128
    with pytest.raises(ConfigurationError, match=r"layers.0.self_attn.q_proj.weight has shape 64 x 32.* 512 x 32"):
        build_graph(model)


def test_qwen3_reads_prompts_of_queries(tmp_path):
    write(tmp_path)
    prompts = {"query": "Instruct: w1 w2\nQuery:", "document": ""}
    path = tmp_path / "config_sentence_transformers.json"
    path.write_text(json.dumps({"prompts": prompts, "default_prompt_name": None}))
    model = ModelFolder.read(tmp_path)
    assert (model.prompts, model.default_prompt_name, model.pooling) == (prompts, None, "last_token")


def test_text_whose_attention_exceeds_the_memory_is_rejected(tmp_path, monkeypatch):
    write(tmp_path)
    monkeypatch.setattr("embedstack_server.compute.engine.available_memory", lambda: 9_000_000)
    encoder = Encoder.load(tmp_path, precision="fp32")
    try:
        short, long = " ".join(SHARP_TEXTS[0].split()[:9]), SHARP_TEXTS[0]
        with pytest.raises(PayloadTooLarge, match=r"Text 1 has \d+ tokens; the memory of this server") as error:
            encoder.encode([short, long])
        assert error.value.index == 1
        assert encoder.encode([short]).pooled.shape[0] == 1
    finally:
        encoder.close()
