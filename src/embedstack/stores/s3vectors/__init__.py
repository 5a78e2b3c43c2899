"""Vectors in Amazon S3 Vectors."""

from embedstack.stores.s3vectors.store import S3VectorsStore

__all__ = ["S3VectorsStore"]
