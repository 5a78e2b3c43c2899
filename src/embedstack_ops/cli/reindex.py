"""``embedstack reindex``: re-embed a collection with another model, then switch to the new vectors."""

import click
from rich.console import Console
from rich.markup import escape

from embedstack.documents.ingestion import collection_info
from embedstack.documents.load import load_chunker
from embedstack.documents.reindexing import is_chunked_by_ingestion, reindex
from embedstack.embedders import Embedder
from embedstack.errors import ConfigurationError
from embedstack.factory import load_embedder
from embedstack.settings.settings import Settings, load_settings
from embedstack.stores import CollectionInfo, load_store
from embedstack_ops.cli.command import exit_on_error, progress_bar
from embedstack_ops.cli.target import targeted, uses_aws

_EXAMPLES = """\b
Examples:
  embedstack reindex --endpoint alex-bge-endpoint --model BAAI/bge-m3
  embedstack reindex --backend local --model sentence-transformers/all-MiniLM-L6-v2 --drop-replaced
"""


@click.command(epilog=_EXAMPLES)
@click.option("--collection", help="Collection.  [default: EMBEDSTACK_COLLECTION]")
@click.option("--model", help="Hub id of the new model.  [default: EMBEDDING_MODEL]")
@click.option("--revision", help="Its revision on the Hub.  [default: without --model, EMBEDDING_MODEL_REVISION]")
@click.option("--endpoint", help="Endpoint that serves it.  [default: SAGEMAKER_ENDPOINT]")
@click.option("--component", help="Inference component.  [default: SAGEMAKER_INFERENCE_COMPONENT]")
@click.option("--backend", help="Embedding backend.  [default: EMBEDDING_BACKEND]")
@click.option("--drop-replaced", is_flag=True, help="Delete the old vectors afterwards.")
@click.option("--region", help="AWS region.  [default: from the environment]")
@exit_on_error
@targeted(uses_aws)
def main(
    collection: str | None,
    model: str | None,
    revision: str | None,
    endpoint: str | None,
    component: str | None,
    backend: str | None,
    drop_replaced: bool,
    region: str | None,
) -> None:
    """Re-embed the texts of a collection with another model.

    Searches use the old vectors until the command switches to the new ones. An interrupted run can be repeated and
    continues where it stopped. Texts keep their chunks; EMBEDSTACK_DOCUMENT_CONTEXT is prepended again where it was.
    """
    configured = load_settings(aws_region=region, embedstack_collection=collection, embedding_backend=backend)
    settings = configured.with_model(model)
    settings = settings.model_copy(
        update={
            "sagemaker_endpoint": endpoint or settings.sagemaker_endpoint,
            # The configured component belongs to the configured endpoint, and the revision to the configured model.
            "sagemaker_inference_component": component or settings.component_of(endpoint),
            "embedding_model_revision": revision or (None if model else settings.embedding_model_revision),
        }
    )
    console = Console(highlight=False)
    with load_embedder(settings) as embedder, load_store(settings) as store:
        name = settings.embedstack_collection
        old = store.describe(name)
        if is_chunked_by_ingestion(old) and not _can_be_added_to(old, settings, embedder):
            console.print(
                f"[yellow]![/] {escape(name)} keeps its chunks, but {escape(embedder.info.model_id)} needs others: "
                "documents added later, also by a pipeline, will be rejected. Ingest all into a new collection.",
                soft_wrap=True,
            )  # fmt: skip
        with progress_bar(console) as progress:
            task = progress.add_task("texts", total=store.open(old, create=False).count())
            replacement = reindex(
                store, name, embedder,
                template=settings.embedstack_document_context or "",
                on_progress=lambda texts: progress.advance(task, texts),
            )  # fmt: skip
        info = replacement.info
        console.print(
            f"{escape(name)}: {replacement.count()} vectors of {escape(info.model_id)}, {info.dimensions} dimensions"
        )
        if drop_replaced:
            store.drop_replaced(name)
            console.print(f"Deleted the vectors of {escape(old.model_id)}.")


def _can_be_added_to(old: CollectionInfo, settings: Settings, embedder: Embedder) -> bool:
    """Whether the new model's chunker splits documents as the collection's chunks were split."""
    try:
        chunker = load_chunker(settings, embedder)
    except ConfigurationError:
        return False  # without the new model's tokenizer, documents cannot be split here
    return collection_info(old.name, embedder, chunker, late=settings.embedstack_late_chunking).chunker == old.chunker
