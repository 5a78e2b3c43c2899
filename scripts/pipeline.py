"""``make pipeline``: deploy the document pipeline on the local AWS, ingest documents, and search them."""

import needed_packages  # noqa: F401 - exits if packages are missing

# isort: split
import json
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from rich.console import Console

import sample_documents
from default_network import default_subnets
from embedstack.aws.clients import create_client
from embedstack.documents.ingest_queue import count_messages
from embedstack.settings.settings import Settings, load_settings
from embedstack_ops.cli import local, package_functions, search, search_function
from embedstack_ops.cli.checkout import (
    ROOT,
    STATE,
    TERRAFORM,
    applied_settings,
    apply_locally,
    deploying,
    remember_local_variables,
)
from embedstack_ops.cli.command import exit_on_error, progress_bar
from embedstack_ops.cli.target import acting_on_local
from embedstack_ops.lambda_packages.build import PIPELINE_FUNCTIONS
from embedstack_ops.lambda_packages.wheels import Target
from embedstack_ops.terraform.driver import TerraformRoot
from localaws.config import LocalAwsConfig

_VARIABLES = TERRAFORM / "environments" / "pipeline-local.tfvars"
_QUERIES = (
    "How do I compress data so that it takes less space?",
    "Run several tasks at once and wait for all of them",
    "Which function tells the number of days in a month?",
)
_POLL_SECONDS = 1
# SQS counts are approximate, and a message may be about to become visible again.
_EMPTY_POLLS = 3
_STALLED_SECONDS = 300


@click.command()
@click.option("--count", default=200, show_default=True, help="Documents to upload.")
@click.option(
    "--documents",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder to upload instead of the samples.",
)
@click.option(
    "--store",
    type=click.Choice(["s3vectors", "aurora"]),
    default="s3vectors",
    show_default=True,
    help="Vector store. Deploying Aurora takes a minute longer.",
)
@exit_on_error
def main(count: int, documents: Path | None, store: str) -> None:
    """Upload documents to S3, wait until they are ingested, and search them.

    Exits with 1 if a search returns no hits or a sample document could not be read.
    """
    console = Console(highlight=False)
    console.print("[bold]1/4[/] Starting the local AWS and packaging the functions")
    running = local.start_local_aws(LocalAwsConfig.from_environment())
    with acting_on_local(running):
        is_good = _run(console, count, documents, store)
    sys.exit(0 if is_good else 1)


def _run(console: Console, count: int, documents: Path | None, store: str) -> bool:
    """Deploy, ingest and search; whether all documents were read and all searches returned hits."""
    for package in package_functions.build(PIPELINE_FUNCTIONS, Target.of_this_machine()):
        console.print(f"  {os.path.relpath(package.path)}  [dim]{package.packed_bytes / 1e6:.1f} MB[/]")
    console.print("[bold]2/4[/] Deploying terraform/ with the pipeline")
    outputs = _deploy(console, _write_aurora_variables() if store == "aurora" else _local_variables())
    pipeline = outputs["pipeline"]
    settings = load_settings()
    files = _files(documents) if documents else sample_documents.write_samples(STATE / "samples", count)
    console.print(f"[bold]3/4[/] Uploading {len(files)} documents to s3://{pipeline['bucket']}")
    started = time.perf_counter()
    _upload(console, settings, pipeline["bucket"], files, documents or STATE / "samples")
    failed = _wait(console, settings, pipeline)
    console.print(f"  finished after {time.perf_counter() - started:.0f} s")
    if failed:
        console.print(f"  [yellow]{failed} could not be read. List the reasons: .venv/bin/embedstack redrive[/]")
    console.print("[bold]4/4[/] Searching with the library and with the search function")
    all_hit = True
    for number, query in enumerate(_QUERIES):
        request = {"query": query, "k": 3}
        by_function = number % 2 == 1
        hits = (
            search_function.invoke(settings, pipeline["search_function"], request)
            if by_function
            else search.search_store(settings, request)
        )
        search.print_hits(console, query, hits)
        all_hit &= bool(hits)
    console.print('\nTry next: make search TEXT="…" · .venv/bin/embedstack redrive · make down')
    return all_hit and (documents is not None or not failed)


