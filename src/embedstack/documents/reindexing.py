"""A collection's stored texts with another model's vectors, where the texts alone are enough for that."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from embedstack.documents.context import ContextPrefix
from embedstack.documents.limits import shown
from embedstack.errors import CollectionMismatch
from embedstack.models.model_info import KNOWN_MODELS
from embedstack.stores import Collection, CollectionInfo, Record, VectorStore, hash_text, reembed

if TYPE_CHECKING:
    from embedstack.embedders import Embedder

__all__ = ["reindex", "was_cut_here"]

_REMEDY = "Ingest the documents into another collection instead: see docs/guides/reindexing.md."
# How ingestion names its ways of cutting; see Chunker.name and collection_info.
_LATE, _CUT_HERE = "late-", "semantic-"


def was_cut_here(info: CollectionInfo) -> bool:
    """Whether ingestion cut a collection's texts, each embedded by itself, and so may be asked to add to them."""
    return (info.chunker or "").startswith(_CUT_HERE)


def reindex(
    store: VectorStore,
    name: str,
    embedder: "Embedder",
    *,
    template: str = "",
    on_progress: Callable[[int], Any] = lambda _: None,
) -> Collection:
    """Embed a collection's texts with another model as they were embedded before, and switch to the result.

    What ingestion put before each chunk is put there again. Texts are not cut anew, so the collection keeps the name of
    its cutting: documents can be added to it only where the new model's chunker has that very name.

    Args:
        store: Where the collection is.
        name: The collection's.
        embedder: The new model's.
        template: ``EMBEDSTACK_DOCUMENT_CONTEXT``, as it was when the texts were embedded.
        on_progress: Called with the number of texts that were just embedded.

    Returns:
        The collection as it is now.

    Raises:
        CollectionNotFound: There is none of this name.
        CollectionMismatch: Its vectors cannot be made of its texts alone, or another replacement was begun.
        ConfigurationError: The collection has sparse vectors, or the template is none.
        ReplacementIncomplete: Writers are faster than the model.
        EmbedStackError: The embedder or the store failed. The same call goes on where it was.
    """
    old = store.describe(name)
    _require_texts_suffice(old, template)
    prefix = ContextPrefix(template)
    if template and was_cut_here(old):
        _require_same_prefixes(store.open(old, create=False), prefix)
    model = embedder.info
    wanted = replace(
        old, model_id=model.model_id, dimensions=model.dimensions, revision=model.revision,
        prompt=embedder.prompts.get("document", "") + template,
    )  # fmt: skip
    return reembed(
        store, wanted, embedder.embed_documents,
        text_of=lambda record: _prefix(record, prefix) + record.text, on_progress=on_progress,
    )  # fmt: skip


def _require_texts_suffice(old: CollectionInfo, template: str) -> None:
    if (old.chunker or "").startswith(_LATE):
        raise CollectionMismatch(
            f"The vectors of {old.name} were computed with the text around each chunk in view (late chunking), which "
            f"the chunks alone do not give again. {_REMEDY}"
        )
    own = old.prompt.removesuffix(template)
    model = KNOWN_MODELS.get(old.model_id)
    # Of a model that nothing is recorded of, what is left is taken for its own prompt, unless it has places to fill.
    is_own = own == model.prompts.get("document", "") if model else "{" not in own
    if not (old.prompt.endswith(template) and is_own):
        raise CollectionMismatch(
            f"The texts of {old.name} were embedded with {old.prompt!r} before each, and EMBEDSTACK_DOCUMENT_CONTEXT "
            f"is {template!r}: set it to what the collection has. To change it, ingest the documents into another "
            "collection."
        )


def _require_same_prefixes(collection: Collection, prefix: ContextPrefix) -> None:
    """See that each chunk's prefix can be made of what is stored with it, before hours are spent.

    It cannot where headings were too long to be stored whole, or the prefix for a chunk.
    """
    for record in collection.scan():
        if hash_text(_prefix(record, prefix) + record.text) != record.content_hash:
            raise CollectionMismatch(
                f"What stood before a chunk of {shown(str(record.metadata.get('source', record.id)))} when it was "
                f"embedded cannot be made again of what is stored with it. {_REMEDY}"
            )


def _prefix(record: Record, prefix: ContextPrefix) -> str:
    metadata = record.metadata
    page = metadata.get("page")
    return prefix.fill(
        str(metadata.get("source", "")), tuple(metadata.get("headings", ())), None if page is None else int(page)
    )
