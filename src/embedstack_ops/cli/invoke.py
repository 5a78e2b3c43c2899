"""``embedstack invoke``: embed a text with the deployed endpoint."""

import json
import sys
from pathlib import Path

import click
from rich.console import Console

from embedstack.embedders import SageMakerEmbedder
from embedstack.errors import InputError
from embedstack_ops.cli.command import endpoint_settings, exit_on_error, expected_model
from embedstack_ops.cli.target import targeted
from embedstack_ops.validation.endpoint_description import describe_deployment

_PRINTED_VALUES = 6

_EXAMPLES = """\b
Examples:
  embedstack invoke "Hello, world"
  embedstack invoke --file vectorize_me.json
  cat article.txt | embedstack invoke - --truncate --json > vector.json
"""


@click.command(epilog=_EXAMPLES)
@click.argument("text", required=False)
@click.option(
    "--file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help='Read the text from a file; from a .json file its member "inputs".',
)  # fmt: skip
@click.option("--endpoint", help="Endpoint name.  [default: SAGEMAKER_ENDPOINT, else the applied endpoint]")
@click.option("--region", help="AWS region.  [default: from the environment]")
@click.option("--component", help="Inference component, if the endpoint has several.")
@click.option(
    "--model", "model_id", help="Model that it should serve.  [default: EMBEDDING_MODEL, else the endpoint's model]"
)
@click.option("--truncate", is_flag=True, help="Truncate a text that is longer than the model's limit.")
@click.option("--json", "as_json", is_flag=True, help="Print the vectors as JSON, a list of lists.")
@exit_on_error
@targeted()
def main(
    text: str | None,
    file: Path | None,
    endpoint: str | None,
    region: str | None,
    component: str | None,
    model_id: str | None,
    truncate: bool,
    as_json: bool,
) -> None:
    """Embed TEXT, a file, or standard input (TEXT is -), and print the vector."""
    texts = _read(text, file)
    settings = endpoint_settings(endpoint, region, component)
    name = settings.required_endpoint()
    component = settings.sagemaker_inference_component
    model = expected_model(settings, endpoint, model_id)
    if model is None or model_id is None:
        deployment = describe_deployment(name, settings)
        model, component = model or deployment.model(settings), deployment.component
    embedder = SageMakerEmbedder(
        model, endpoint=name, inference_component=component, settings=settings, truncate=truncate
    )
    vectors = embedder.embed(texts)
    if as_json:
        click.echo(json.dumps(vectors.tolist()))
        return
    console = Console(highlight=False)
    for vector in vectors:
        first = ", ".join(f"{value:+.4f}" for value in vector[:_PRINTED_VALUES])
        console.print(f"{len(vector)} dimensions: \\[{first}, …]", soft_wrap=True)


def _read(text: str | None, file: Path | None) -> list[str]:
    if (text is None) == (file is None):
        raise click.UsageError("Pass either TEXT (- for standard input) or --file.")
    try:
        content = file.read_text(encoding="utf-8") if file else sys.stdin.read() if text == "-" else str(text)
        inputs = json.loads(content)["inputs"] if file and file.suffix == ".json" else content
    except UnicodeDecodeError as error:
        raise InputError(f"The text is not UTF-8 ({error.reason} at byte {error.start}).") from None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f'{file} is not a JSON object with "inputs": {error!r}') from None
    return [inputs] if isinstance(inputs, str) else list(inputs)
