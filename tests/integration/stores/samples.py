"""Sample records with clustered vectors, like those of texts."""

from typing import Any

import numpy as np

from embedstack.stores import CollectionInfo, Record

BUCKET = "vectors-of-tests"
MODEL = "sentence-transformers/all-MiniLM-L6-v2"


def collection(name: str, dimensions: int = 8, **properties: Any) -> CollectionInfo:
    return CollectionInfo(name, MODEL, dimensions, **properties)


def unit_vectors(count: int, dimensions: int = 8, *, seed: int = 0, clusters: int = 40) -> np.ndarray:
    """Float32 (count, dimensions) of unit length."""
    centres = np.random.default_rng(0).normal(size=(clusters, dimensions))
    random = np.random.default_rng(seed)
    vectors = centres[random.integers(0, clusters, count)] + 0.5 * random.normal(size=(count, dimensions))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors, np.float32)


def records(count: int, dimensions: int = 8, *, prefix: str = "r", seed: int = 0) -> list[Record]:
    return [
        Record(
            f"{prefix}{index:05}",
            f"text {index}",
            vector,
            {"number": index, "parity": "even" if index % 2 == 0 else "odd", "tags": ["all", f"t{index % 5}"],
             "kept": index % 3 == 0},
            context=("code", "docs", None)[index % 3],
        )
        for index, vector in enumerate(unit_vectors(count, dimensions, seed=seed))
    ]  # fmt: skip
