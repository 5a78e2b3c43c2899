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

# Texts of the models with sharp attention, whose vocabulary has these words. The first has more than 600 tokens.
SHARP_WORDS = [f"w{number}" for number in range(60)]
SHARP_TEXTS = [
    " ".join(np.random.default_rng(0).choice(SHARP_WORDS, 640).tolist()),
    " ".join(np.random.default_rng(1).choice(SHARP_WORDS, 200).tolist()),
    "w1 w2 w3 w4 w5 w6 w7",
    "w9",
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

_DESCRIPTION = ("files", "tensors", "seed", "spread", "sharpness", "scale_offset")


def random_tensor(seed: int, name: str, shape: tuple[int, ...], spread: float) -> Array:
    """A normally distributed tensor, determined by the arguments; the mean is 1 for a layer norm's scale, else 0."""
    random = np.random.default_rng([seed, zlib.crc32(name.encode())])
    centre = float(name.lower().endswith("norm.weight"))
    return (centre + spread * random.standard_normal(shape, np.float32)).astype(np.float32)


def sharp_tensor(
    seed: int, name: str, shape: tuple[int, ...], spread: float, sharpness: float, scale_offset: float = 0
) -> Array:
    """A tensor with which wrong mathematics is visible, determined by the arguments.

    With small random weights, attention is nearly uniform, and a window or a rotation that is slightly wrong changes a
    vector by less than the tolerance. So the projections of queries and keys are larger, or the norms after them. The
    scales of norms are far from 1, so that a missing or an additional norm is visible. ``scale_offset`` is added to
    them in the file: -1 for models that store the difference from 1.
    """
    random = np.random.default_rng([seed, zlib.crc32(name.encode())])
    if len(shape) == 1 and name.endswith("weight"):
        scale = random.uniform(0.5, 1.5, shape).astype(np.float32)
        if name.endswith(("q_norm.weight", "k_norm.weight")):
            scale *= np.float32(np.sqrt(sharpness))
        return scale + np.float32(scale_offset)
    tensor = (spread * random.standard_normal(shape, np.float32)).astype(np.float32)
    if "SelfAttention.relative_attention_bias" in name:
        tensor *= np.float32(2 / spread)
    rows = 0
    if any(part in name for part in ("q_proj.", "k_proj.", ".query.", ".key.", "SelfAttention.q.", "SelfAttention.k.")):
        rows = shape[0]
    elif any(part in name for part in ("Wqkv.", "qkv_proj.")):
        rows = shape[0] // 3 * 2
    tensor[:rows] *= np.float32(1.5 * np.sqrt(sharpness))
    return tensor


@dataclass(frozen=True)
class ReferenceModel:
    """A model and its outputs by the reference implementation.

    Attributes:
        files: The model's JSON files by path in its folder.
        tensors: Shapes by tensor name, by path of the safetensors file.
        seed: Seed of the weights.
        spread: Standard deviation of the weights.
        outputs: The reference implementation's outputs, by name.
        sharpness: Scale of the attention scores; see :func:`sharp_tensor`. 0 for ordinary weights.
        scale_offset: Added to the scales of norms; see :func:`sharp_tensor`.
    """

    files: dict[str, Any]
    tensors: dict[str, dict[str, tuple[int, ...]]]
    seed: int
    spread: float
    outputs: dict[str, Array]
    sharpness: float = 0
    scale_offset: float = 0

    @classmethod
    def load(cls, name: str) -> "ReferenceModel":
        """Read a stored model."""
        description = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
        with np.load(FOLDER / f"{name}.npz") as outputs:
            return cls(**description, outputs=dict(outputs))

    def save(self, name: str) -> None:
        """Store the model without its weights."""
        description = {name: getattr(self, name) for name in _DESCRIPTION}
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
        shapes = {name: tuple(shape) for name, shape in self.tensors[path].items()}
        if self.sharpness:
            return {
                name: sharp_tensor(self.seed, name, shape, self.spread, self.sharpness, self.scale_offset)
                for name, shape in shapes.items()
            }
        return {name: random_tensor(self.seed, name, shape, self.spread) for name, shape in shapes.items()}
