"""BGE-M3's dense, sparse and ColBERT outputs equal the reference."""

import json
import shutil

import numpy as np
import pytest

from embedstack.errors import ConfigurationError
from embedstack_server.model.model_folder import ModelFolder
from embedstack_server.model.token_heads import TokenHeads, colbert_score, sparse_score
from tests.support.graphs import compute, cosines, token_ids
from tests.support.reference_models import FOLDER, TEXTS, ReferenceModel

EMBEDDED = [TEXTS[0], TEXTS[3]]
SPECIAL = {"unk_token": "<unk>", "cls_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}


@pytest.fixture(scope="module")
def reference():
    return ReferenceModel.load("bge-m3")


@pytest.fixture(scope="module")
def folder(reference, tmp_path_factory):
    return reference.write(tmp_path_factory.mktemp("bge-m3"))


@pytest.fixture(scope="module")
def computed(folder):
    return compute(folder, EMBEDDED)


@pytest.fixture(scope="module")
def heads(folder):
    heads = ModelFolder.read(folder).heads
    assert heads is not None
    return heads


def test_dense_output_equals_the_reference(reference, computed):
    pooled, _ = computed
    assert cosines(pooled, reference.outputs["dense"]).min() > 0.999999
    unit = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
    np.testing.assert_allclose(unit, reference.outputs["dense"], atol=2e-6)


@pytest.mark.parametrize("index", range(2))
def test_sparse_output_equals_the_reference(reference, folder, computed, heads, index):
    ids = token_ids(ModelFolder.read(folder), EMBEDDED)[index]
    expected = reference.outputs[f"sparse{index}"]
    weights = heads.sparse(computed[1][index], ids)
    assert sorted(weights) == expected[:, 0].astype(int).tolist()
    np.testing.assert_allclose([weights[token] for token in sorted(weights)], expected[:, 1], atol=2e-5)


@pytest.mark.parametrize("index", range(2))
def test_colbert_output_equals_the_reference(reference, computed, heads, index):
    expected = reference.outputs[f"colbert{index}"]
    vectors = heads.colbert(computed[1][index])
    assert vectors.shape == (len(computed[1][index]) - 1, heads.dimensions) == expected.shape
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, expected, atol=2e-6)


def test_scores_equal_their_formulas():
    assert sparse_score({1: 0.5, 2: 2.0, 9: 1.0}, {2: 0.25, 1: 1.0, 7: 3.0}) == pytest.approx(1.0)
    assert sparse_score({1: 0.5}, {}) == 0
    query = np.array([[1, 0], [0, 1]], np.float32)
    passage = np.array([[0.6, 0.8], [1, 0], [-1, 0]], np.float32)
    assert colbert_score(query, passage) == pytest.approx((1 + 0.8) / 2)
    assert colbert_score(passage, query) == pytest.approx((0.8 + 1 + 0) / 3)


def test_sparse_output_excludes_special_tokens_and_negative_weights():
    heads = TokenHeads(
        (np.array([[1.0]], np.float32), np.array([0.5], np.float32)),
        (np.ones((1, 1), np.float32), np.zeros(1, np.float32)),
        frozenset({0, 2}),
    )
    hidden = np.array([[9], [1], [-0.5], [3], [2], [-7], [9]], np.float32)
    assert heads.sparse(hidden, [0, 5, 6, 5, 5, 7, 2]) == {5: 3.5}


@pytest.fixture
def heads_folder(tmp_path, folder):
    """A folder with the files of the heads, as on the Hub, without an encoder."""
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(folder / name, tmp_path)
    for name in ("sparse", "colbert"):
        shutil.copy(FOLDER / f"{name}_linear.pt", tmp_path)
    return tmp_path


def test_token_heads_read_torch_files(heads_folder):
    heads = TokenHeads.read(heads_folder, 4)
    assert heads is not None
    hidden = np.eye(4, dtype=np.float32)
    assert heads.sparse(hidden, [8, 8, 8, 8]) == {8: 4.5}
    expected = np.arange(1, 17).reshape(4, 4).T[1:] + 0.5
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(heads.colbert(hidden), expected, atol=1e-6)


def test_model_folder_without_heads_has_none(tmp_path):
    assert ModelFolder.read(ReferenceModel.load("xlm-roberta").write(tmp_path)).heads is None


def test_token_heads_reject_a_missing_file(heads_folder):
    (heads_folder / "colbert_linear.pt").unlink()
    with pytest.raises(ConfigurationError, match=r"but no colbert_linear\.pt\. Download it too"):
        TokenHeads.read(heads_folder, 4)


def test_token_heads_reject_another_hidden_size(heads_folder):
    with pytest.raises(ConfigurationError, match=r"sparse_linear\.pt: weight has shape 1 x 4, .* requires 1 x 5"):
        TokenHeads.read(heads_folder, 5)


@pytest.mark.parametrize("named", [{}, {"cls_token": "<missing>", "pad_token": "<pad>"}])
def test_token_heads_reject_unknown_special_tokens(heads_folder, named):
    (heads_folder / "tokenizer_config.json").write_text(json.dumps(named))
    with pytest.raises(ConfigurationError, match=r"special tokens .* name (<missing>, <pad>|none); "):
        TokenHeads.read(heads_folder, 4)


def test_token_heads_read_special_tokens_from_either_file(heads_folder):
    named = {role: {"content": token} for role, token in SPECIAL.items()}
    (heads_folder / "tokenizer_config.json").unlink()
    (heads_folder / "special_tokens_map.json").write_text(json.dumps(named))
    heads = TokenHeads.read(heads_folder, 4)
    assert heads is not None
    assert heads.sparse(np.ones((6, 4), np.float32), [0, 1, 2, 3, 4, 5]) == {4: 10.5, 5: 10.5}
