"""What the ingest function keeps from one invocation to the next."""

import os
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from embedstack.documents.limits import ReadLimits
from embedstack.documents.load import load_ingestion
from embedstack.settings.settings import Settings, load_settings
from handling.objects import Documents
from handling.package import check_database_ca, check_tokenizer, tokenizer_bytes
from handling.queues import Queues

if TYPE_CHECKING:
    from embedstack.documents.ingestion import Ingestion

__all__ = ["Services"]

# This process with the longest document that is read, and what the one that reads needs for any (benchmarks of both
# took 140 and 96 MB).
_OWN_MEMORY_MB = 256
# What a tokenizer takes of it, as a multiple of its file: one of 250,002 tokens, as BGE-M3's, has 17 MB and takes 500.
_TOKENIZER_TIMES = 30
_LEAST_MEMORY_MB = 128


class Services:
    """Each part is made with its first use: what fails then is a message's failure, and is tried again with the next.

    A process that fails while it starts would be started again and again, and no message would say why.
    """

    def __init__(self) -> None:
        self.limits = ReadLimits()
        self._is_fitted = False

    def fit(self, seconds: float, memory_mb: int) -> None:
        """Limit reading to what the function has; the first invocation's size is every one's.

        Args:
            seconds: The function's time. A third of it may go into reading one document.
            memory_mb: Its memory. What is left beside this process, the one that reads may take.
        """
        if self._is_fitted:
            return
        self._is_fitted = True
        own = _OWN_MEMORY_MB * 1024 * 1024 + _TOKENIZER_TIMES * tokenizer_bytes()
        left = max(memory_mb * 1024 * 1024 - own, _LEAST_MEMORY_MB * 1024 * 1024)
        self.limits = replace(
            self.limits,
            max_seconds=min(self.limits.max_seconds, seconds / 3),
            max_memory_bytes=min(self.limits.max_memory_bytes, left),
        )

    @cached_property
    def settings(self) -> Settings:
        """The environment."""
        return load_settings()

    @cached_property
    def queues(self) -> Queues:
        """``EMBEDSTACK_QUEUE_URL`` and ``EMBEDSTACK_DLQ_URL``."""
        return Queues(
            self.settings, os.environ.get("EMBEDSTACK_QUEUE_URL") or None, os.environ.get("EMBEDSTACK_DLQ_URL") or None
        )

    @cached_property
    def documents(self) -> Documents:
        """S3."""
        return Documents(self.settings, self.limits.max_bytes)

    @cached_property
    def ingestion(self) -> "Ingestion":
        """Readers, endpoint and vector store."""
        check_tokenizer(self.settings)
        check_database_ca()
        return load_ingestion(self.settings, limits=self.limits)

    def reopen(self) -> None:
        """Make the ingestion anew with its next use: its collection was replaced, or its database is another now."""
        ingestion = self.__dict__.pop("ingestion", None)
        if ingestion is not None:
            ingestion.close()
