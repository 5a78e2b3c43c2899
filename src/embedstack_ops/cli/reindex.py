"""Embed a collection anew with another model, beside the old vectors, and switch to the new ones at once."""

import click
from rich.console import Console
from rich.markup import escape

from embedstack.documents.ingestion import collection_info
from embedstack.documents.load import load_chunker
from embedstack.documents.reindexing import reindex, was_cut_here
from embedstack.embedders import Embedder
from embedstack.errors import ConfigurationError
from embedstack.factory import load_embedder
from embedstack.settings.settings import Settings, load_settings
from embedstack.stores import CollectionInfo, load_store
from embedstack_ops.cli.command_line import exit_on_error, progress_bar
from embedstack_ops.cli.target import targeted, uses_aws

_EXAMPLES = """\b
Examples:
  embedstack reindex --endpoint alex-bge-endpoint --model BAAI/bge-m3
  embedstack reindex --backend local --model sentence-transformers/all-MiniLM-L6-v2 --drop-replaced
"""


@click.command(epilog=_EXAMPLES)
@click.option("--collection", help="EMBEDSTACK_COLLECTION otherwise.")
@click.option("--model", help="Hub id of the new model; ST_MODEL_NAME otherwise.")
@click.option("--revision", help="Revision of it on the Hub; without --model ST_MODEL_REVISION otherwise.")
@click.option("--endpoint", help="The endpoint that serves it; SAGEMAKER_ENDPOINT otherwise.")
@click.option("--component", help="Its inference component there; that of SAGEMAKER_ENDPOINT otherwise.")
@click.option("--backend", help="Where vectors come from; EMBEDDING_BACKEND otherwise.")
@click.option("--drop-replaced", is_flag=True, help="Delete the old vectors at the end.")
@click.option("--region", help="AWS region; that of the environment otherwise.")
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
    """Searches go on meanwhile. Stopped in the middle, the same command goes on where it was.

    The stored texts are embedded, with EMBEDSTACK_DOCUMENT_CONTEXT before them where they had it; they are not cut
    anew. For a collection that a pipeline goes on writing to, see docs/documents.md, "Another model".
    """
    settings = load_settings(
        aws_region=region, embedstack_collection=collection, st_model_name=model, embedding_backend=backend
    )
    settings = settings.model_copy(
        update={
            "sagemaker_endpoint": endpoint or settings.sagemaker_endpoint,
            # The configured component is of the configured endpoint, and the revision of the model: of no others.
            "sagemaker_inference_component": component or settings.component_of(endpoint),
            "st_model_revision": revision or (None if model else settings.st_model_revision),
        }
    )
    console = Console(highlight=False)
    with load_embedder(settings) as embedder, load_store(settings) as store:
        name = settings.embedstack_collection
        old = store.describe(name)
        if was_cut_here(old) and not _can_be_added_to(old, settings, embedder):
            console.print(
                f"[yellow]![/] {escape(name)} keeps its chunks, and {escape(embedder.info.model_id)} would cut others: "
                "documents that come later will be refused, also in a pipeline. See docs/documents.md, \"Another "
                'model".',
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
            console.print(f"what {escape(old.model_id)} had made of them is deleted")


def _can_be_added_to(old: CollectionInfo, settings: Settings, embedder: Embedder) -> bool:
    """Whether documents are still cut as the collection's were, once it has the new model's vectors."""
    try:
        chunker = load_chunker(settings, embedder)
    except ConfigurationError:
        return False  # there is no tokenizer of the new model here, and so nobody to cut as before
    return collection_info(old.name, embedder, chunker, late=settings.embedstack_late_chunking).chunker == old.chunker
