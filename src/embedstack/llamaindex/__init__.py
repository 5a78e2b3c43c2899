"""Deprecated: import from ``embedstack.integrations.llamaindex``."""

import warnings

from embedstack.integrations.llamaindex import EmbedStackEmbedding

__all__ = ["EmbedStackEmbedding"]

warnings.warn(
    "embedstack.llamaindex is deprecated: import from embedstack.integrations.llamaindex.",
    DeprecationWarning,
    stacklevel=2,
)
