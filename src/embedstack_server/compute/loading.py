"""Loading of any model that the server computes."""

from typing import TYPE_CHECKING

from embedstack.errors import ConfigurationError
from embedstack_server.compute.cross_encoder import CrossEncoder
from embedstack_server.compute.encoder import Encoder
from embedstack_server.model.manifest import Manifest
from embedstack_server.model.model_kind import model_kind

if TYPE_CHECKING:
    from pathlib import Path

    from embedstack_server.model.precision import PrecisionSetting

__all__ = ["load_model"]


def load_model(
    folder: "Path", *, model_id: str | None = None, precision: "PrecisionSetting" = "auto", device: str = "cpu"
) -> Encoder | CrossEncoder:
    """Load an embedding model or a cross-encoder; its folder, or the manifest of a package, decides which.

    Args:
        folder: The model's folder.
        model_id: Name to report; defaults to the folder's own.
        precision: As for :meth:`Encoder.load`.
        device: ``cpu``, ``auto``, or the torch device of an embedding model; see :meth:`Encoder.load`.

    Raises:
        ConfigurationError: The model is not supported, a file of a package is missing or damaged, or the processor or
            device does not support the precision or the model.
    """
    manifest = Manifest.read_optional(folder)
    kind = manifest.kind if manifest else model_kind(folder)
    if kind != "reranker":
        return Encoder.load(folder, model_id=model_id, precision=precision, device=device)
    if device not in ("auto", "cpu"):
        raise ConfigurationError(f"{folder} is a cross-encoder, which cannot run on {device}. Use the device cpu.")
    return CrossEncoder.load(folder, model_id=model_id, precision=precision)
