"""Deprecated: import from ``embedstack.integrations.langchain``."""

import warnings

from embedstack.integrations.langchain import EmbedStackEmbeddings

__all__ = ["EmbedStackEmbeddings"]

warnings.warn(
    "embedstack.langchain is deprecated: import from embedstack.integrations.langchain.",
    DeprecationWarning,
    stacklevel=2,
)
