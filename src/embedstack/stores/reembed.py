"""Embed a collection's texts anew, with another model, and switch to that without a pause."""

import contextlib
from collections.abc import Callable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from embedstack.errors import ConfigurationError, ReplacementIncomplete
from embedstack.stores.base import Collection, VectorStore
from embedstack.stores.collection_info import CollectionInfo
from embedstack.stores.records import Record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Embed = Callable[[Sequence[str]], "NDArray[np.float32]"]
    EmbedRecords = Callable[[Sequence[Record]], "NDArray[np.float32]"]

__all__ = ["reembed"]

_BATCH = 1000
_ROUNDS = 100


def reembed(
    store: VectorStore,
    info: CollectionInfo,
    embed: "Embed",
    *,
    text_of: Callable[[Record], str] = lambda record: record.text,
    on_progress: Callable[[int], Any] = lambda _: None,
) -> Collection:
    """Embed every text of a collection with another model, side by side, and switch to the result.

    Searches and writes go on meanwhile; what is written before the switch is embedded too. The same call again after a
    failure goes on where it was: a text is embedded once. Texts are not cut anew.

    Args:
        store: Where the collection is.
        info: The collection's name, and what its vectors are to be.
        embed: From texts to vectors, (texts, dimensions), by that model: ``embedder.embed_documents``.
        text_of: What is embedded of a record; its text with what stood before it, where something did.
        on_progress: Called with the number of texts that were just embedded.

    Returns:
        The collection as it is now.

    Raises:
        CollectionNotFound: There is none of this name.
        CollectionMismatch: Another replacement was begun.
        ConfigurationError: The new collection is to have sparse vectors.
        ReplacementIncomplete: Writers are faster than the model; try again when they are done.
    """
    if info.sparse_dimensions is not None:
        raise ConfigurationError(
            f"{info.name} is to have sparse vectors, which this function does not make: fill a replacement with them."
        )
    current = store.open(store.describe(info.name), create=False)
    replacement = store.open_replacement(info)

    def embed_records(records: Sequence[Record]) -> "NDArray[np.float32]":
        vectors = embed([text_of(record) for record in records])
        on_progress(len(records))
        return vectors

    _copy_outstanding(store, current, replacement, embed_records)
    replacement.optimize()
    for _ in range(_ROUNDS):
        # What was written since. Each round takes less time than the one before, in which less is written.
        _copy_outstanding(store, current, replacement, embed_records)
        with contextlib.suppress(ReplacementIncomplete):
            store.switch(replacement)
            return replacement
    raise ReplacementIncomplete(
        f"The collection {info.name} is written to faster than it can be embedded anew: try again when writers pause. "
        "What was embedded so far is kept."
    )


def _copy_outstanding(store: VectorStore, current: Collection, replacement: Collection, embed: "EmbedRecords") -> None:
    outstanding = iter(store.outstanding(replacement))
    while ids := list(islice(outstanding, _BATCH)):
        records = current.get(ids)
        replacement.delete(identity for identity in ids if identity not in records)
        if records:
            _copy(list(records.values()), replacement, embed)


def _copy(records: Sequence[Record], replacement: Collection, embed: "EmbedRecords") -> None:
    context = replacement.info.context
    there = replacement.get(record.id for record in records)
    missing, changed = [], []
    for record in records:
        copied = there.get(record.id)
        if copied is None or copied.content_hash != record.content_hash:
            missing.append(record)
        else:
            changed.append(_with_vector(record, copied.vector, context))
    replacement.upsert(changed)
    if missing:
        vectors = embed(missing)
        replacement.upsert(
            _with_vector(record, vector, context) for record, vector in zip(missing, vectors, strict=True)
        )


def _with_vector(record: Record, vector: "NDArray[np.float32]", context: str | None) -> Record:
    return Record(record.id, record.text, vector, record.metadata, context or record.context, record.content_hash)
