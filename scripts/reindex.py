"""Embed a collection anew with another model, beside the old vectors, and switch to the new ones at once."""

from dataclasses import replace

import click
from rich.console import Console

from command_line import exit_on_error, progress_bar
from embedstack.factory import load_embedder
from embedstack.settings import load_settings
from embedstack.stores import load_store, reembed

_EXAMPLES = """\b
Examples:
  python scripts/reindex.py --endpoint alex-bge-endpoint --model BAAI/bge-m3
  python scripts/reindex.py --backend local --model sentence-transformers/all-MiniLM-L6-v2 --drop-replaced
"""


@click.command(epilog=_EXAMPLES)
@click.option("--collection", help="EMBEDSTACK_COLLECTION otherwise.")
@click.option("--model", help="Hub id of the new model; ST_MODEL_NAME otherwise.")
@click.option("--endpoint", help="The endpoint that serves it; SAGEMAKER_ENDPOINT otherwise.")
@click.option("--backend", help="Where vectors come from; EMBEDDING_BACKEND otherwise.")
@click.option("--drop-replaced", is_flag=True, help="Delete the old vectors at the end.")
@click.option("--region", help="AWS region; that of the environment otherwise.")
@exit_on_error
def main(
    collection: str | None,
    model: str | None,
    endpoint: str | None,
    backend: str | None,
    drop_replaced: bool,
    region: str | None,
) -> None:
    """Searches go on meanwhile. Stopped in the middle, the same command goes on where it was."""
    settings = load_settings(
        aws_region=region,
        embedstack_collection=collection,
        st_model_name=model,
        sagemaker_endpoint=endpoint,
        embedding_backend=backend,
    )
    console = Console(highlight=False)
    with load_embedder(settings) as embedder, load_store(settings) as store:
        name = settings.embedstack_collection
        old = store.describe(name)
        wanted = replace(
            old, model_id=embedder.info.model_id, dimensions=embedder.info.dimensions, revision=embedder.info.revision
        )
        with progress_bar(console) as progress:
            task = progress.add_task("texts", total=store.open(old, create=False).count())
            replacement = reembed(
                store, wanted, embedder.embed_documents, on_progress=lambda texts: progress.advance(task, texts)
            )
        console.print(f"{name}: {replacement.count()} vectors of {wanted.model_id}, {wanted.dimensions} dimensions")
        if drop_replaced:
            store.drop_replaced(name)
            console.print(f"what {old.model_id} had made of them is deleted")


if __name__ == "__main__":
    main()
