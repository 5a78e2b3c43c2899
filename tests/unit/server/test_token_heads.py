"""BGE-M3's dense, sparse and ColBERT outputs equal the reference's."""

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


def test_dense(reference, computed):
    pooled, _ = computed
    assert cosines(pooled, reference.answers["dense"]).min() > 0.999999
    unit = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
    np.testing.assert_allclose(unit, reference.answers["dense"], atol=2e-6)


@pytest.mark.parametrize("index", range(2))
def test_sparse(reference, folder, computed, heads, index):
    ids = token_ids(ModelFolder.read(folder), EMBEDDED)[index]
    expected = reference.answers[f"sparse{index}"]
    found = heads.sparse(computed[1][index], ids)
    assert sorted(found) == expected[:, 0].astype(int).tolist()
    np.testing.assert_allclose([found[token] for token in sorted(found)], expected[:, 1], atol=2e-5)


@pytest.mark.parametrize("index", range(2))
def test_colbert(reference, computed, heads, index):
    expected = reference.answers[f"colbert{index}"]
    found = heads.colbert(computed[1][index])
    assert found.shape == (len(computed[1][index]) - 1, heads.dimensions) == expected.shape
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_scores():
    assert sparse_score({1: 0.5, 2: 2.0, 9: 1.0}, {2: 0.25, 1: 1.0, 7: 3.0}) == pytest.approx(1.0)
    assert sparse_score({1: 0.5}, {}) == 0
    query = np.array([[1, 0], [0, 1]], np.float32)
    passage = np.array([[0.6, 0.8], [1, 0], [-1, 0]], np.float32)
    assert colbert_score(query, passage) == pytest.approx((1 + 0.8) / 2)
    assert colbert_score(passage, query) == pytest.approx((0.8 + 1 + 0) / 3)


def test_special_tokens_and_weights_below_zero_are_left_out():
    heads = TokenHeads(
        (np.array([[1.0]], np.float32), np.array([0.5], np.float32)),
        (np.ones((1, 1), np.float32), np.zeros(1, np.float32)),
        frozenset({0, 2}),
    )
    hidden = np.array([[9], [1], [-0.5], [3], [2], [-7], [9]], np.float32)
    assert heads.sparse(hidden, [0, 5, 6, 5, 5, 7, 2]) == {5: 3.5}


@pytest.fixture
def heads_folder(tmp_path, folder):
    """A folder with what the heads are read from, as on the Hub, and no encoder."""
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(folder / name, tmp_path)
    for name in ("sparse", "colbert"):
        shutil.copy(FOLDER / f"{name}_linear.pt", tmp_path)
    return tmp_path


def test_heads_are_read_from_torch_files(heads_folder):
    heads = TokenHeads.read(heads_folder, 4)
    assert heads is not None
    hidden = np.eye(4, dtype=np.float32)
    assert heads.sparse(hidden, [8, 8, 8, 8]) == {8: 4.5}
    expected = np.arange(1, 17).reshape(4, 4).T[1:] + 0.5
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(heads.colbert(hidden), expected, atol=1e-6)


def test_a_model_without_heads_has_none(tmp_path):
    assert ModelFolder.read(ReferenceModel.load("xlm-roberta").write(tmp_path)).heads is None


def test_one_head_without_the_other_is_refused(heads_folder):
    (heads_folder / "colbert_linear.pt").unlink()
    with pytest.raises(ConfigurationError, match=r"but no colbert_linear\.pt\. Fetch it too"):
        TokenHeads.read(heads_folder, 4)


def test_heads_of_another_width_are_refused(heads_folder):
    with pytest.raises(ConfigurationError, match=r"sparse_linear\.pt: weight has shape 1 x 4, .* wants 1 x 5"):
        TokenHeads.read(heads_folder, 5)


@pytest.mark.parametrize("named", [{}, {"cls_token": "<missing>", "pad_token": "<pad>"}])
def test_special_tokens_that_cannot_be_told_are_an_error(heads_folder, named):
    (heads_folder / "tokenizer_config.json").write_text(json.dumps(named))
    with pytest.raises(ConfigurationError, match=r"has not all of these|they name none"):
        TokenHeads.read(heads_folder, 4)


def test_special_tokens_may_be_named_by_either_file(heads_folder):
    named = {role: {"content": token} for role, token in SPECIAL.items()}
    (heads_folder / "tokenizer_config.json").unlink()
    (heads_folder / "special_tokens_map.json").write_text(json.dumps(named))
    heads = TokenHeads.read(heads_folder, 4)
    assert heads is not None
    assert heads.sparse(np.ones((6, 4), np.float32), [0, 1, 2, 3, 4, 5]) == {4: 10.5, 5: 10.5}
