"""Kinds and contexts of texts, and the prompts that they add."""

from typing import Literal

__all__ = ["CONTEXT_PROMPTS", "Context", "Kind"]

Kind = Literal["query", "document"]
Context = Literal["code", "docs", "business"]

#: Text that a context puts before an input. Use the same context for documents and for the queries that search them.
CONTEXT_PROMPTS = {"code": "Code: ", "docs": "Documentation: ", "business": "Business Process: "}
