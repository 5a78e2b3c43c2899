"""Reading the folder of any embedding model that the server computes without torch."""

from typing import TYPE_CHECKING

from embedstack_server.model.model_folder import ModelFolder
from embedstack_server.model.static_folder import StaticFolder, is_static

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["EmbeddingFolder", "read_embedding_folder"]

#: The folder of a transformer, or of static embeddings.
EmbeddingFolder = ModelFolder | StaticFolder


def read_embedding_folder(path: "Path", model_id: str | None = None) -> EmbeddingFolder:
    """Read and validate a folder.

    Args:
        path: The folder.
        model_id: The model's name; defaults to the folder's own.

    Raises:
        UnsupportedArchitecture: The architecture is not supported.
        ConfigurationError: A file is missing or unreadable, or the model is not supported.
    """
    return StaticFolder.read(path, model_id) if is_static(path) else ModelFolder.read(path, model_id)
