"""Facts of a model are read from the files of its folder, in the spellings of all versions."""

import json

import pytest

from embedstack.errors import ConfigurationError
from embedstack.models.model_folder import read_model_facts
from tests.support.tiny_bert import HIDDEN, POSITIONS, write_model


def write(folder, **files):
    for name, content in files.items():
        path = folder / f"{name.replace('__', '/')}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    return folder


def modules(*names):
    return [{"type": f"sentence_transformers.models.{name}", "path": f"{i}_{name}"} for i, name in enumerate(names)]


def write_pooling(folder, config):
    write(folder, config={"hidden_size": 8}, modules=modules("Transformer", "Pooling"))
    return write(folder, **{"1_Pooling__config": config})


def test_facts_of_a_sentence_transformers_folder(tmp_path):
    facts = read_model_facts(write_model(tmp_path, pooling="cls"))
    assert facts == {
        "architecture": "bert", "dimensions": HIDDEN, "max_tokens": POSITIONS, "pooling": "cls", "normalized": True,
        "prompts": {"query": "the ", "document": ""}, "uses_prompts": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("config", "pooling"),
    [
        ({"pooling_mode": "lasttoken"}, "last_token"),
        ({"pooling_mode": "mean"}, "mean"),
        ({"pooling_mode": ["cls"]}, "cls"),
        ({"pooling_mode_lasttoken": True, "pooling_mode_mean_tokens": False}, "last_token"),
        ({"pooling_mode_weightedmean_tokens": True}, "weighted_mean"),
    ],
)
def test_pooling_is_read_in_both_spellings(tmp_path, config, pooling):
    facts = read_model_facts(write_pooling(tmp_path, config))
    assert (facts["pooling"], facts["dimensions"], facts["normalized"]) == (pooling, 8, False)


@pytest.mark.parametrize(
    "config", [{"pooling_mode": ["cls", "mean"]}, {"pooling_mode_cls_token": True, "pooling_mode_max_tokens": True}]
)
def test_length_of_concatenated_poolings_is_unknown(tmp_path, config):
    assert not {"pooling", "dimensions"} & read_model_facts(write_pooling(tmp_path, config)).keys()


@pytest.mark.parametrize(
    ("names", "dimensions"),
    [
        (("Transformer", "Pooling", "Dense", "Normalize"), 3),
        (("Transformer", "Pooling", "Custom"), None),
        (("Transformer", "Pooling", "sentence_transformer.modules.normalize.Normalize"), 8),
    ],
)
def test_modules_determine_the_length(tmp_path, names, dimensions):
    listed = modules(*names)
    write(tmp_path, config={"hidden_size": 8}, modules=listed)
    write(tmp_path, **{"1_Pooling__config": {"pooling_mode": "mean"}, "2_Dense__config": {"out_features": 3}})
    assert read_model_facts(tmp_path).get("dimensions") == dimensions


@pytest.mark.parametrize(
    ("sentence", "tokenizer", "expected"),
    [(128, 512, 128), (8192, 512, 512), (None, 64, 64), (128, 10**30, 128), (None, 10**30, 77), (None, None, 77)],
)
def test_token_limit_is_the_smaller_one(tmp_path, sentence, tokenizer, expected):
    write(
        tmp_path,
        config={"max_position_embeddings": 77},
        sentence_bert_config={"max_seq_length": sentence},
        tokenizer_config={"model_max_length": tokenizer},
    )
    assert read_model_facts(tmp_path).get("max_tokens") == expected


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"prompts": {"query": "q: ", "passage": "p: "}}, {"query": "q: ", "document": "p: "}),
        ({"prompts": {"query": "q: ", "document": "", "passage": "p: "}}, {"query": "q: ", "document": ""}),
        ({"prompts": {"query": "q: "}}, {"query": "q: "}),
        ({"prompts": {"query": "q: "}, "default_prompt_name": "query"}, {"query": "q: ", "document": "q: "}),
        ({"prompts": {"s2s": "s: "}, "default_prompt_name": "s2s"}, {"query": "s: ", "document": "s: "}),
        ({"prompts": {"query": "", "document": ""}}, None),
        ({"prompts": {"query": None, "document": "d: "}}, {"query": "", "document": "d: "}),
        ({}, None),
    ],
)
def test_prompts_are_chosen_by_kind(tmp_path, config, expected):
    write(tmp_path, config={}, config_sentence_transformers=config)
    assert read_model_facts(tmp_path).get("prompts") == expected


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({"config": {"architectures": ["BertForSequenceClassification"]}}, "reranker"),
        ({"config": {}, "modules": [], "config_sentence_transformers": {"model_type": "CrossEncoder"}}, "reranker"),
        (
            {"config": {}, "modules": [], "sentence_bert_config": {"transformer_task": "sequence-classification"}},
            "reranker",
        ),
        ({"config": {"architectures": ["BertModel"]}}, None),
        ({"config": {"architectures": ["XForSequenceClassification"]}, "modules": modules("Transformer")}, None),
    ],
)
def test_cross_encoders_are_rerankers(tmp_path, files, kind):
    assert read_model_facts(write(tmp_path, **files)).get("kind") == kind


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", "["),
        ("config.json", "[]"),
        ("modules.json", "{}"),
        ("config_sentence_transformers.json", '{"prompts": 3}'),
    ],
)
def test_damaged_file_is_named(tmp_path, name, content):
    write(tmp_path, config={})
    (tmp_path / name).write_text(content)
    with pytest.raises(ConfigurationError, match=name):
        read_model_facts(tmp_path)
