"""``make pipeline``: deploy the document pipeline on the local AWS, feed it documents, and search them."""

import needed_packages  # noqa: F401 - ends here where packages are missing

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
from embedstack.documents.dead_letters import count_messages
from embedstack.settings.settings import Settings, load_settings
from embedstack_ops.cli import local, package_functions, search, search_function
from embedstack_ops.cli.command_line import (
    ROOT,
    STATE,
    TERRAFORM,
    applied_settings,
    apply_locally,
    deploying,
    exit_on_error,
    progress_bar,
    remember_local_variables,
)
from embedstack_ops.cli.target import acting_on_local
from embedstack_ops.lambda_packages.build import FUNCTIONS
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
# Counts of SQS are approximate, and a message may just be on its way back.
_EMPTY_LOOKS = 3
_PATIENCE_SECONDS = 300


@click.command()
@click.option("--count", default=200, show_default=True, help="Documents to upload.")
@click.option(
    "--documents", type=click.Path(exists=True, file_okay=False, path_type=Path), help="A folder of your own."
)
@click.option(
    "--store",
    type=click.Choice(["s3vectors", "aurora"]),
    default="s3vectors",
    show_default=True,
    help="Where vectors go. With Aurora the apply takes a minute longer.",
)
@exit_on_error
def main(count: int, documents: Path | None, store: str) -> None:
    """Upload documents to S3 and see them become searchable.

    Exits with 1 when a search finds nothing, or a sample document could not be read.
    """
    console = Console(highlight=False)
    console.print("[bold]1/4[/] Starting the local AWS, and packing the functions")
    running = local.start_local_aws(LocalAwsConfig.from_environment())
    with acting_on_local(running):
        is_good = _run(console, count, documents, store)
    sys.exit(0 if is_good else 1)


def _run(console: Console, count: int, documents: Path | None, store: str) -> bool:
    """Deploy, ingest and search; whether documents were read and found."""
    for package in package_functions.build(FUNCTIONS, Target.of_this_machine()):
        console.print(f"  {os.path.relpath(package.path)}  [dim]{package.packed_bytes / 1e6:.1f} MB[/]")
    console.print("[bold]2/4[/] Deploying terraform/ with the pipeline on it")
    outputs = _deploy(console, _write_aurora_variables() if store == "aurora" else _local_variables())
    pipeline = outputs["pipeline"]
    settings = load_settings()
    files = _files(documents) if documents else sample_documents.write_samples(STATE / "samples", count)
    console.print(f"[bold]3/4[/] Uploading {len(files)} documents to s3://{pipeline['bucket']}")
    started = time.perf_counter()
    _upload(console, settings, pipeline["bucket"], files, documents or STATE / "samples")
    lost = _wait(console, settings, pipeline)
    console.print(f"  all of them are dealt with after {time.perf_counter() - started:.0f} s")
    if lost:
        console.print(f"  [yellow]{lost} could not be read: .venv/bin/python scripts/redrive.py says why[/]")
    console.print("[bold]4/4[/] Searching, with the library and with the search function in turn")
    found = True
    for number, query in enumerate(_QUERIES):
        request = {"query": query, "k": 3}
        by_function = number % 2 == 1
        hits = (
            search_function.ask(settings, pipeline["search_function"], request)
            if by_function
            else search.ask_store(settings, request)
        )
        search.show(console, query, hits)
        found &= bool(hits)
    console.print('\nTry next: make search TEXT="…" · .venv/bin/python scripts/redrive.py · make down')
    return found and (documents is not None or not lost)


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
    """pipeline-local.tfvars; where this machine is another than it names, a copy that names this one."""
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
    """Terraform's variables for the packages that were built for this machine."""
    target = Target.of_this_machine()
    packages = {f"{name}_package": str(ROOT / ".local" / "lambda" / target.name / f"{name}.zip") for name in FUNCTIONS}
    return {"architecture": target.architecture, "python_version": target.terraform_python, **packages}


def _write_aurora_variables() -> Path:
    """The variables of the same pipeline on Aurora, which needs subnets."""
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
    """Wait until the queue is empty; the number of messages in the dead-letter queue.

    Raises:
        EmbedStackError: Nothing moved for minutes.
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
    """Messages that are not dealt with, until there are none for a while."""
    last, moved = -1, time.monotonic()
    empty = 0
    while empty < _EMPTY_LOOKS:
        waiting = count_messages(client, queue_url)
        empty = empty + 1 if waiting == 0 else 0
        if waiting != last:
            last, moved = waiting, time.monotonic()
        elif waiting and time.monotonic() - moved > _PATIENCE_SECONDS:
            raise click.ClickException(
                f"{waiting} messages have waited for {_PATIENCE_SECONDS} s in {queue_url}: see .local/localaws.log."
            )
        yield waiting
        time.sleep(_POLL_SECONDS)


if __name__ == "__main__":
    main()
