"""Every architecture and pooling equals transformers and sentence-transformers; others are rejected."""

import json
from pathlib import Path

import numpy as np
import pytest

from embedstack.errors import ConfigurationError
from embedstack_server.compute.graph import build_graph
from embedstack_server.model.model_folder import ModelFolder
from tests.support.graphs import compute, cosines, token_ids
from tests.support.reference_models import LONGEST, TEXTS, ReferenceModel

ARCHITECTURES = ("bert", "camembert", "distilbert", "electra", "mpnet", "roberta", "xlm-roberta")
POOLINGS = ("mean", "cls", "max", "mean_sqrt_len_tokens")


def write(name: str, folder: Path, pooling: str = "mean") -> Path:
    settings = {"embedding_dimension": 32, "pooling_mode": pooling, "include_prompt": True}
    return ReferenceModel.load(name).write(folder, pooling=settings)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_graph_equals_the_reference(tmp_path, architecture, pooling):
    reference = ReferenceModel.load(architecture)
    pooled, hidden = compute(write(architecture, tmp_path, pooling), TEXTS)
    expected = reference.outputs[pooling]
    assert cosines(pooled, expected).min() > 0.999999
    np.testing.assert_allclose(pooled, expected, atol=1e-4 if pooling == "mean_sqrt_len_tokens" else 2e-5)
    np.testing.assert_allclose(hidden[0], reference.outputs["hidden"], atol=2e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_longest_text_uses_all_positions(tmp_path, architecture):
    folder = ModelFolder.read(write(architecture, tmp_path))
    assert folder.max_tokens == LONGEST
    assert max(map(len, token_ids(folder, [" ".join(["cat"] * 2 * LONGEST)]))) == LONGEST


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_int8_graph_stays_near_the_reference(tmp_path, architecture):
    pooled, _ = compute(write(architecture, tmp_path), TEXTS, int8=True)
    assert 0.99 < cosines(pooled, ReferenceModel.load(architecture).outputs["mean"]).min() < 0.999999


def test_dense_modules_are_applied_after_pooling(tmp_path):
    folder = ReferenceModel.load("dense").write(tmp_path)
    pooled, _ = compute(folder, TEXTS)
    model = ModelFolder.read(folder)
    assert (model.dimensions, model.hidden_size, model.normalize) == (8, 32, True)
    unit = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
    np.testing.assert_allclose(unit, ReferenceModel.load("dense").outputs["normalized"], atol=2e-5)


def test_dense_module_rejects_weights_of_another_shape(tmp_path):
    folder = ReferenceModel.load("dense").write(tmp_path)
    (folder / "2_Dense/model.safetensors").write_bytes((folder / "3_Dense/model.safetensors").read_bytes())
    with pytest.raises(ConfigurationError, match=r"2_Dense.*linear.weight has shape 8 x 48.*requires 48 x 32"):
        build_graph(ModelFolder.read(folder))


def change(folder: Path, name: str, **changes: object) -> None:
    document = json.loads((folder / name).read_text())
    entry = document[-1] if isinstance(document, list) else document
    entry.update(changes)
    (folder / name).write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        (
            "config.json",
            {"model_type": "deberta-v2"},
            "architecture 'deberta-v2' is not supported. Supported are bert, ",
        ),
        (
            "config.json",
            {"position_embedding_type": "relative_key"},
            "position_embedding_type 'relative_key' is not supported",
        ),
        ("config.json", {"is_decoder": True}, "is a decoder"),
        ("config.json", {"hidden_act": "mish"}, "activation 'mish' is not supported. Supported are gelu"),
        ("config.json", {"num_attention_heads": 5}, "hidden_size 32 is not divisible by 5 attention heads"),
        ("config.json", {"num_hidden_layers": "2"}, "num_hidden_layers is '2'; it must be a positive integer"),
        ("config.json", {"layer_norm_eps": 0}, "layer_norm_eps is 0; it must lie between 0 and 1"),
        ("modules.json", {"type": "x.LSTM"}, "module LSTM is not supported in position 4"),
        ("modules.json", {"type": "x.Pooling"}, "module Pooling is not supported in position 4"),
        (
            "1_Pooling/config.json",
            {"pooling_mode": ["cls", "mean"]},
            "only one of cls, last_token, max, mean, mean_sqrt_len",
        ),
        ("2_Dense/config.json", {"activation_function": "torch.nn.Softmax"}, "activation Softmax is not supported"),
        ("2_Dense/config.json", {"use_residual": True}, "with a residual"),
        ("2_Dense/config.json", {"in_features": 31}, "in_features is 31 .* preceding module's output has 32"),
        ("sentence_bert_config.json", {"do_lower_case": True}, "tokenizer.json does not lowercase"),
        ("sentence_bert_config.json", {"max_seq_length": "long"}, "max_seq_length .* is 'long'"),
        ("sentence_bert_config.json", {"config_args": {"num_hidden_layers": 1}}, "config_args .* num_hidden_layers"),
        ("sentence_bert_config.json", {"tokenizer_args": {"truncation_side": "left"}}, "sets truncation_side"),
        ("sentence_bert_config.json", {"transformer_task": "fill-mask"}, "task fill-mask"),
        ("config_sentence_transformers.json", {"truncate_dim": 8}, "cuts vectors to 8"),
        ("config_sentence_transformers.json", {"prompts": ["a"]}, "prompts must be an object"),
        ("tokenizer_config.json", {"truncation_side": "left"}, "truncation_side"),
    ],
)
def test_model_folder_rejects_unsupported_settings(tmp_path, file, changes, message):
    folder = ReferenceModel.load("dense").write(tmp_path)
    change(folder, file, **changes)
    with pytest.raises(ConfigurationError, match=message):
        ModelFolder.read(folder)


