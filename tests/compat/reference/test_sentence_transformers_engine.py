"""Architectures that sentence-transformers runs: equal vectors, and the same contract as for other models.

Runs in the reference environment (`make test-compat`), on random weights.
"""

import asyncio
import json

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Transformer
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoConfig, AutoModel, PreTrainedTokenizerFast, T5EncoderModel

from embedstack.errors import ConfigurationError, InputError, NonFiniteVector, TextTooLong
from embedstack_server.compute import sentence_transformers_engine as engine
from embedstack_server.compute.encoder import Encoder
from embedstack_server.http.protocol import EmbedProtocol, Invocation
from embedstack_server.http.requests import RequestError

LONGEST = 48
SPECIALS = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "eos_token": "[SEP]"}
WORDS = ["the", "cat", "sat", "on", "mat", "dog", "ran", "far"]
TEXTS = ["the cat sat on the mat", "dog", "the dog ran far far far", "unheard words count too", "cat " * 80]
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
# An encoder, a decoder with last-token pooling, and an encoder without a position limit.
ARCHITECTURES = {
    "modernbert": ({**SMALL, "max_position_embeddings": 64}, ("mean", "cls")),
    "apertus": ({**SMALL, "num_key_value_heads": 2, "max_position_embeddings": 64}, ("lasttoken",)),
    "t5": ({"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}, ("mean", "max")),
}


def make_model(folder, name, pooling, *, normalize=True, dense=False):
    torch.manual_seed(7)
    words = {word: index for index, word in enumerate([*SPECIALS.values(), *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(words, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]", None, [("[CLS]", words["[CLS]"]), ("[SEP]", words["[SEP]"])]
    )
    ids = {"pad_token_id": 0, "bos_token_id": 2, "cls_token_id": 2, "eos_token_id": 3, "sep_token_id": 3}
    config = AutoConfig.for_model(name, vocab_size=len(words), **ids, **ARCHITECTURES[name][0])
    encoder = T5EncoderModel(config) if name == "t5" else AutoModel.from_config(config)
    encoder.save_pretrained(folder / "encoder")
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **SPECIALS).save_pretrained(folder / "encoder")
    modules = [Transformer(str(folder / "encoder"), max_seq_length=LONGEST), Pooling(32, pooling)]
    if dense:
        modules.append(Dense(32, 12))
    if normalize:
        modules.append(Normalize())
    model = SentenceTransformer(modules=modules, prompts={"query": "the "}, device="cpu")
    model.save(str(folder / "model"))
    return folder / "model", model


@pytest.fixture(scope="module")
def modernbert(tmp_path_factory):
    folder, model = make_model(tmp_path_factory.mktemp("modernbert"), "modernbert", "mean")
    encoder = Encoder.load(folder, model_id="test/modernbert", device="cpu:0")
    yield encoder, model
    encoder.close()


def expected(model, texts):
    # One text at a time: without padding, a vector depends on its text only.
    return np.stack([model.encode(text, show_progress_bar=False) for text in texts])


@pytest.mark.parametrize(
    ("name", "pooling"), [(name, pooling) for name, (_, poolings) in ARCHITECTURES.items() for pooling in poolings]
)
def test_encoder_on_torch_equals_sentence_transformers(tmp_path, name, pooling):
    folder, model = make_model(tmp_path, name, pooling, normalize=False)
    encoder = Encoder.load(folder, device="cpu:0")
    encoded = encoder.encode(TEXTS)
    np.testing.assert_allclose(encoded.vectors(normalize=False), expected(model, TEXTS), atol=1e-5)
    assert [len(ids) for ids in encoded.ids] == [8, 3, 8, 6, LONGEST]
    assert encoder.model.pooling == pooling
    assert encoder.precision == "fp32"
    encoder.close()


def test_encoder_on_torch_normalizes_on_request(modernbert):
    encoder, model = modernbert
    assert encoder.model.normalize
    encoded = encoder.encode(TEXTS)
    np.testing.assert_allclose(encoded.vectors(), expected(model, TEXTS), atol=1e-6)
    assert np.abs(np.linalg.norm(encoded.vectors(normalize=False), axis=1) - 1).min() > 0.01


def test_encoder_on_torch_applies_a_dense_module(tmp_path):
    folder, model = make_model(tmp_path, "modernbert", "mean", dense=True)
    encoder = Encoder.load(folder, device="cpu:0", batch_size=1)
    assert encoder.model.dimensions == 12
    np.testing.assert_allclose(encoder.encode(TEXTS).vectors(), expected(model, TEXTS), atol=1e-6)
    encoder.close()


def test_encoder_on_torch_returns_token_vectors(modernbert):
    encoder, model = modernbert
    token_vectors = encoder.encode(TEXTS, hidden_hook=lambda _, states: states.copy()).derived
    for states, text in zip(token_vectors, TEXTS, strict=True):
        reference = model.encode(text, output_value="token_embeddings", show_progress_bar=False).numpy()
        np.testing.assert_allclose(states, reference, atol=1e-5)


def test_engine_copies_token_vectors_only_on_request(modernbert, monkeypatch):
    encoder, _ = modernbert
    copied = []
    copy = engine._array

    def counted(tensor):
        copied.append(tuple(tensor.shape))
        return copy(tensor)

    monkeypatch.setattr(engine, "_array", counted)
    encoder.encode(TEXTS)
    assert sum(rows for rows, _ in copied) == len(TEXTS)
    copied.clear()
    encoder.encode(TEXTS, hidden_hook=lambda _, states: None)
    assert sum(rows for rows, _ in copied) > len(TEXTS)


def test_engine_disables_cudnn_attention(modernbert):
    """cuDNN attention is disabled only while a batch is computed."""
    encoder, _ = modernbert
    enabled = []
    hook = encoder.model.module[0].register_forward_pre_hook(
        lambda *_: enabled.append(torch.backends.cuda.cudnn_sdp_enabled())
    )
    encoder.encode(TEXTS)
    hook.remove()
    assert set(enabled) == {False}
    assert torch.backends.cuda.cudnn_sdp_enabled()


def test_encoder_on_torch_applies_the_limits(modernbert):
    encoder, _ = modernbert
    with pytest.raises(TextTooLong, match=f"Text 1 has 82 tokens; the model reads {LONGEST}"):
        encoder.encode(["cat", TEXTS[-1]], truncate=False)
    with pytest.raises(InputError, match="Text 0 is empty"):
        encoder.encode([""])


def test_protocol_supports_models_on_torch(modernbert):
    encoder, model = modernbert

    def respond(**payload):
        invocation = Invocation(json.dumps(payload).encode())
        return json.loads(asyncio.run(EmbedProtocol().respond(encoder, invocation)).body)

    np.testing.assert_allclose(respond(inputs=TEXTS, truncate=True), expected(model, TEXTS), atol=1e-6)
    np.testing.assert_allclose(respond(inputs="cat", prompt_name="query"), expected(model, ["the cat"]), atol=1e-6)
    spans = respond(inputs=TEXTS[0], spans=[[[4, 7], [0, 22]]])["spans"]
    assert np.asarray(spans).shape == (1, 2, 32)
    for payload in ({"outputs": ["sparse"]}, {"pooling": "cls"}):
        with pytest.raises(RequestError, match=r"no output sparse|mean pooling, not cls"):
            respond(inputs="cat", **payload)


def test_encoder_on_torch_raises_for_a_non_finite_vector(tmp_path):
    folder, model = make_model(tmp_path, "modernbert", "mean")
    with torch.no_grad():
        next(model[0].model.parameters())[5] = np.nan
    model.save(str(folder))
    encoder = Encoder.load(folder, device="cpu:0")
    with pytest.raises(NonFiniteVector, match="text 1"):
        encoder.encode(["dog", "cat"])
    encoder.close()


def test_encoder_rejects_an_unknown_device(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot load it"):
        Encoder.load(make_model(tmp_path, "modernbert", "mean")[0], device="no-such-device")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "tokenizer.json").unlink(), "has no tokenizer.json"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"no weights"), "cannot load it"),
    ],
)
def test_encoder_on_torch_rejects_a_damaged_folder(tmp_path, damage, message):
    folder, _ = make_model(tmp_path, "modernbert", "mean")
    damage(folder)
    with pytest.raises(ConfigurationError, match=message):
        Encoder.load(folder, device="cpu:0")


