"""Scores equal sentence-transformers' CrossEncoder; unusable models and inputs are rejected with the reason."""

import asyncio
import json
import logging
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from embedstack.errors import ConfigurationError, InputError, NonFiniteVector, PayloadTooLarge, TextTooLong
from embedstack_server.compute.cross_encoder import CrossEncoder
from embedstack_server.compute.encoder import Encoder
from embedstack_server.compute.loading import load_model
from embedstack_server.model.cross_encoder_folder import CrossEncoderFolder
from tests.support.reference_models import LONGEST, PAIRS, ReferenceModel
from tests.support.tiny_bert import write_model

MODELS = (
    "bert", "bert-untyped", "camembert", "distilbert", "electra", "gte", "modernbert", "modernbert-biases", "mpnet",
    "roberta", "xlm-roberta",
)  # fmt: skip


@pytest.fixture(scope="module", params=MODELS)
def reference(request, tmp_path_factory):
    """A loaded model with its reference outputs."""
    stored = ReferenceModel.load(f"cross-{request.param}")
    folder = stored.write(tmp_path_factory.mktemp(request.param))
    return CrossEncoder.load(folder, precision="fp32"), stored.outputs


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    folder = ReferenceModel.load("cross-bert").write(tmp_path_factory.mktemp("bert"))
    return CrossEncoder.load(folder, precision="fp32")


def write(name: str, folder: Path) -> Path:
    return ReferenceModel.load(f"cross-{name}").write(folder)


def logits(model: CrossEncoder, pairs=PAIRS, **options) -> np.ndarray:
    """The logits of pairs, each scored alone."""
    return np.concatenate([model.score(query, [text], **options).values(raw=True) for query, text in pairs])


@pytest.mark.parametrize("direction", ["right", "left"])
def test_logits_equal_the_reference(reference, direction):
    model, outputs = reference
    np.testing.assert_allclose(logits(model, direction=direction), outputs[direction], atol=5e-5)


def test_truncation_directions_have_different_references(reference):
    _, outputs = reference
    assert np.abs(outputs["right"] - outputs["left"])[-4:].max() > 1e-3


def test_scores_equal_the_reference_with_the_models_activation(reference):
    model, outputs = reference
    scores = np.concatenate([model.score(query, [text]).values() for query, text in PAIRS])
    np.testing.assert_allclose(scores, outputs["scores"], atol=5e-5)


def test_batched_scores_equal_single_ones(reference):
    model, _ = reference
    texts = [text for _, text in PAIRS]
    alone = logits(model, [("cat sat", text) for text in texts])
    np.testing.assert_allclose(model.score("cat sat", texts).values(raw=True), alone, atol=5e-5)
    backwards = model.score("cat sat", texts[::-1]).values(raw=True)
    np.testing.assert_allclose(backwards[::-1], alone, atol=5e-5)


def test_swapping_query_and_text_changes_the_score(reference):
    model, _ = reference
    pairs = [("cat sat", "the dog ran far"), ("the dog ran far", "cat sat")]
    assert abs(np.diff(logits(model, pairs))[0]) > 1e-3


@pytest.mark.parametrize("name", ["bert", "electra", "gte"])
def test_token_types_are_part_of_the_score(tmp_path, name):
    folder = write(name, tmp_path)
    tokenizer = json.loads((folder / "tokenizer_config.json").read_text())
    tokenizer["model_input_names"] = ["input_ids", "attention_mask"]
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    model = CrossEncoder.load(folder, precision="fp32")
    assert np.abs(logits(model) - ReferenceModel.load(f"cross-{name}").outputs["right"]).max() > 1e-2


@pytest.mark.parametrize(
    ("tokenizer", "typed"),
    [
        ({"tokenizer_class": "BertTokenizerFast"}, True),
        ({"tokenizer_class": "ElectraTokenizer"}, True),
        ({"tokenizer_class": "PreTrainedTokenizerFast"}, False),
        ({"tokenizer_class": "TokenizersBackend"}, False),
        ({"tokenizer_class": "BertTokenizer", "model_input_names": ["input_ids", "attention_mask"]}, False),
        ({}, True),
    ],
)
def test_token_types_are_those_that_transformers_passes(tmp_path, tokenizer, typed):
    folder = write("bert-untyped", tmp_path)
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    assert CrossEncoderFolder.read(folder).reads_token_types == typed


def test_untruncated_pair_over_the_limit_is_rejected_with_its_index(bert):
    fitting, long = " ".join(["cat"] * (LONGEST - 5)), " ".join(["cat"] * (LONGEST - 4))
    assert bert.score("the dog", [fitting], truncate=False).tokens == LONGEST
    with pytest.raises(
        TextTooLong, match=f"Text 1 and the query have at least {LONGEST + 1} tokens; .* {LONGEST}"
    ) as caught:
        bert.score("the dog", ["cat", long], truncate=False)
    assert caught.value.index == 1
    with pytest.raises(TextTooLong, match=r"The query has at least .* Shorten it") as caught:
        bert.score(f"{long} cat", ["cat"], truncate=False)
    assert caught.value.index is None


