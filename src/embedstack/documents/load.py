"""Creates an ingestion from settings."""

import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedstack.documents.chunking import Chunker
from embedstack.documents.ingestion import Ingestion, collection_info
from embedstack.documents.limits import ReadLimits
from embedstack.errors import CollectionNotFound, ConfigurationError
from embedstack.factory import load_embedder
from embedstack.models.local_files import download_tokenizer, find_model_folder
from embedstack.settings.settings import Settings, change_settings, load_settings
from embedstack.stores import load_store
from embedstack.stores.reader_secret import provide_reader

if TYPE_CHECKING:
    import boto3

    from embedstack.embedders import Embedder
    from embedstack.models.model_info import ModelInfo
    from embedstack.stores import VectorStore

__all__ = ["find_tokenizer", "load_chunker", "load_ingestion"]

# Default chunk size for late chunking, as a share of the model's token limit.
_LATE_CHUNK_SHARE = 0.25


def load_ingestion(
    settings: Settings | None = None,
    *,
    limits: ReadLimits | None = None,
    optimize: bool = True,
    session: "boto3.Session | None" = None,
    **overrides: Any,
) -> Ingestion:
    """Open the configured collection for ingestion; create it if it does not exist.

    Args:
        settings: The settings; defaults to those of the environment and ``.env``.
        limits: Limits for reading a document; the settings for OCR are added.
        optimize: Build missing indexes when the collection is opened. A bulk load is faster without, and calls
            ``ingestion.collection.optimize()`` at its end.
        session: A custom boto3 session.
        overrides: Settings to override, by name.

    Returns:
        The ingestion. Close it, or use it in a ``with`` statement.

    Raises:
        ConfigurationError: A setting is invalid, or a package is missing.
        CollectionMismatch: The collection has another model, prompt or chunker.
        StoreUnavailable: The store does not respond.
    """
    settings = change_settings(settings, **overrides) if settings else load_settings(**overrides)
    late = settings.embedstack_late_chunking
    # The collection serves as the cache, and each call has its own time limit.
    embedder = load_embedder(settings, session=session, embedstack_cache_mb=0, embedding_deadline_seconds=None)
    try:
        chunker = load_chunker(settings, embedder)
        store = load_store(settings, session=session)
    except BaseException:
        embedder.close()
        raise

    close = partial(_close, embedder, store)
    try:
        name = settings.embedstack_collection
        language = _collection_language(store, name, settings.collection_language)
        info = collection_info(name, embedder, chunker, late=late, language=language)
        collection = store.open(info)
        if settings.database_reader_secret_arn is not None:
            _provide_reader(store, settings.database_reader_secret_arn, settings, session)
        if optimize:
            # Every time, since the process that created the collection may have been killed before it built indexes.
            collection.optimize(only_missing=True)
        return Ingestion(embedder, collection, chunker, late=late, limits=_with_ocr(limits, settings), on_close=close)
    except BaseException:
        close()
        raise


def _provide_reader(store: "VectorStore", arn: str, settings: Settings, session: "boto3.Session | None") -> None:
    from embedstack.stores.pgvector import PgVectorStore  # noqa: PLC0415 - an extra

    if isinstance(store, PgVectorStore):
        provide_reader(store, arn, settings, session=session)


def _collection_language(store: "VectorStore", name: str, configured: str | None) -> str | None:
    """An existing collection keeps its language; the configured one applies to a new collection."""
    try:
        return store.describe(name).language
    except CollectionNotFound:
        return configured


def _with_ocr(limits: ReadLimits | None, settings: Settings) -> ReadLimits:
    limits = limits or ReadLimits()
    return replace(limits, ocr_languages=settings.ocr_languages) if settings.embedstack_ocr else limits


def _close(embedder: "Embedder", store: "VectorStore") -> None:
    embedder.close()
    store.close()


def load_chunker(settings: Settings, embedder: "Embedder") -> Chunker:
    """The configured chunker for an embedder's model.

    Raises:
        ConfigurationError: The chunk size exceeds the model's token limit, or its tokenizer is missing.
    """
    limit, chosen = embedder.info.max_tokens, settings.embedstack_chunk_tokens
    if limit is not None and chosen is not None and chosen > limit:
        raise ConfigurationError(
            f"EMBEDSTACK_CHUNK_TOKENS is {chosen}, but {embedder.info.model_id} reads {limit} tokens. Set it to "
            f"{limit} or less."
        )
    if chosen is None:
        limit = embedder.info.require_max_tokens()
        chosen = int(limit * _LATE_CHUNK_SHARE) if settings.embedstack_late_chunking else limit
    return Chunker(
        find_tokenizer(settings, embedder.info),
        chosen,
        settings.embedstack_chunk_overlap,
        prompt=embedder.prompts.get("document", ""),
        prefix=settings.embedstack_document_context or "",
    )


def find_tokenizer(settings: Settings, model: "ModelInfo") -> Path:
    """The model's ``tokenizer.json``: the configured one, the model folder's, the function package's, or the Hub's.

    Raises:
        ConfigurationError: None of these exists.
    """
    if settings.embedstack_tokenizer is not None:
        return settings.embedstack_tokenizer
    folder = find_model_folder(model.model_id, settings.embedstack_models_dir, model.revision)
    # Lambda sets LAMBDA_TASK_ROOT to the folder that a function's package is unpacked to.
    package = os.environ.get("LAMBDA_TASK_ROOT")
    for place in (folder, package):
        if place is not None and (file := Path(place, "tokenizer.json")).is_file():
            return file
    downloaded = None if package else download_tokenizer(model.model_id, model.revision)
    if downloaded is None:
        raise ConfigurationError(
            f"The tokenizer.json of {model.model_id}, which is needed to chunk documents, is missing, and the Hugging "
            f"Face Hub does not provide it. Put the model's folder at "
            f"{settings.embedstack_models_dir / model.model_id}, or set EMBEDSTACK_TOKENIZER to the file."
        )
    return downloaded
