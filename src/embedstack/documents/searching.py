"""Finding chunks of documents by meaning."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from embedstack.errors import CollectionMismatch, InputError
from embedstack.stores.records import UNFILTERED

if TYPE_CHECKING:
    from embedstack.embedders import Embedder
    from embedstack.stores import Collection, Filter, Hit, Mode

__all__ = ["DocumentHit", "search"]

# Metadata that a hit has attributes for, and what is none of a reader's.
_OWN = ("source", "position", "page", "row", "headings", UNFILTERED)


@dataclass(frozen=True, slots=True)
class DocumentHit:
    """A chunk that a search found, and where it is from.

    Attributes:
        score: What hits are ordered by, the highest first; the cosine similarity, but in a hybrid search.
        source: The document's key or path.
        position: The chunk's, from 0.
        page: Page of the file; None where it has none.
        row: Row of the file; None where it has none.
        headings: The headings that it stands under, the outermost first.
        text: Its text.
        metadata: What else is stored with it.
    """

    score: float
    source: str
    position: int
    page: int | None
    row: int | None
    headings: tuple[str, ...]
    text: str
    metadata: Mapping[str, Any]


def search(
    embedder: "Embedder",
    collection: "Collection",
    text: str,
    k: int = 10,
    *,
    filter: "Filter | None" = None,  # noqa: A002 - the field's word for it
    threshold: float | None = None,
    mode: "Mode" = "approximate",
) -> list[DocumentHit]:
    """The chunks nearest to a question.

    Args:
        embedder: By the model that the collection's vectors come from.
        collection: Where documents were ingested to.
        text: The question, no longer than the model reads.
        k: How many, at most.
        filter: Conditions that hits fulfil, as ``{"source": "manual.pdf"}``; see :mod:`embedstack.stores.filters`.
        threshold: The least similarity.
        mode: ``approximate``, ``exact`` or ``hybrid``; the last fuses the ranking by meaning with that by words.

    Raises:
        InputError: The question is empty, or longer than the model reads.
        CollectionMismatch: The collection's vectors are another model's, or another revision's of it.
        EmbedStackError: The embedder or the store failed.
    """
    if not text.strip():
        raise InputError("The question is empty: there is nothing to search for.")
    info, model = collection.info, embedder.info
    if (info.model_id, info.dimensions) != (model.model_id, model.dimensions):
        raise CollectionMismatch(
            f"The collection {info.name} holds vectors of {info.model_id} with {info.dimensions} dimensions; questions "
            f"come from {model.model_id} with {model.dimensions}. Search with the collection's model."
        )
    if info.revision and model.revision and info.revision != model.revision:
        raise CollectionMismatch(
            f"The collection {info.name} holds vectors of {info.model_id} at revision {info.revision}; questions come "
            f"from {model.revision} (ST_MODEL_REVISION). Search with the collection's revision."
        )
    hits = collection.search(
        embedder.embed_query(text), k,
        filter=filter, threshold=threshold, mode=mode, text=text if mode == "hybrid" else None,
    )  # fmt: skip
    return [_document_hit(hit) for hit in hits]


def _document_hit(hit: "Hit") -> DocumentHit:
    metadata = hit.record.metadata
    page, row = metadata.get("page"), metadata.get("row")
    return DocumentHit(
        score=hit.score,
        source=str(metadata.get("source", hit.record.id)),
        position=int(metadata.get("position", 0)),
        page=None if page is None else int(page),
        row=None if row is None else int(row),
        headings=tuple(metadata.get("headings", ())),
        text=hit.record.text,
        metadata={name: value for name, value in metadata.items() if name not in _OWN},
    )