def test_huge_query_and_text_are_truncated(bert):
    huge = "the cat sat, " * 200_000
    pairs = [("the cat sat, " * LONGEST, "the cat sat, " * LONGEST)]
    for direction in ("right", "left"):
        expected = logits(bert, pairs, direction=direction)
        np.testing.assert_array_equal(bert.score(huge, [huge], direction=direction).values(raw=True), expected)


@pytest.mark.parametrize(
    ("query", "texts", "message", "index"),
    [
        ("", ["cat"], "The query is empty", None),
        ("cat", ["cat", ""], "Text 1 is empty", 1),
        ("\ud800", ["cat"], "The query is not valid Unicode", None),
        ("cat", ["cat", "\ud800"], "Text 1 is not valid Unicode", 1),
    ],
)
def test_unusable_input_is_rejected_with_its_index(bert, query, texts, message, index):
    with pytest.raises(InputError, match=message) as caught:
        bert.score(query, texts)
    assert caught.value.index == index


def test_blank_text_has_a_finite_score(bert):
    assert np.isfinite(bert.score("cat", [" "]).values()).all()


def test_no_texts_have_no_scores(bert):
    scores = bert.score("cat", [])
    assert (scores.values().shape, scores.tokens) == ((0,), 0)


def test_total_tokens_are_limited(bert):
    assert bert.score("cat", ["dog", "dog"], most_tokens=10).tokens == 10
    with pytest.raises(PayloadTooLarge, match="more than 9 tokens"):
        bert.score("cat", ["dog", "dog"], most_tokens=9)


def test_concurrent_scores_equal_sequential_ones(bert):
    async def score_all():
        return await asyncio.gather(*(bert.ascore(query, [text, "dog"]) for query, text in PAIRS))

    concurrent = np.array([scores.values(raw=True)[0] for scores in asyncio.run(score_all())])
    np.testing.assert_allclose(concurrent, logits(bert), atol=5e-5)


def test_non_finite_score_is_an_error(tmp_path):
    folder = write("bert", tmp_path)
    tensors = load_file(folder / "model.safetensors")
    # Each product is finite, and their sum is not.
    tensors["bert.pooler.dense.bias"][:2] = [100, -100]
    tensors["classifier.weight"][0, :2] = [3e38, -3e38]
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(NonFiniteVector, match="non-finite score for text 0"):
        CrossEncoder.load(folder, precision="fp32").score("cat", ["the cat sat"])


def test_saturated_scores_keep_their_order_in_the_logits(tmp_path):
    folder = write("bert", tmp_path)
    tensors = load_file(folder / "model.safetensors")
    tensors["classifier.bias"][:] = 40
    save_file(tensors, folder / "model.safetensors")
    for precision in ("fp32", "auto"):
        scores = CrossEncoder.load(folder, precision=precision).score("cat sat", [text for _, text in PAIRS[:6]])
        assert (scores.values() == 1).all()
        assert len(set(scores.values(raw=True).tolist())) == 6


@pytest.mark.parametrize("precision", ["auto", "int8"])
def test_lower_precision_stays_near_the_reference(tmp_path, precision):
    model = CrossEncoder.load(write("xlm-roberta", tmp_path), precision=precision)
    expected = ReferenceModel.load("cross-xlm-roberta").outputs["right"]
    assert np.corrcoef(logits(model), expected)[0, 1] > 0.99


@pytest.mark.parametrize(
    ("settings", "activation", "warned"),
    [
        ({}, "Sigmoid", False),
        ({"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"}}, "Identity", False),
        ({"sentence_transformers": {"activation_fn": None}}, "Sigmoid", False),
        ({"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"}, "Identity", False),
        ({"sbert_ce_default_activation_function": "torch.nn.modules.activation.Tanh"}, "Tanh", False),
        ({"sbert_ce_default_activation_function": "torchbearer.Identity"}, "Sigmoid", True),
        ({"sentence_transformers": {"activation_fn": "os.system"}}, "Sigmoid", True),
    ],
)
def test_activation_is_the_configured_one_of_torch(tmp_path, caplog, settings, activation, warned):
    folder = write("camembert", tmp_path)
    change(folder, "config.json", **settings)
    with caplog.at_level(logging.WARNING):
        assert CrossEncoderFolder.read(folder).activation == activation
    assert bool(caplog.records) == warned


