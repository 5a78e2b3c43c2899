"""Vectors in Postgres with pgvector."""

from embedstack.stores.pgvector.store import PgVectorStore

__all__ = ["PgVectorStore"]
