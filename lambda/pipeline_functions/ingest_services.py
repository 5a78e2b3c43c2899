"""Clients and models that the ingest function keeps between invocations."""

import os
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from embedstack.documents.limits import ReadLimits
from embedstack.documents.load import load_ingestion
from embedstack.documents.s3_objects import S3DocumentReader
from embedstack.settings.settings import Settings, load_settings
from pipeline_functions.package_checks import check_database_ca, check_tokenizer, tokenizer_bytes
from pipeline_functions.queues import Queues

if TYPE_CHECKING:
    from embedstack.documents.ingestion import Ingestion

__all__ = ["IngestServices"]

# Memory of this process with the longest document, plus what the reader process needs for any document. Their
# benchmarks measured 140 and 96 MB.
_OWN_MEMORY_MB = 256
# A tokenizer's memory as a multiple of its file size: BGE-M3's, with 250,002 tokens, has 17 MB and takes 500 MB.
_TOKENIZER_MEMORY_FACTOR = 30
_MIN_READER_MEMORY_MB = 128


class IngestServices:
    """Creates each service on first use, so that a failure is the failure of one message and is retried with the next.

    A failure at import time would restart the process repeatedly, and no message would carry the reason.
    """

    def __init__(self) -> None:
        self.limits = ReadLimits()
        self._is_fitted = False

    def fit(self, seconds: float, memory_mb: int) -> None:
        """Fit the reading limits to the function's limits. Only the first call has an effect.

        Args:
            seconds: The function's remaining time in seconds. Reading one document may use a third of it.
            memory_mb: The function's memory in MB. The reader process may use what this process does not need.
        """
        if self._is_fitted:
            return
        self._is_fitted = True
        own_bytes = _OWN_MEMORY_MB * 1024 * 1024 + _TOKENIZER_MEMORY_FACTOR * tokenizer_bytes()
        reader_bytes = max(memory_mb * 1024 * 1024 - own_bytes, _MIN_READER_MEMORY_MB * 1024 * 1024)
        self.limits = replace(
            self.limits,
            max_seconds=min(self.limits.max_seconds, seconds / 3),
            max_memory_bytes=min(self.limits.max_memory_bytes, reader_bytes),
        )

    @cached_property
    def settings(self) -> Settings:
        """The settings of the environment."""
        return load_settings()

    @cached_property
    def queues(self) -> Queues:
        """The queues of ``EMBEDSTACK_QUEUE_URL`` and ``EMBEDSTACK_DLQ_URL``."""
        return Queues(
            self.settings, os.environ.get("EMBEDSTACK_QUEUE_URL") or None, os.environ.get("EMBEDSTACK_DLQ_URL") or None
        )

    @cached_property
    def s3_reader(self) -> S3DocumentReader:
        """The reader of S3 objects."""
        return S3DocumentReader(self.settings, self.limits.max_bytes)

    @cached_property
    def ingestion(self) -> "Ingestion":
        """The ingestion: document readers, endpoint and vector store."""
        check_tokenizer(self.settings)
        check_database_ca()
        return load_ingestion(self.settings, limits=self.limits)

    def reopen(self) -> None:
        """Re-create the ingestion on next use, after its collection was replaced or its database moved."""
        ingestion = self.__dict__.pop("ingestion", None)
        if ingestion is not None:
            ingestion.close()
