"""What makes one embedder's vectors differ from another's, as bytes that a cache key begins with."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embedstack.models.model_info import ModelInfo

__all__ = ["identity_digest", "model_facts"]

# Raised when the meaning of an identity changes, so that no older entry is taken for one of today's.
_VERSION = 2
# Facts of a model that its vectors do not depend on: prompts are part of the text by the time it is looked up, and
# the lengths a model could be cut to say nothing of the one that it is cut to.
_NOT_IN_A_VECTOR = {"prompts", "matryoshka_dimensions"}


def model_facts(info: "ModelInfo") -> dict[str, Any]:
    """Every fact of a model that its vectors depend on."""
    return {
        field.name: getattr(info, field.name)
        for field in dataclasses.fields(info)
        if field.name not in _NOT_IN_A_VECTOR
    }


def identity_digest(identity: Mapping[str, Any], kind: str) -> bytes:
    """32 bytes that differ where two identities or two kinds of text do.

    Args:
        identity: What ``Embedder.vector_identity`` gives: names and JSON values; others count by their string.
        kind: The kind of text; some models tell them apart beyond their prompt.
    """
    document = {"version": _VERSION, "identity": identity, "kind": kind}
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).digest()
