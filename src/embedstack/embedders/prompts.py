"""Kinds and contexts of texts, and the prompts that they add."""

from collections.abc import Mapping
from typing import Literal, get_args

from embedstack.errors import ConfigurationError, InputError

__all__ = ["CONTEXT_PROMPTS", "Context", "Kind", "known_prompts", "prompt_for"]

Kind = Literal["query", "document"]
Context = Literal["code", "docs", "business"]

#: Text that a context puts before an input. Use the same context for documents and for the queries that search them.
CONTEXT_PROMPTS = {"code": "Code: ", "docs": "Documentation: ", "business": "Business Process: "}


def known_prompts(*sources: Mapping[str, str]) -> dict[str, str]:
    """The prompts of all contexts and of several sources, of which later ones override earlier ones.

    Args:
        sources: Prompts by kind or context.

    Raises:
        ConfigurationError: A prompt is for an unknown kind or context, so that no text would get it.
    """
    prompts = dict(CONTEXT_PROMPTS)
    names = (*get_args(Kind), *CONTEXT_PROMPTS)
    for name in [name for source in sources for name in source]:
        if name not in names:
            hint = " Use document for the texts to search." if name in ("passage", "corpus") else ""
            raise ConfigurationError(f"A prompt is for {name!r}, which is not one of {', '.join(names)}.{hint}")
    for source in sources:
        prompts |= source
    return prompts


def prompt_for(prompts: Mapping[str, str], kind: Kind, context: Context | None) -> str:
    """Text put before every input of a kind and a context.

    Raises:
        InputError: The kind or the context is unknown.
    """
    if kind not in get_args(Kind):
        raise InputError(f"Unknown kind of text {kind!r}. Use query for search queries and document for other texts.")
    if context is not None and context not in CONTEXT_PROMPTS:
        raise InputError(f"Unknown context {context!r}. Contexts: {', '.join(CONTEXT_PROMPTS)}; omit it for none.")
    return prompts.get(kind, "") + (prompts[context] if context else "")
