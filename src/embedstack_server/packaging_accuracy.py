"""Accuracy of a packaged model: its outputs compared with a reference's."""

from dataclasses import replace
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from embedstack.errors import ConfigurationError
from embedstack.models.golden import Golden, golden_texts
from embedstack_server.compute.cross_encoder import CrossEncoder
from embedstack_server.compute.encoder import Encoder
from embedstack_server.golden import compute_golden

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from embedstack_server.model.manifest import Manifest

    Floats = NDArray[np.float32]

__all__ = ["MIN_COSINE", "MIN_DETERMINATION", "check_accuracy"]

#: Minimum cosine to the reference; it allows for the loss of accuracy by int8.
MIN_COSINE = 0.998
#: Minimum coefficient of determination of a reranker's logits; it allows for the loss of accuracy by int8.
MIN_DETERMINATION = 0.99

# Golden texts that are queries, and texts that each of them is paired with, one of which is the query itself.
_QUERIES = 4
_PAIRED_TEXTS = 32


def check_accuracy(manifest: "Manifest") -> "Manifest":
    """Compare a package with the best available reference; returns the manifest with the result.

    Raises:
        ConfigurationError: The outputs are too inaccurate, or the model cannot be loaded.
    """
    return _check_reranker(manifest) if manifest.kind == "reranker" else _check_encoder(manifest)


def _check_encoder(manifest: "Manifest") -> "Manifest":
    texts = golden_texts()
    golden = Golden.find(manifest.model_id) or compute_golden(manifest.folder)
    encoder = Encoder.load(manifest.folder, precision=manifest.precision)
    try:
        vectors = encoder.encode(texts, prompt=golden.prompt).vectors()
    finally:
        encoder.close()
    cosine = float((vectors * golden.vectors).sum(axis=1).min())
    if not cosine >= MIN_COSINE:
        raise ConfigurationError(
            f"With precision {manifest.precision}, the vectors of {manifest.model_id} are too inaccurate: the lowest "
            f"cosine to {golden.reference} over {len(texts)} texts is {cosine:.4f}; the minimum is {MIN_COSINE}. Use "
            "bf16 or fp32."
        )
    return replace(manifest, reference=golden.reference, cosine=round(cosine, 6))


def _check_reranker(manifest: "Manifest") -> "Manifest":
    texts = golden_texts()[:_PAIRED_TEXTS]
    name, reference = _reference_logits(manifest, texts)
    errors = _logits(manifest, texts) - reference
    determination = float(1 - (errors**2).sum() / ((reference - reference.mean()) ** 2).sum())
    if not determination >= MIN_DETERMINATION:
        raise ConfigurationError(
            f"With precision {manifest.precision}, the scores of {manifest.model_id} are too inaccurate: the "
            f"coefficient of determination by {name} over {reference.size} pairs is {determination:.4f}; the minimum "
            f"is {MIN_DETERMINATION}. Use bf16 or fp32."
        )
    return replace(manifest, reference=name, determination=round(determination, 6))


def _reference_logits(manifest: "Manifest", texts: list[str]) -> "tuple[str, Floats]":
    if find_spec("sentence_transformers") is None:
        return "the built-in cross-encoder in float32", _logits(replace(manifest, precision="fp32"), texts)
    import torch  # noqa: PLC0415 - slow import of an optional extra
    from sentence_transformers import CrossEncoder as ReferenceModel  # noqa: PLC0415 - the same

    model = ReferenceModel(str(manifest.folder), device="cpu", local_files_only=True)
    pairs = [(query, text) for query in texts[:_QUERIES] for text in texts]
    logits = model.predict(pairs, batch_size=1, activation_fn=torch.nn.Identity(), show_progress_bar=False)
    return f"sentence-transformers {version('sentence-transformers')} in float32", np.asarray(logits, np.float32)


def _logits(manifest: "Manifest", texts: list[str]) -> "Floats":
    """The logits of each query with each text, float32 (pairs,)."""
    model = CrossEncoder.load(manifest.folder, precision=manifest.precision)
    try:
        return np.concatenate([model.score(query, texts).values(raw=True) for query in texts[:_QUERIES]])
    finally:
        model.close()
