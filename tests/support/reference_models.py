"""Small models with seeded random weights, and their outputs by the reference implementation.

``make reference-vectors`` computes the outputs with transformers and sentence-transformers. It stores them with each
model's JSON files and the names and shapes of its tensors. The weights are re-created from the seed.
"""

import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

FOLDER = Path(__file__).parents[1] / "fixtures" / "reference"
LONGEST = 140
LONGEST_OF_ALL = 8192
TEXTS = [
    "the cat sat on the mat",
    "dog",
    "unheard words count too",
    "the dog ran far <pad> far",
    " ".join(["cat sat dog ran far"] * 27),
    " ".join(["the mat on far"] * 5),
]

LONGEST_TEXT = " ".join(["the cat sat on far mat"] * 2000)

_WORDS = ("the", "cat", "sat", "on", "mat", "dog", "ran", "far")
_VARIED = [_WORDS[(7 * place * place + place) // 3 % 8] for place in range(300)]
# Pairs of a query and a text. With special tokens, the last four have more than LONGEST tokens.
PAIRS = [
    *((query, text) for query in ("cat sat", "the dog ran <pad>") for text in TEXTS),
    *((text, "cat sat") for text in TEXTS),
    (" ".join(_VARIED[:60]), " ".join(_VARIED[100:200])),
    (" ".join(_VARIED[:100]), " ".join(_VARIED[100:201])),
    (" ".join(_VARIED[:200]), "the cat"),
    ("the cat", " ".join(_VARIED[:200])),
]

Array = np.ndarray[Any, Any]


def random_tensor(seed: int, name: str, shape: tuple[int, ...], spread: float) -> Array:
    """A normally distributed tensor, determined by the arguments; the mean is 1 for a layer norm's scale, else 0."""
    random = np.random.default_rng([seed, zlib.crc32(name.encode())])
    centre = float(name.lower().endswith("norm.weight"))
    return (centre + spread * random.standard_normal(shape, np.float32)).astype(np.float32)


@dataclass(frozen=True)
class ReferenceModel:
    """A model and its outputs by the reference implementation.

    Attributes:
        files: The model's JSON files by path in its folder.
        tensors: Shapes by tensor name, by path of the safetensors file.
        seed: Seed of the weights.
        spread: Standard deviation of the weights.
        outputs: The reference implementation's outputs, by name.
    """

    files: dict[str, Any]
    tensors: dict[str, dict[str, tuple[int, ...]]]
    seed: int
    spread: float
    outputs: dict[str, Array]

    @classmethod
    def load(cls, name: str) -> "ReferenceModel":
        """Read a stored model."""
        description = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
        with np.load(FOLDER / f"{name}.npz") as outputs:
            return cls(**description, outputs=dict(outputs))

    def save(self, name: str) -> None:
        """Store the model without its weights."""
        description = {name: getattr(self, name) for name in ("files", "tensors", "seed", "spread")}
        FOLDER.mkdir(parents=True, exist_ok=True)
        (FOLDER / f"{name}.json").write_text(json.dumps(description, ensure_ascii=False) + "\n", encoding="utf-8")
        np.savez_compressed(FOLDER / f"{name}.npz", allow_pickle=False, **self.outputs)

    def write(self, folder: Path, *, pooling: Any = None) -> Path:
        """Write the model's folder, with another pooling configuration if given."""
        for path, content in self.files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(json.dumps(content), encoding="utf-8")
        if pooling is not None:
            (folder / "1_Pooling/config.json").write_text(json.dumps(pooling), encoding="utf-8")
        for path, shapes in self.tensors.items():
            save_file(self.weights(path), folder / path)
            assert shapes
        return folder

    def weights(self, path: str = "model.safetensors") -> dict[str, Array]:
        """The tensors of one file."""
        return {
            name: random_tensor(self.seed, name, tuple(shape), self.spread)
            for name, shape in self.tensors[path].items()
        }
