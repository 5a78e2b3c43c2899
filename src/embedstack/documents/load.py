"""An ingestion from configuration."""

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedstack.documents.chunking import Chunker
from embedstack.documents.ingestion import Ingestion, collection_info
from embedstack.errors import ConfigurationError
from embedstack.factory import load_embedder
from embedstack.models.local_files import find_model_folder
from embedstack.settings.settings import Settings, change_settings, load_settings
from embedstack.stores import load_store

if TYPE_CHECKING:
    import boto3

    from embedstack.documents.limits import ReadLimits
    from embedstack.embedders import Embedder
    from embedstack.stores import VectorStore

__all__ = ["find_tokenizer", "load_chunker", "load_ingestion"]

# Of what the model reads, how much a chunk has by default where the rest is for the text around it.
_LATE_SHARE = 0.25


def load_ingestion(
    settings: Settings | None = None,
    *,
    limits: "ReadLimits | None" = None,
    optimize: bool = True,
    session: "boto3.Session | None" = None,
    **overrides: Any,
) -> Ingestion:
    """Open the configured collection for documents; it is made where there is none.

    Args:
        settings: Configuration; read from the environment and ``.env`` otherwise.
        limits: What reading a document may take.
        optimize: Build the collection's indexes at once where they are missing, since a pipeline has no moment at which
            its load is done. A bulk load is faster without, and calls ``ingestion.collection.optimize()`` when it is
            done.
        session: A boto3 session of the caller's.
        overrides: Settings that beat the configured ones, by their names.

    Returns:
        The ingestion. Close it, or use it in a ``with`` statement, to let go of threads and connections.

    Raises:
        ConfigurationError: A setting or a package is missing or wrong.
        CollectionMismatch: The collection holds vectors of another model, prompt or chunking.
        StoreUnavailable: The store does not answer.
    """
    settings = change_settings(settings, **overrides) if settings else load_settings(**overrides)
    late = settings.embedstack_late_chunking
    # The collection itself tells what is embedded already, and each call says how long it may take.
    embedder = load_embedder(settings, session=session, embedstack_cache_mb=0, embedding_deadline_seconds=None)
    try:
        chunker = load_chunker(settings, embedder)
        store = load_store(settings, session=session)
    except BaseException:
        embedder.close()
        raise

    close = partial(_close, embedder, store)
    try:
        info = collection_info(settings.embedstack_collection, embedder, chunker, late=late)
        collection = store.open(info)
        if optimize:
            # With every opening: whoever made the collection may have been killed before its indexes were built.
            collection.optimize(only_missing=True)
        return Ingestion(embedder, collection, chunker, late=late, limits=limits, on_close=close)
    except BaseException:
        close()
        raise


def _close(embedder: "Embedder", store: "VectorStore") -> None:
    embedder.close()
    store.close()


def load_chunker(settings: Settings, embedder: "Embedder") -> Chunker:
    """The configured chunker, for an embedder's model.

    Raises:
        ConfigurationError: Chunks are to be longer than the model reads, or its tokenizer is not to be found.
    """
    reads = embedder.info.max_tokens
    default = int(reads * _LATE_SHARE) if settings.embedstack_late_chunking else reads
    tokens = settings.embedstack_chunk_tokens or default
    if tokens > reads:
        raise ConfigurationError(
            f"EMBEDSTACK_CHUNK_TOKENS is {tokens}, and {embedder.info.model_id} reads {reads} tokens: set it to that "
            "or less."
        )
    return Chunker(
        find_tokenizer(settings, embedder.info.model_id),
        tokens,
        settings.embedstack_chunk_overlap,
        prompt=embedder.prompts.get("document", ""),
        prefix=settings.embedstack_document_context or "",
    )


def find_tokenizer(settings: Settings, model_id: str) -> Path:
    """The model's ``tokenizer.json``: the configured one, or else the model folder's, or the function package's.

    Raises:
        ConfigurationError: There is none.
    """
    if settings.embedstack_tokenizer is not None:
        return settings.embedstack_tokenizer
    folder = find_model_folder(model_id, settings.embedstack_models_dir)
    # Lambda's name for the folder that a function's package is unpacked to.
    package = os.environ.get("LAMBDA_TASK_ROOT")
    for place in (folder, package):
        if place is not None and (file := Path(place, "tokenizer.json")).is_file():
            return file
    raise ConfigurationError(
        f"Documents are cut by the tokens of {model_id}, whose tokenizer.json is not on this machine: put the model's "
        f"folder at {settings.embedstack_models_dir / model_id}, or set EMBEDSTACK_TOKENIZER to the file."
    )
