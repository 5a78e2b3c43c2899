"""``embedstack package-model``: package a model and this model server for the Hugging Face PyTorch container."""

from pathlib import Path
from typing import get_args

import click

from embedstack_ops.cli.command import exit_on_error
from embedstack_server.model.precision import PrecisionSetting
from embedstack_server.packaging import fetch_from_hub, make_package

_EXAMPLES = """\b
Examples:
  embedstack package-model sentence-transformers/all-MiniLM-L6-v2 model.tar.gz
  embedstack package-model my/model model.tar.gz --folder ./my-model --precision int8
  aws s3 cp model.tar.gz s3://my-models/minilm/model.tar.gz
"""


@click.command(epilog=_EXAMPLES)
@click.argument("model_id")
@click.argument("target", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The model's files.  [default: downloaded from the Hub]",
)
@click.option("--revision", help="Commit on the Hub; with --folder, the commit of these files.")
@click.option("--precision", type=click.Choice(get_args(PrecisionSetting)), default="auto", show_default=True)
@click.option("--python", default="3.12", show_default=True, help="Python version of the container.")
@exit_on_error
def main(
    model_id: str, target: Path, folder: Path | None, revision: str | None, precision: PrecisionSetting, python: str
) -> None:
    """Package MODEL_ID, an embedding model or a reranker on the Hugging Face Hub, as TARGET."""
    if folder is None:
        folder, revision = fetch_from_hub(model_id, revision)
    package = make_package(folder, target, model_id=model_id, revision=revision, precision=precision, python=python)
    manifest = package.manifest
    if manifest.kind == "reranker":
        description = "reranker"
        accuracy = f"coefficient of determination of its scores {manifest.determination:.5f} by"
    else:
        description = f"{manifest.dimensions} dimensions"
        accuracy = f"minimum cosine {manifest.cosine:.5f} to"
    click.echo(
        f"{package.path}: {manifest.model_id}, {description}, {manifest.precision}, {accuracy} {manifest.reference}\n"
        f"{package.packed_bytes / 1e6:.0f} MB compressed, {package.unpacked_bytes / 1e6:.0f} MB unpacked"
    )
