"""Computes golden vectors with the best implementation that is installed."""

from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from embedstack.models.golden import Golden, golden_texts
from embedstack_server.compute.encoder import Encoder

__all__ = ["compute_golden"]


def compute_golden(folder: Path, prompt: str = "") -> Golden:
    """Compute a model's vectors of the golden texts in float32.

    sentence-transformers is an independent reference. Without it, this project's encoder is used: its vectors show
    whether an endpoint computes the same as this machine, but not whether both are right.

    Args:
        folder: The model's folder.
        prompt: Text to put before each text.

    Raises:
        ConfigurationError: The model is not supported.
    """
    texts = golden_texts()
    # sentence-transformers loads no folder without modules.json, which model2vec's models may lack.
    if find_spec("sentence_transformers") is None or not (folder / "modules.json").is_file():
        encoder = Encoder.load(folder, precision="fp32")
        try:
            vectors = encoder.encode(texts, prompt=prompt).vectors()
        finally:
            encoder.close()
        return Golden(vectors, prompt, "the built-in encoder in float32")
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - slow import of an optional extra

    model = SentenceTransformer(str(folder), device="cpu", local_files_only=True).float()
    # One text at a time: without padding, a vector depends on its text only.
    vectors = model.encode(texts, prompt=prompt, batch_size=1, normalize_embeddings=True, show_progress_bar=False)
    return Golden(vectors, prompt, f"sentence-transformers {version('sentence-transformers')} in float32")
