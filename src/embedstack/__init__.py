"""Text embeddings on Amazon SageMaker: client, model server and a local AWS to run them on."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embedstack.embedders import Embedder
    from embedstack.factory import load_embedder

__all__ = ["Embedder", "load_embedder"]

_HOMES = {"Embedder": "embedstack.embedders", "load_embedder": "embedstack.factory"}


def __getattr__(name: str) -> Any:
    # What is not asked for is not imported: the model server and the local AWS are in this package too.
    if name not in _HOMES:
        raise AttributeError(f"module 'embedstack' has no attribute {name!r}")
    import importlib  # noqa: PLC0415 - with the first name only

    return getattr(importlib.import_module(_HOMES[name]), name)
