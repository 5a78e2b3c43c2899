"""Document ingestion and search: files are read into sections, chunked, embedded and stored."""

from typing import TYPE_CHECKING

from embedstack.lazy import lazy_attributes

if TYPE_CHECKING:
    from embedstack.documents.chunking import Chunk, Chunker
    from embedstack.documents.document import Document, Section
    from embedstack.documents.ingestion import Ingested, Ingestion
    from embedstack.documents.limits import ReadLimits
    from embedstack.documents.load import load_ingestion
    from embedstack.documents.readers.isolated import read_document
    from embedstack.documents.reindexing import reindex
    from embedstack.documents.searching import DocumentHit, asearch, search

__all__ = [
    "Chunk",
    "Chunker",
    "Document",
    "DocumentHit",
    "Ingested",
    "Ingestion",
    "ReadLimits",
    "Section",
    "asearch",
    "load_ingestion",
    "read_document",
    "reindex",
    "search",
]

# The reader process imports from this package and has to start quickly.
__getattr__ = lazy_attributes(
    __name__,
    {
        "Chunk": "embedstack.documents.chunking",
        "Chunker": "embedstack.documents.chunking",
        "Document": "embedstack.documents.document",
        "DocumentHit": "embedstack.documents.searching",
        "Ingested": "embedstack.documents.ingestion",
        "Ingestion": "embedstack.documents.ingestion",
        "ReadLimits": "embedstack.documents.limits",
        "Section": "embedstack.documents.document",
        "asearch": "embedstack.documents.searching",
        "load_ingestion": "embedstack.documents.load",
        "read_document": "embedstack.documents.readers.isolated",
        "reindex": "embedstack.documents.reindexing",
        "search": "embedstack.documents.searching",
    },
)
