"""Documents: from a file to sections, to chunks, to records in a store."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embedstack.documents.document import Document, Section
    from embedstack.documents.limits import ReadLimits
    from embedstack.documents.readers.isolated import read_document

__all__ = ["Document", "ReadLimits", "Section", "read_document"]

_HOMES = {
    "Document": "embedstack.documents.document",
    "ReadLimits": "embedstack.documents.limits",
    "Section": "embedstack.documents.document",
    "read_document": "embedstack.documents.readers.isolated",
}


def __getattr__(name: str) -> Any:
    # The process that reads documents imports from this package, and starts the sooner the less comes with it.
    if name not in _HOMES:
        raise AttributeError(f"module 'embedstack.documents' has no attribute {name!r}")
    import importlib  # noqa: PLC0415 - with the first name only

    return getattr(importlib.import_module(_HOMES[name]), name)