def test_encoder_on_torch_rejects_int8(tmp_path):
    folder, _ = make_model(tmp_path, "modernbert", "mean")
    with pytest.raises(ConfigurationError, match="not int8"):
        Encoder.load(folder, device="cpu:0", precision="int8")


@pytest.mark.parametrize(("least_cosine", "precision"), [(0.99, "bf16"), (1.1, "fp32")])
def test_encoder_on_torch_uses_bf16_if_it_is_accurate(tmp_path, monkeypatch, least_cosine, precision):
    folder, model = make_model(tmp_path, "modernbert", "mean")
    monkeypatch.setattr(engine, "_has_bf16", lambda device: device.type == "cpu")  # torch computes it, if slowly
    monkeypatch.setattr(engine, "_LEAST_COSINE", least_cosine)
    encoder = Encoder.load(folder, device="cpu:0")
    assert encoder.precision == precision
    cosines = (encoder.encode(TEXTS).vectors() * expected(model, TEXTS)).sum(axis=1)
    assert cosines.min() > (0.99999 if precision == "fp32" else 0.99)
    encoder.close()


@pytest.mark.parametrize("pooling", ["weightedmean", ("mean", "max")], ids=str)
def test_other_poolings_of_built_in_architectures_run_with_torch(tmp_path, pooling):
    folder, model = make_model(tmp_path, "modernbert", pooling)
    encoder = Encoder.load(folder, precision="fp32")
    np.testing.assert_allclose(encoder.encode(TEXTS).vectors(), expected(model, TEXTS), atol=1e-5)
    encoder.close()
