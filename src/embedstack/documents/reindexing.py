"""Re-embeds a collection of documents with another model from its stored texts."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from embedstack.documents.context import ContextPrefix
from embedstack.documents.limits import display_name
from embedstack.errors import CollectionMismatch
from embedstack.models.catalogue import KNOWN_MODELS
from embedstack.stores import Collection, CollectionInfo, Record, VectorStore, hash_text, reembed

if TYPE_CHECKING:
    from embedstack.embedders import Embedder

__all__ = ["is_chunked_by_ingestion", "reindex"]

_REMEDY = "Ingest the documents into another collection instead; see docs/guides/reindexing.md."
# Prefixes of chunker names; see Chunker.name and collection_info.
_LATE, _SEPARATE = "late-", "semantic-"


def is_chunked_by_ingestion(info: CollectionInfo) -> bool:
    """Whether ingestion chunked a collection's texts and embedded them separately, so that it can add documents."""
    return (info.chunker or "").startswith(_SEPARATE)


def reindex(
    store: VectorStore,
    name: str,
    embedder: "Embedder",
    *,
    template: str = "",
    on_progress: Callable[[int], Any] = lambda _: None,
) -> Collection:
    """Re-embed a collection's texts with another model, with the same context prefixes, and switch to the result.

    Texts are not chunked again, and the collection keeps its chunker's name. Documents can be added only if the new
    model's chunker has the same name.

    Args:
        store: The store.
        name: The collection's name.
        embedder: The new model's embedder.
        template: ``EMBEDSTACK_DOCUMENT_CONTEXT`` as of when the texts were embedded.
        on_progress: Called after each batch with the number of texts embedded.

    Returns:
        The collection after the switch.

    Raises:
        CollectionNotFound: The collection does not exist.
        CollectionMismatch: The vectors cannot be computed from the stored texts, or another replacement exists.
        ConfigurationError: The collection has sparse vectors, or the template is invalid.
        ReplacementIncomplete: Records are written faster than they are embedded.
        EmbedStackError: The embedder or the store failed. Repeat the call to continue.
    """
    old = store.describe(name)
    _require_texts_suffice(old, template)
    prefix = ContextPrefix(template)
    if template and is_chunked_by_ingestion(old):
        _require_same_prefixes(store.open(old, create=False), prefix)
    dimensions, model = embedder.learn_dimensions(), embedder.info
    info = replace(
        old, model_id=model.model_id, dimensions=dimensions, revision=model.revision,
        prompt=embedder.prompts.get("document", "") + template, query_prompt=embedder.prompts.get("query", ""),
    )  # fmt: skip
    return reembed(
        store, info, embedder.embed_documents,
        text_of=lambda record: _prefix(record, prefix) + record.text, on_progress=on_progress,
    )  # fmt: skip


def _require_texts_suffice(old: CollectionInfo, template: str) -> None:
    if (old.chunker or "").startswith(_LATE):
        raise CollectionMismatch(
            f"The vectors of {old.name} were computed by late chunking, which needs the whole documents. {_REMEDY}"
        )
    model_prompt = old.prompt.removesuffix(template)
    model = KNOWN_MODELS.get(old.model_id)
    # For unknown models, the rest is taken for the model's prompt, unless it contains placeholders.
    is_model_prompt = model_prompt == model.prompts.get("document", "") if model else "{" not in model_prompt
    if not (old.prompt.endswith(template) and is_model_prompt):
        raise CollectionMismatch(
            f"The texts of {old.name} were embedded with the prefix {old.prompt!r}, but EMBEDSTACK_DOCUMENT_CONTEXT is "
            f"{template!r}. Set it to the collection's prefix. To change the prefix, ingest the documents into another "
            "collection."
        )


def _require_same_prefixes(collection: Collection, prefix: ContextPrefix) -> None:
    """Check that each chunk's prefix can be rebuilt from its stored metadata, before embedding for hours.

    It cannot if headings or the prefix were truncated.
    """
    for record in collection.scan():
        if hash_text(_prefix(record, prefix) + record.text) != record.content_hash:
            source = display_name(str(record.metadata.get("source", record.id)))
            raise CollectionMismatch(
                f"The prefix of a chunk of {source} cannot be rebuilt from its stored metadata. {_REMEDY}"
            )


def _prefix(record: Record, prefix: ContextPrefix) -> str:
    metadata = record.metadata
    page = metadata.get("page")
    return prefix.fill(
        str(metadata.get("source", "")), tuple(metadata.get("headings", ())), None if page is None else int(page)
    )
