"""``embedstack package-functions``: build the packages of the Lambda functions."""

import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import get_args

import click

from embedstack.errors import ConfigurationError
from embedstack.models.local_files import download_tokenizer, find_model_folder
from embedstack.settings.settings import Settings, load_settings
from embedstack_ops.cli.checkout import ROOT, STATE
from embedstack_ops.cli.command import exit_on_error
from embedstack_ops.lambda_packages.build import FUNCTIONS, FunctionPackage, build_function
from embedstack_ops.lambda_packages.wheels import Architecture, Target

__all__ = ["build"]

_EXAMPLES = """\b
Examples:
  embedstack package-functions
  embedstack package-functions ingest --architecture arm64 --python 3.13
  embedstack package-functions --model BAAI/bge-m3 --tokenizer ./bge-m3/tokenizer.json
  embedstack package-functions --architecture arm64 --python 3.13 --database-ca global-bundle.pem
"""
_HERE = Target.of_this_machine()


@click.command(epilog=_EXAMPLES)
@click.argument("functions", nargs=-1, type=click.Choice(sorted(FUNCTIONS)))
@click.option(
    "--architecture",
    type=click.Choice(get_args(Architecture)),
    default=_HERE.architecture,
    show_default="this machine's",
    help="Processor of the functions.",
)
@click.option("--python", default=_HERE.python, show_default="this Python's", help="Python version of the functions.")
@click.option("--model", help="Hub id of the endpoint's model.  [default: EMBEDDING_MODEL]")
@click.option(
    "--tokenizer",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The model's tokenizer.json, or a model.tar.gz that contains it.  [default: the model folder's, or the Hub's]",
)
@click.option(
    "--database-ca",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="CA bundle for Aurora: https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem, or a region's.",
)
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=STATE / "lambda",
    show_default=".local/lambda",
    help="Folder that the packages are written to.",
)
@exit_on_error
def main(
    functions: tuple[str, ...],
    architecture: Architecture,
    python: str,
    model: str | None,
    tokenizer: Path | None,
    database_ca: Path | None,
    folder: Path,
) -> None:
    """Write FOLDER/<architecture>-<python>/<name>.zip for each of FUNCTIONS (default: all)."""
    target = Target(architecture, python)
    for package in build(
        functions or sorted(FUNCTIONS), target, folder, model=model, tokenizer=tokenizer, database_ca=database_ca
    ):
        parts = ", ".join(f"{part.name} {part.packed_bytes / 1e6:.1f}" for part in package.largest)
        click.echo(
            f"{package.path}: Python {python} on {architecture}, {package.packed_bytes / 1e6:.1f} MB, unzipped "
            f"{package.unpacked_bytes / 1e6:.0f} MB\n  largest, in MB: {parts}\n  sha256 {package.sha256}"
        )
    if not target.runs_on_lambda:
        click.secho(
            f"These packages run on this machine only: their wheels need a newer C library than Lambda's "
            f"Python {python} has. Build with --python 3.13 for AWS.",
            fg="yellow",
            err=True,
        )


def build(
    functions: Iterable[str],
    target: Target,
    folder: Path = STATE / "lambda",
    *,
    model: str | None = None,
    tokenizer: Path | None = None,
    database_ca: Path | None = None,
    wheels: Path = STATE / "wheels",
) -> Iterator[FunctionPackage]:
    """Write the packages of functions into a folder, one by one.

    Args:
        functions: Their names.
        target: The architecture and Python version of the functions.
        folder: Parent of the target's folder, such as ``arm64-3.13``.
        model: Hub id of the endpoint's model; defaults to ``EMBEDDING_MODEL``.
        tokenizer: The model's ``tokenizer.json``, or an archive that contains it; defaults to the model folder's, or
            the Hub's.
        database_ca: CA bundle that verifies the database's certificate.
        wheels: Cache of downloaded wheels.
    """
    folder /= target.name
    folder.mkdir(parents=True, exist_ok=True)
    settings = load_settings(embedding_model=model)
    with _unpacked(tokenizer) as file:
        for name in functions:
            brings = (file or _find_tokenizer(settings)) if name == "ingest" else None
            yield build_function(
                name, ROOT, folder / f"{name}.zip",
                target=target, model=settings.embedding_model, tokenizer=brings, database_ca=database_ca, wheels=wheels,
            )  # fmt: skip


def _find_tokenizer(settings: Settings) -> Path:
    model_id = settings.embedding_model
    folder = find_model_folder(model_id, settings.embedstack_models_dir)
    if folder is not None and (folder / "tokenizer.json").is_file():
        return folder / "tokenizer.json"
    downloaded = download_tokenizer(model_id, settings.embedding_model_revision)
    if downloaded is None:
        raise ConfigurationError(
            f"No tokenizer.json of {model_id} is on this machine, and the Hugging Face Hub does not provide it. Pass "
            f"--tokenizer, or put the model into {settings.embedstack_models_dir}/."
        )
    return downloaded


@contextmanager
def _unpacked(tokenizer: Path | None) -> Iterator[Path | None]:
    """The tokenizer, taken out of a model's archive if it is in one."""
    if tokenizer is None or not tarfile.is_tarfile(tokenizer):
        yield tokenizer
        return
    with tempfile.TemporaryDirectory() as folder, tarfile.open(tokenizer) as archive:
        member = next((member for member in archive if PurePosixPath(member.name).name == "tokenizer.json"), None)
        content = archive.extractfile(member) if member else None
        if content is None:
            raise ConfigurationError(f"{tokenizer} contains no tokenizer.json. Pass the file itself.")
        file = Path(folder, "tokenizer.json")
        file.write_bytes(content.read())
        yield file
