"""Static embeddings equal sentence-transformers and model2vec, whichever library defines the model."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from embedstack.errors import ConfigurationError, InputError, TextTooLong
from embedstack.models.archives import extract_tar_gz
from embedstack_server import packaging
from embedstack_server.compute.encoder import Encoder
from embedstack_server.model.embedding_folder import read_embedding_folder
from embedstack_server.model.static_folder import StaticFolder, is_static
from tests.support.reference_models import FOLDER, SHARP_TEXTS, ReferenceModel
from tests.support.static_models import STATIC_MODELS, STATIC_TEXTS, write_static_model


def load(folder: Path, name: str, **options: Any) -> Encoder:
    return Encoder.load(write_static_model(folder, name), **options)


def change(folder: Path, name: str, **changes: object) -> None:
    config = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps({**config, **changes}))


@pytest.mark.parametrize("name", STATIC_MODELS)
def test_static_embeddings_equal_the_library_that_defines_them(tmp_path, name):
    encoder = load(tmp_path, name)
    vectors = encoder.encode(STATIC_TEXTS).vectors(normalize=encoder.model.normalize)
    # model2vec rounds vectors of a float16 table to float16.
    tolerance = 2e-3 if name == "model2vec-quantized" else 1e-6
    with np.load(FOLDER / "static.npz") as expected:
        np.testing.assert_allclose(vectors, expected[name], atol=tolerance)
    encoder.close()


def test_static_embeddings_of_the_two_libraries_differ_for_unknown_words(tmp_path):
    """The reference tells the libraries apart: only model2vec leaves unknown words out."""
    write_static_model(tmp_path, "model2vec")
    modules = [{"idx": 0, "name": "0", "path": ".", "type": "sentence_transformers.models.StaticEmbedding"}]
    as_model2vec = Encoder.load(tmp_path).encode(STATIC_TEXTS[:2]).vectors()
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    as_st = Encoder.load(tmp_path).encode(STATIC_TEXTS[:2]).vectors()
    cosines = (as_model2vec * as_st).sum(axis=1)
    assert cosines[0] < 0.95
    assert cosines[1] > 0.999999


def test_static_vectors_are_independent_of_their_batch(tmp_path):
    encoder = load(tmp_path, "st-quantized")
    together = encoder.encode(STATIC_TEXTS).vectors(normalize=False)
    alone = np.stack([encoder.encode([text]).vectors(normalize=False)[0] for text in STATIC_TEXTS])
    np.testing.assert_array_equal(together, alone)
    concurrent = asyncio.run(encoder.aencode(STATIC_TEXTS))
    np.testing.assert_array_equal(concurrent.vectors(normalize=False), together)
    encoder.close()


def test_static_model_reads_a_text_of_many_steps(tmp_path):
    encoder = load(tmp_path, "st-quantized")
    whole = encoder.encode([" ".join(SHARP_TEXTS[:1] * 20)], truncate=False)
    once = encoder.encode(SHARP_TEXTS[:1])
    assert whole.tokens == 20 * once.tokens == 12_800
    np.testing.assert_allclose(whole.vectors(), once.vectors(), atol=1e-5)
    encoder.close()


def test_static_model_describes_itself(tmp_path):
    model = load(tmp_path, "st").model
    assert (model.dimensions, model.pooling, model.normalize, model.kind) == (16, "mean", True, "embedding")
    assert model.prompts == {"query": "w5 w6 "}
    assert (model.matryoshka_dimensions, model.heads) == ((), None)


def test_static_model_applies_a_prompt(tmp_path):
    encoder = load(tmp_path, "st")
    with_prompt = encoder.encode(["w1"], prompt_name="query").vectors()
    np.testing.assert_array_equal(with_prompt, encoder.encode(["w5 w6 w1"]).vectors())
    encoder.close()


def test_static_token_vectors_are_the_rows_of_the_tokens(tmp_path):
    encoder = load(tmp_path, "st")
    encoded = encoder.encode(["w1 w2"], hidden_hook=lambda _, hidden: hidden.copy())
    rows = load_file(tmp_path / "0_StaticEmbedding/model.safetensors")["embedding.weight"]
    np.testing.assert_array_equal(encoded.derived[0], rows[encoded.ids[0]])
    encoder.close()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("st", "[PAD] [PAD]", "Text 1 has no token with a vector"),
        ("model2vec", "zzz qqq", "Text 1 has no token with a vector"),
        ("model2vec", "", "Text 1 is empty"),
        ("st", "  ", "Text 1 has no tokens: it is blank"),
    ],
)
def test_static_model_rejects_a_text_without_a_vector(tmp_path, name, text, message):
    encoder = load(tmp_path, name)
    with pytest.raises(InputError, match=message):
        encoder.encode(["w1", text])
    encoder.close()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("model2vec", SHARP_TEXTS[0], r"Text 1 has \d+ characters; the model reads 1536"),
        ("model2vec", "w " * 600, r"Text 1 has 600 tokens; the model reads 512"),
        ("st-limited", SHARP_TEXTS[1], r"Text 1 has 200 tokens; the model reads 100"),
    ],
)
def test_static_model_rejects_a_text_over_its_limit(tmp_path, name, text, message):
    encoder = load(tmp_path, name)
    with pytest.raises(TextTooLong, match=message):
        encoder.encode(["w1", text], truncate=False)
    encoder.close()


def test_static_model_truncates_on_either_side(tmp_path):
    encoder = load(tmp_path, "model2vec")
    long = SHARP_TEXTS[0]
    assert encoder.encode([long]).ids == encoder.encode([long[:1536]]).ids
    assert encoder.encode([long], direction="left").ids == encoder.encode([long[-1536:]]).ids
    encoder.close()


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_static_model_rejects_other_precisions(tmp_path, precision):
    with pytest.raises(ConfigurationError, match=f"computed in fp32, not {precision}"):
        load(tmp_path, "st", precision=precision)


def test_static_folder_is_recognized(tmp_path):
    for name in STATIC_MODELS:
        folder = write_static_model(tmp_path / name, name)
        assert is_static(folder)
        assert isinstance(read_embedding_folder(folder), StaticFolder)
    bert = tmp_path / "bert"
    bert.mkdir()
    assert not is_static(ReferenceModel.load("bert").write(bert))


def test_static_folder_rejects_damaged_files(tmp_path):
    folder = write_static_model(tmp_path, "model2vec-quantized")
    tensors = load_file(folder / "model.safetensors")

    def reject(message: str, **changes: Any) -> None:
        save_file({**tensors, **changes}, folder / "model.safetensors")
        with pytest.raises(ConfigurationError, match=message):
            Encoder.load(folder)

    reject("mapping has rows 1 to 99, but embeddings has 20 rows", mapping=np.r_[tensors["mapping"][:-1], 99])
    reject("mapping does not contain integers", mapping=tensors["weights"])
    reject("weights has shape 3, but .* requires 64", weights=np.ones(3, np.float32))
    reject("has 64 tokens, but the model has vectors for 9", mapping=tensors["mapping"][:9], weights=np.ones(9))
    reject("embeddings contains NaN", embeddings=np.full((20, 16), np.nan, np.float32))
    save_file({"other": np.ones(3, np.float32)}, folder / "model.safetensors")
    with pytest.raises(ConfigurationError, match="has no tensor embeddings"):
        Encoder.load(folder)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ConfigurationError, match=r"has no tokenizer.json, which static embeddings need"):
        Encoder.load(folder)


def test_static_folder_rejects_unsupported_settings(tmp_path):
    folder = write_static_model(tmp_path / "st", "st")
    modules = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps([*modules, {"path": "2_Dense", "type": "x.Dense"}]))
    with pytest.raises(ConfigurationError, match="the module Dense after static embeddings is not supported"):
        Encoder.load(folder)
    (folder / "modules.json").write_text(json.dumps(modules))
    change(folder, "config_sentence_transformers.json", truncate_dim=8)
    with pytest.raises(ConfigurationError, match="cuts vectors to 8"):
        Encoder.load(folder)
    folder = write_static_model(tmp_path / "model2vec", "model2vec")
    change(folder, "config.json", max_length="long")
    with pytest.raises(ConfigurationError, match="max_length is 'long'"):
        Encoder.load(folder)


def test_static_model_is_packaged_with_its_tokenizer(tmp_path, monkeypatch):
    monkeypatch.setattr(packaging, "_VENDORED", ())
    monkeypatch.setattr(packaging, "_download", lambda python: ())
    folder, target = write_static_model(tmp_path / "model", "st"), tmp_path / "model.tar.gz"
    package = packaging.make_package(folder, target, model_id="test/static", python=sys.version[:4])
    assert package.manifest.cosine == 1
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    with target.open("rb") as archive:
        extract_tar_gz(archive, unpacked, packaging.MAX_UNPACKED_BYTES)
    encoder = Encoder.load(unpacked)
    with np.load(FOLDER / "static.npz") as expected:
        np.testing.assert_allclose(encoder.encode(STATIC_TEXTS).vectors(), expected["st"], atol=1e-6)
    encoder.close()
