"""Models in the Hugging Face Hub's cache."""

import huggingface_hub.constants
import pytest

from embedstack.errors import ConfigurationError
from embedstack.models.local_files import find_model_folder, require_model_folder

MODEL = "an-org/a-model"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A function that puts files into the cache as commit ``c1`` of branch ``main``."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--an-org--a-model"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("c1")
    snapshot = repository / "snapshots" / "c1"
    snapshot.mkdir(parents=True)

    def add(*names):
        for name in names:
            (snapshot / name).write_text("{}")
        return snapshot

    return add


def test_model_is_found_in_the_hub_cache(cache, tmp_path):
    snapshot = cache("config.json", "model.safetensors")
    assert find_model_folder(MODEL, tmp_path / "models") == snapshot
    assert find_model_folder(MODEL, tmp_path / "models", "c1") == snapshot
    assert find_model_folder(MODEL, tmp_path / "models", "another") is None
    assert find_model_folder("an-org/another", tmp_path / "models") is None


def test_cached_model_without_weights_is_not_used(cache, tmp_path):
    cache("config.json", "tokenizer.json")
    with pytest.raises(ConfigurationError, match=f"hf download {MODEL}"):
        require_model_folder(MODEL, tmp_path / "models")


def test_models_folder_precedes_the_hub_cache(cache, tmp_path):
    cache("config.json", "model.safetensors")
    folder = tmp_path / "models" / MODEL
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    assert find_model_folder(MODEL, tmp_path / "models") == folder