def test_default_prompt_is_prepended_to_the_query(tmp_path):
    folder = write("bert", tmp_path)
    plain = CrossEncoder.load(folder, precision="fp32").score("the cat sat", ["dog"])
    change(folder, "config_sentence_transformers.json", prompts={"search": "the "}, default_prompt_name="search")
    prompted = CrossEncoder.load(folder, precision="fp32").score("cat sat", ["dog"])
    np.testing.assert_array_equal(prompted.logits, plain.logits)


def change(folder: Path, name: str, **changes: object) -> None:
    document = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps({**document, **changes}))


def _changing(name: str, **changes: object):
    return lambda folder: change(folder, name, **changes)


def _changing_tensor(name: str, shape: tuple[int, ...] | None):
    def damage(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        del tensors[name]
        if shape:
            tensors[name] = np.zeros(shape, np.float32)
        save_file(tensors, folder / "model.safetensors")

    return damage


def _changing_pad_token(folder: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json", "config.json"):
        (folder / name).write_text((folder / name).read_text().replace("[PAD]", "[UNUSED]"))
    change(folder, "tokenizer_config.json", pad_token=None)
    change(folder, "tokenizer.json", padding=None)


def _without_pairs(folder: Path) -> None:
    template = json.loads((folder / "tokenizer.json").read_text())["post_processor"]
    template["pair"] = [{"Sequence": {"id": name, "type_id": 0}} for name in ("B", "A")]
    change(folder, "tokenizer.json", post_processor=template)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_changing("config.json", id2label={"0": "a", "1": "b", "2": "c"}), "a classifier with 3 labels"),
        (_changing("config.json", num_labels=2), "num_labels is 2, but id2label has 1 labels"),
        (_changing("config.json", id2label=None), "a classifier with 2 labels"),
        (
            _changing("config.json", model_type="deberta-v2"),
            "'deberta-v2' is not supported.* Text Embeddings Inference",
        ),
        (_changing("config_sentence_transformers.json", activation_fn="torch.nn.Softmax"), "Softmax of scores is not"),
        (_changing("tokenizer_config.json", model_max_length=4), "leaves no room for a query and a text"),
        (_changing_tensor("classifier.weight", None), "has no tensor classifier.weight"),
        (_changing_tensor("bert.pooler.dense.weight", None), "has no tensor pooler.dense.weight"),
        (_changing_tensor("classifier.weight", (2, 32)), "classifier.weight has shape 2 x 32, .* requires 1 x 32"),
        (
            _changing_tensor("bert.embeddings.token_type_embeddings.weight", (1, 32)),
            "has shape 1 x 32, .* requires 2 x 32",
        ),
        (_changing("config.json", type_vocab_size=1), "token types up to 1, but the model has only 1"),
        (_changing_pad_token, "the tokenizer has no padding token"),
        (_without_pairs, "does not combine a query and a text"),
    ],
)
def test_unusable_cross_encoder_is_rejected_with_the_reason(tmp_path, damage, message):
    damage(write("bert", tmp_path))
    with pytest.raises(ConfigurationError, match=message):
        load_model(tmp_path)


def test_load_model_chooses_by_the_folder(tmp_path):
    embedding = load_model(write_model(tmp_path / "embedding"))
    reranker = load_model(write("roberta", tmp_path / "reranker"), model_id="test/reranker")
    assert (embedding.model.kind, type(embedding)) == ("embedding", Encoder)
    assert (reranker.model.kind, type(reranker), reranker.model.model_id) == ("reranker", CrossEncoder, "test/reranker")


@pytest.mark.parametrize("name", ["bert", "camembert"])
def test_cross_encoder_does_not_load_as_an_embedding_model(tmp_path, name):
    with pytest.raises(ConfigurationError, match=r"is a cross-encoder, .* computes no embeddings"):
        Encoder.load(write(name, tmp_path))


def test_embedding_model_does_not_load_as_a_cross_encoder(tmp_path):
    with pytest.raises(ConfigurationError, match="is an embedding model, which does not score pairs"):
        CrossEncoder.load(write_model(tmp_path))


def test_modules_other_than_a_classifier_are_rejected(tmp_path):
    folder = write("bert", tmp_path)
    modules = json.loads((folder / "modules.json").read_text())
    modules.append({"idx": 1, "name": "1", "path": "1_LogitScore", "type": "x.logit_score.LogitScore"})
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(ConfigurationError, match="modules Transformer, LogitScore are not supported"):
        CrossEncoder.load(folder)


def test_load_model_refuses_a_cross_encoder_on_a_gpu(tmp_path):
    with pytest.raises(ConfigurationError, match="cross-encoder, which cannot run on cuda"):
        load_model(write("bert", tmp_path), device="cuda")


def test_load_model_passes_the_device_to_the_encoder(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ConfigurationError, match=r"cannot run on cuda .* pip install 'embedstack\[torch\]'"):
        load_model(write_model(tmp_path), device="cuda")
