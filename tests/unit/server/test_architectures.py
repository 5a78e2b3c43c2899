"""Every architecture and pooling computes what transformers and sentence-transformers compute."""

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
def test_equals_the_reference(tmp_path, architecture, pooling):
    reference = ReferenceModel.load(architecture)
    pooled, hidden = compute(write(architecture, tmp_path, pooling), TEXTS)
    expected = reference.answers[pooling]
    assert cosines(pooled, expected).min() > 0.999999
    np.testing.assert_allclose(pooled, expected, atol=1e-4 if pooling == "mean_sqrt_len_tokens" else 2e-5)
    np.testing.assert_allclose(hidden[0], reference.answers["hidden"], atol=2e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_longest_text_takes_all_positions(tmp_path, architecture):
    folder = ModelFolder.read(write(architecture, tmp_path))
    assert folder.max_tokens == LONGEST
    assert max(map(len, token_ids(folder, [" ".join(["cat"] * 2 * LONGEST)]))) == LONGEST


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_int8_weights_stay_near_the_reference(tmp_path, architecture):
    pooled, _ = compute(write(architecture, tmp_path), TEXTS, int8=True)
    found = cosines(pooled, ReferenceModel.load(architecture).answers["mean"])
    assert 0.99 < found.min() < 0.999999


def test_dense_modules_follow_the_pooling(tmp_path):
    folder = ReferenceModel.load("dense").write(tmp_path)
    pooled, _ = compute(folder, TEXTS)
    model = ModelFolder.read(folder)
    assert (model.dimensions, model.hidden_size, model.normalize) == (8, 32, True)
    unit = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
    np.testing.assert_allclose(unit, ReferenceModel.load("dense").answers["normalized"], atol=2e-5)


def test_a_dense_module_needs_weights_of_its_shape(tmp_path):
    folder = ReferenceModel.load("dense").write(tmp_path)
    (folder / "2_Dense/model.safetensors").write_bytes((folder / "3_Dense/model.safetensors").read_bytes())
    with pytest.raises(ConfigurationError, match=r"2_Dense.*linear.weight has shape 8 x 48.*wants 48 x 32"):
        build_graph(ModelFolder.read(folder))


def change(folder: Path, name: str, **changes: object) -> None:
    document = json.loads((folder / name).read_text())
    entry = document[-1] if isinstance(document, list) else document
    entry.update(changes)
    (folder / name).write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        ("config.json", {"model_type": "deberta-v2"}, "architecture 'deberta-v2' is not served; served are bert, "),
        ("config.json", {"position_embedding_type": "relative_key"}, "relative_key positions are not served"),
        ("config.json", {"is_decoder": True}, "is a decoder"),
        ("config.json", {"hidden_act": "silu"}, "activation 'silu' is not served; served are gelu"),
        ("config.json", {"num_attention_heads": 5}, "32 does not divide into 5 heads"),
        ("config.json", {"num_hidden_layers": "2"}, "num_hidden_layers is '2', which is no positive number"),
        ("config.json", {"layer_norm_eps": 0}, "layer_norm_eps is 0; it must lie between 0 and 1"),
        ("modules.json", {"type": "x.LSTM"}, "module LSTM is not served in position 4"),
        ("modules.json", {"type": "x.Pooling"}, "module Pooling is not served in position 4"),
        ("1_Pooling/config.json", {"pooling_mode": "lasttoken"}, r"pooling \['lasttoken'\] is not served"),
        ("1_Pooling/config.json", {"pooling_mode": ["cls", "mean"]}, "exactly one of cls, max, mean, mean_sqrt_len is"),
        ("1_Pooling/config.json", {"include_prompt": False}, "leaves out the prompt's tokens"),
        ("2_Dense/config.json", {"activation_function": "torch.nn.Softmax"}, "activation Softmax is not served"),
        ("2_Dense/config.json", {"use_residual": True}, "without residual"),
        ("2_Dense/config.json", {"in_features": 31}, "takes 31 numbers and gives 48; the one before it gives 32"),
        ("sentence_bert_config.json", {"do_lower_case": True}, "asks for lower-casing"),
        ("sentence_bert_config.json", {"max_seq_length": "long"}, "max_seq_length .* is 'long'"),
        ("sentence_bert_config.json", {"config_args": {"num_hidden_layers": 1}}, "config_args .* num_hidden_layers"),
        ("sentence_bert_config.json", {"tokenizer_args": {"truncation_side": "left"}}, "sets truncation_side"),
        ("sentence_bert_config.json", {"transformer_task": "fill-mask"}, "task fill-mask"),
        ("config_sentence_transformers.json", {"truncate_dim": 8}, "cuts vectors to 8"),
        ("config_sentence_transformers.json", {"prompts": ["a"]}, "prompts must be an object"),
        ("tokenizer_config.json", {"truncation_side": "left"}, "truncation_side"),
    ],
)
def test_what_is_not_served_is_refused_with_the_reason(tmp_path, file, changes, message):
    folder = ReferenceModel.load("dense").write(tmp_path)
    change(folder, file, **changes)
    with pytest.raises(ConfigurationError, match=message):
        ModelFolder.read(folder)


def test_lower_casing_that_the_tokenizer_does_is_served(tmp_path):
    folder = write("bert", tmp_path)
    change(folder, "sentence_bert_config.json", do_lower_case=True)
    change(folder, "tokenizer.json", normalizer={"type": "Sequence", "normalizers": [{"type": "Lowercase"}]})
    assert token_ids(ModelFolder.read(folder), ["CAT"]) == token_ids(ModelFolder.read(folder), ["cat"])


def test_tokenizer_files_that_disagree_are_refused(tmp_path):
    folder = write("bert", tmp_path)
    change(folder, "tokenizer.json", normalizer={"type": "BertNormalizer", "lowercase": True})
    change(folder, "tokenizer_config.json", do_lower_case=True)
    assert ModelFolder.read(folder)
    change(folder, "tokenizer_config.json", do_lower_case=False)
    with pytest.raises(ConfigurationError, match="do_lower_case is False"):
        ModelFolder.read(folder)


def test_the_shorter_of_the_limits_holds(tmp_path):
    folder = write("roberta", tmp_path)
    change(folder, "sentence_bert_config.json", max_seq_length=None)
    change(folder, "tokenizer_config.json", model_max_length=int(1e30))
    assert ModelFolder.read(folder).max_tokens == LONGEST
    change(folder, "tokenizer_config.json", model_max_length=64)
    assert ModelFolder.read(folder).max_tokens == 64
    change(folder, "sentence_bert_config.json", max_seq_length=32)
    assert ModelFolder.read(folder).max_tokens == 32
