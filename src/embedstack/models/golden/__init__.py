"""Golden vectors: the reference implementation's vectors for a fixed set of varied texts.

``scripts/make_golden.py`` creates them with sentence-transformers in float32.
"""

import json
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["golden_file_name", "golden_texts", "golden_vectors"]

_FOLDER = files(__name__)


def golden_texts() -> list[str]:
    """The texts: many languages, scripts, code, single characters, and some longer than small models read."""
    texts: list[str] = json.loads((_FOLDER / "texts.json").read_text(encoding="utf-8"))
    return texts


def golden_file_name(model_id: str) -> str:
    """The file of a model's golden vectors."""
    return model_id.replace("/", "--") + ".npy"


def golden_vectors(model_id: str) -> "NDArray[np.float32] | None":
    """The reference vectors of :func:`golden_texts`, float32 (texts, dimensions); None if the model has none."""
    file = _FOLDER / golden_file_name(model_id)
    if not file.is_file():
        return None
    with file.open("rb") as stream:
        vectors: NDArray[np.float32] = np.load(stream, allow_pickle=False)
    return vectors
