"""Compute the vectors of static embeddings with sentence-transformers and model2vec.

Part of ``make reference-vectors``.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from model2vec import StaticModel
from sentence_transformers import SentenceTransformer

from tests.support.reference_models import FOLDER
from tests.support.static_models import STATIC_MODELS, STATIC_TEXTS, write_static_model

__all__ = ["store_static"]


def store_static() -> None:
    """Compute and store all variants."""
    with tempfile.TemporaryDirectory() as folder:
        outputs = {name: _vectors(write_static_model(Path(folder) / name, name)) for name in STATIC_MODELS}
    np.savez_compressed(FOLDER / "static.npz", allow_pickle=False, **outputs)


def _vectors(folder: Path) -> Any:
    if (folder / "modules.json").is_file():
        model = SentenceTransformer(str(folder), device="cpu")
        vectors = np.stack([model.encode(text, show_progress_bar=False) for text in STATIC_TEXTS])
        return vectors.astype(np.float32)
    return StaticModel.from_pretrained(folder).encode(STATIC_TEXTS).astype(np.float32)


if __name__ == "__main__":
    store_static()
