"""``embedstack golden``: compute the golden vectors that ``embedstack validate`` compares an endpoint with."""

from pathlib import Path

import click

from embedstack.models.golden import golden_file
from embedstack.models.local_files import find_model_folder
from embedstack.models.resolution import resolve_model
from embedstack.settings.settings import load_settings
from embedstack_ops.cli.command import exit_on_error
from embedstack_server.golden import compute_golden
from embedstack_server.packaging import fetch_from_hub

_EXAMPLES = """\b
Examples:
  embedstack golden intfloat/multilingual-e5-small
  embedstack golden my/model --folder ./my-model --prompt "passage: "
"""


@click.command(epilog=_EXAMPLES)
@click.argument("model_id")
@click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The model's files.  [default: those in EMBEDSTACK_MODELS_DIR, else downloaded from the Hub]",
)
@click.option("--revision", help="Commit on the Hub to download.")
@click.option("--prompt", help="Text to put before each text.  [default: the model's prompt for documents]")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write.  [default: golden/ in EMBEDSTACK_MODELS_DIR, where validate looks for it]",
)
@exit_on_error
def main(model_id: str, folder: Path | None, revision: str | None, prompt: str | None, output: Path | None) -> None:
    """Compute golden vectors of MODEL_ID with sentence-transformers, or with the built-in encoder without it."""
    settings = load_settings()
    folder = folder or find_model_folder(model_id, settings.embedstack_models_dir)
    if folder is None:
        folder, _ = fetch_from_hub(model_id, revision)
    if prompt is None:
        prompt = resolve_model(settings.with_model(model_id)).prompts.get("document", "")
    golden = compute_golden(folder, prompt)
    output = output or golden_file(model_id, settings.embedstack_models_dir)
    golden.write(output)
    texts, dimensions = golden.vectors.shape
    click.echo(f"{output}: {texts} vectors of {dimensions} dimensions by {golden.reference}")