def _deploy(console: Console, variables: Path) -> dict[str, Any]:
    root = TerraformRoot(TERRAFORM, variables)
    with deploying(root):
        root.init(reconfigure=True)
        plan = root.plan(STATE / "terraform.tfplan")
        console.print(f"  {plan.summary}")
        remember_local_variables(variables)
        if plan.has_changes:
            apply_locally(root, plan)
    os.environ.update(applied_settings())
    return root.outputs()


def _local_variables() -> Path:
    """pipeline-local.tfvars, or a copy of it for this machine's architecture and Python."""
    written = _VARIABLES.read_text(encoding="utf-8")
    target = Target.of_this_machine()
    if f'"{target.architecture}"' in written and f'"{target.python}"' in written:
        return _VARIABLES
    lines = [f"  {name} = {json.dumps(value)}" for name, value in _package_variables().items()]
    others = re.sub(r"^\s*(architecture|python_version)\s*=.*\n", "", written, flags=re.MULTILINE)
    file = STATE / _VARIABLES.name
    file.write_text(others.replace("pipeline = {", "\n".join(["pipeline = {", *lines])), encoding="utf-8")
    return file


def _package_variables() -> dict[str, str]:
    """Terraform variables for the packages built for this machine."""
    target = Target.of_this_machine()
    packages = {
        f"{name}_package": str(ROOT / ".local" / "lambda" / target.name / f"{name}.zip") for name in PIPELINE_FUNCTIONS
    }
    return {"architecture": target.architecture, "python_version": target.terraform_python, **packages}


def _write_aurora_variables() -> Path:
    """Write the variables of the same pipeline with Aurora, which needs subnets."""
    vpc = {"subnet_ids": default_subnets(load_settings())}
    hub_id = "sentence-transformers/all-MiniLM-L6-v2"
    variables = {
        "name": "alex",
        "environment": "local",
        "endpoints": {
            "embedding": {"model": {"hub_id": hub_id}, "serverless": {"memory_mb": 2048, "max_concurrency": 10}}
        },
        "vector_store": {"aurora": {"deletion_protection": False, "vpc": vpc}},
        "pipeline": {
            **_package_variables(),
            "bucket": {"force_destroy": True},
            "vpc": vpc,
        },
        "alarms": {},
    }
    file = STATE / "pipeline-aurora.tfvars.json"
    file.write_text(json.dumps(variables, indent=2), encoding="utf-8")
    return file


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file())


def _upload(console: Console, settings: Settings, bucket: str, files: list[Path], folder: Path) -> None:
    client = create_client("s3", settings)
    with progress_bar(console) as progress:
        for file in progress.track(files, description="  uploaded"):
            client.upload_file(str(file), bucket, file.relative_to(folder).as_posix())


def _wait(console: Console, settings: Settings, pipeline: dict[str, Any]) -> int:
    """Wait until the queue is empty and return the number of messages in the dead-letter queue.

    Raises:
        click.ClickException: The queue made no progress for five minutes.
    """
    client = create_client("sqs", settings)
    with progress_bar(console) as progress:
        task = progress.add_task("  ingested", total=None)
        most = 0
        for waiting in _waiting(client, pipeline["queue_url"]):
            most = max(most, waiting)
            progress.update(task, total=most or None, completed=most - waiting)
    return count_messages(client, pipeline["dlq_url"])


def _waiting(client: Any, queue_url: str) -> Iterator[int]:
    """Yield the number of unprocessed messages, until several polls return none."""
    last, changed = -1, time.monotonic()
    empty = 0
    while empty < _EMPTY_POLLS:
        waiting = count_messages(client, queue_url)
        empty = empty + 1 if waiting == 0 else 0
        if waiting != last:
            last, changed = waiting, time.monotonic()
        elif waiting and time.monotonic() - changed > _STALLED_SECONDS:
            raise click.ClickException(
                f"{waiting} messages made no progress for {_STALLED_SECONDS} s in {queue_url}. See .local/localaws.log."
            )
        yield waiting
        time.sleep(_POLL_SECONDS)


if __name__ == "__main__":
    main()