def test_model_folder_never_runs_the_code_of_a_model(tmp_path):
    folder = write("bert", tmp_path)
    marker, code = tmp_path / "ran", {"AutoModel": "modeling.Model", "AutoConfig": "modeling.Config"}
    (folder / "modeling.py").write_text(f"open({str(marker)!r}, 'w')")
    change(folder, "config.json", auto_map=code)
    assert np.isfinite(compute(folder, TEXTS)[0]).all()
    change(folder, "config.json", model_type="own_architecture")
    with pytest.raises(
        ConfigurationError, match=r"'own_architecture' is not supported.* never run.* Text Embeddings Inf.*\[torch\]"
    ):
        ModelFolder.read(folder)
    assert not marker.exists()


@pytest.mark.parametrize(
    "config", [{"model_type": "jina_embeddings_v3"}, {"model_type": "xlm-roberta", "lora_adaptations": ["retrieval"]}]
)
def test_model_folder_refuses_adapters_that_depend_on_a_task(tmp_path, config):
    folder = write("xlm-roberta", tmp_path)
    change(folder, "config.json", **config)
    with pytest.raises(ConfigurationError, match=r"Jina Embeddings v3, .* LoRA adapter .* Text Embeddings Inference"):
        ModelFolder.read(folder)


def test_model_folder_accepts_lowercasing_by_the_tokenizer(tmp_path):
    folder = write("bert", tmp_path)
    change(folder, "sentence_bert_config.json", do_lower_case=True)
    change(folder, "tokenizer.json", normalizer={"type": "Sequence", "normalizers": [{"type": "Lowercase"}]})
    assert token_ids(ModelFolder.read(folder), ["CAT"]) == token_ids(ModelFolder.read(folder), ["cat"])


def test_model_folder_rejects_conflicting_tokenizer_files(tmp_path):
    folder = write("bert", tmp_path)
    change(folder, "tokenizer.json", normalizer={"type": "BertNormalizer", "lowercase": True})
    change(folder, "tokenizer_config.json", do_lower_case=True)
    assert ModelFolder.read(folder)
    change(folder, "tokenizer_config.json", do_lower_case=False)
    with pytest.raises(ConfigurationError, match="do_lower_case is False"):
        ModelFolder.read(folder)


def test_model_folder_applies_the_first_token_limit(tmp_path):
    folder = write("roberta", tmp_path)
    change(folder, "sentence_bert_config.json", max_seq_length=None)
    change(folder, "tokenizer_config.json", model_max_length=int(1e30))
    assert ModelFolder.read(folder).max_tokens == LONGEST
    change(folder, "tokenizer_config.json", model_max_length=64)
    assert ModelFolder.read(folder).max_tokens == 64
    change(folder, "sentence_bert_config.json", max_seq_length=32)
    assert ModelFolder.read(folder).max_tokens == 32
