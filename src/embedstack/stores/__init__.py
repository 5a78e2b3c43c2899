"""Vector stores: Postgres with pgvector, or Amazon S3 Vectors, behind one interface."""

from embedstack.stores.base import Collection, Mode, VectorStore
from embedstack.stores.collection_info import CollectionInfo, Distance
from embedstack.stores.filters import Filter
from embedstack.stores.load import load_store
from embedstack.stores.records import Hit, Record, Stored, hash_text
from embedstack.stores.reembed import reembed

__all__ = [
    "Collection",
    "CollectionInfo",
    "Distance",
    "Filter",
    "Hit",
    "Mode",
    "Record",
    "Stored",
    "VectorStore",
    "hash_text",
    "load_store",
    "reembed",
]
