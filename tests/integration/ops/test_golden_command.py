"""``embedstack golden`` computes golden vectors of a model on this machine, and ``validate`` finds them."""

import numpy as np
import pytest
from click.testing import CliRunner

from conftest import MINILM
from embedstack.errors import ConfigurationError
from embedstack.models.golden import Golden, golden_texts
from embedstack_ops.cli import golden
from tests.support.golden import minilm_golden, stored_golden
from tests.support.reference_models import ReferenceModel


def run(*arguments, models_dir):
    return CliRunner().invoke(golden.main, arguments, env={"EMBEDSTACK_MODELS_DIR": str(models_dir)})


def test_golden_command_equals_the_built_in_vectors(tmp_path, minilm_folder):
    result = run(MINILM, "--folder", str(minilm_folder), models_dir=tmp_path)
    assert result.exit_code == 0, result.output
    assert "66 vectors of 384 dimensions by the built-in encoder in float32" in result.output
    stored = stored_golden(MINILM, tmp_path)
    assert (stored.vectors * minilm_golden()).sum(axis=1).min() > 0.9999
    assert stored.reference != stored_golden(MINILM).reference


def test_golden_command_applies_the_prompt_for_documents(tmp_path):
    model = "intfloat/multilingual-e5-small"
    ReferenceModel.load("bert").write(tmp_path / model)
    assert run(model, models_dir=tmp_path).exit_code == 0
    default = stored_golden(model, tmp_path)
    assert default.prompt == "passage: "
    assert run(model, "--prompt", "", models_dir=tmp_path).exit_code == 0
    bare = stored_golden(model, tmp_path)
    assert bare.vectors.shape == (len(golden_texts()), 32)
    assert not np.allclose(bare.vectors, default.vectors)


def test_golden_command_names_a_model_that_is_nowhere(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    result = run("nobody/no-model", models_dir=tmp_path)
    assert result.exit_code == 2
    assert "nobody/no-model cannot be downloaded" in result.output
    assert "--folder" in result.output


def test_damaged_golden_vectors_are_rejected(tmp_path):
    file = tmp_path / "golden" / "my--model.npz"
    file.parent.mkdir()
    file.write_bytes(b"PK")
    with pytest.raises(ConfigurationError, match="embedstack golden"):
        Golden.find("my/model", tmp_path)
