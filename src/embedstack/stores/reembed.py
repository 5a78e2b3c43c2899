"""Re-embeds a collection's texts with another model, without downtime."""

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
    """Embed every text of a collection with another model into a replacement, and switch to it.

    Searches and writes continue meanwhile; records written before the switch are embedded too. A failed call can be
    repeated and embeds no text twice. Texts are not chunked again.

    Args:
        store: The store.
        info: The collection's name and its new properties.
        embed: Returns the vectors of texts, (texts, dimensions), from the new model: ``embedder.embed_documents``.
        text_of: Returns the text to embed for a record, with its prefix if it has one.
        on_progress: Called after each batch with the number of texts embedded.

    Returns:
        The collection after the switch.

    Raises:
        CollectionNotFound: The collection does not exist.
        CollectionMismatch: Another replacement exists.
        ConfigurationError: The new collection has sparse vectors.
        ReplacementIncomplete: Records are written faster than they are embedded. Try again when writes pause.
    """
    if info.sparse_dimensions is not None:
        raise ConfigurationError(
            f"Sparse vectors of {info.name} cannot be re-embedded. Write all vectors into a replacement instead."
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
        # Each round copies the records written during the one before, and so takes less time.
        _copy_outstanding(store, current, replacement, embed_records)
        with contextlib.suppress(ReplacementIncomplete):
            store.switch(replacement)
            return replacement
    raise ReplacementIncomplete(
        f"Records of the collection {info.name} are written faster than they are re-embedded. Try again when writes "
        "pause. Texts embedded so far are kept."
    )


def _copy_outstanding(store: VectorStore, current: Collection, replacement: Collection, embed: "EmbedRecords") -> None:
    outstanding = iter(store.outstanding(replacement))
    while ids := list(islice(outstanding, _BATCH)):
        records = current.get(ids)
        replacement.delete(record_id for record_id in ids if record_id not in records)
        if records:
            _copy(list(records.values()), replacement, embed)


def _copy(records: Sequence[Record], replacement: Collection, embed: "EmbedRecords") -> None:
    context = replacement.info.context
    copies = replacement.get(record.id for record in records)
    missing, changed = [], []
    for record in records:
        copied = copies.get(record.id)
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
