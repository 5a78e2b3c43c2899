"""Everything that a vector depends on besides its text, as bytes that a cache key begins with."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embedstack.models.model_info import ModelInfo

__all__ = ["identity_digest", "model_facts"]

# Incremented when the meaning of an identity changes, so that older entries are cache misses.
_VERSION = 2
# Facts of a model that its vectors do not depend on: prompts are already part of the text that is looked up, the
# lengths that a model supports say nothing about the one in use, and the others describe the model that is named.
_NOT_IN_A_VECTOR = {
    "prompts", "uses_prompts", "matryoshka_dimensions", "kind", "architecture", "license", "non_commercial",
}  # fmt: skip


def model_facts(info: "ModelInfo") -> dict[str, Any]:
    """Every fact of a model that its vectors depend on."""
    return {
        field.name: getattr(info, field.name)
        for field in dataclasses.fields(info)
        if field.name not in _NOT_IN_A_VECTOR
    }


def identity_digest(identity: Mapping[str, Any], kind: str) -> bytes:
    """32 bytes that differ for two identities or two kinds of text.

    Args:
        identity: The result of ``Embedder.vector_identity``: names and JSON values; other values count by their string.
        kind: The kind of text; some models distinguish kinds by more than a prompt.
    """
    document = {"version": _VERSION, "identity": identity, "kind": kind}
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).digest()
