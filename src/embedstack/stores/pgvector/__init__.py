"""Vectors in Postgres, by pgvector."""

from embedstack.stores.pgvector.store import PgVectorStore

__all__ = ["PgVectorStore"]
