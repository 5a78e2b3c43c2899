"""``embedstack ingest``: store documents from files, folders or S3 as vectors."""

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO

import click
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.markup import escape

from embedstack.aws.clients import create_client
from embedstack.aws.errors import translate_error
from embedstack.documents.ingest_queue import enqueue_documents
from embedstack.documents.limits import ReadLimits, display_name
from embedstack.documents.load import load_ingestion
from embedstack.documents.metadata import (
    MAX_METADATA_FILE_BYTES,
    described_document,
    metadata_file,
    parse_metadata_file,
    require_metadata,
)
from embedstack.documents.s3_objects import S3DocumentReader
from embedstack.errors import DocumentRefused, EmbedStackError, InputError, RecordRefused
from embedstack.settings.settings import load_settings
from embedstack_ops.cli.checkout import applied_pipeline
from embedstack_ops.cli.command import exit_on_error, progress_bar
from embedstack_ops.cli.target import targeted, uses_aws

if TYPE_CHECKING:
    from embedstack.documents.ingestion import Ingested, Ingestion
    from embedstack.settings.settings import Settings

_S3 = "s3://"

_EXAMPLES = """\b
Examples:
  embedstack ingest handbook/
  embedstack ingest report.pdf notes.md --collection notes
  embedstack ingest s3://alex-documents/2025/ --workers 8
  embedstack ingest invoices/ --metadata team=billing --metadata year=2025
  embedstack ingest s3://alex-pipeline-documents/ --queue applied
"""


@dataclass(frozen=True, slots=True)
class Place:
    """A document's location.

    Attributes:
        source: Its name in the store: the path within the folder, or the key.
        size: Size in bytes.
        file: The local file; None for an S3 object.
        bucket: The bucket of an S3 object.
        is_named: Whether it was named explicitly, not listed from a folder or prefix.
    """

    source: str
    size: int
    file: Path | None = None
    bucket: str | None = None
    is_named: bool = field(default=False, compare=False)

    def __str__(self) -> str:
        return str(self.file) if self.file else f"{_S3}{self.bucket}/{self.source}"


@dataclass(slots=True)
class Total:
    """Counts and problems of all documents."""

    documents: int = 0
    chunks: int = 0
    embedded: int = 0
    refused: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, source: str, ingested: "Ingested") -> None:
        """Count a stored document."""
        self.documents += 1
        self.notes += [f"{display_name(source)}: {note}" for note in ingested.notes]
        self.chunks += ingested.chunks
        self.embedded += ingested.embedded


@click.command(epilog=_EXAMPLES)
@click.argument("sources", nargs=-1, required=True)
@click.option("--collection", help="Collection.  [default: EMBEDSTACK_COLLECTION]")
@click.option(
    "--workers", default=4, show_default=True, type=click.IntRange(1, 64), help="Documents processed concurrently."
)
@click.option("--queue", help="Let a pipeline ingest the objects: URL of its queue, or 'applied'.")
@click.option(
    "--metadata",
    "metadata",
    multiple=True,
    metavar="NAME=VALUE",
    help="Metadata of every document, for filters. Numbers, booleans and lists are written as JSON.  [repeatable]",
)
@click.option("--strict", is_flag=True, help="Fail for files of an unsupported type instead of skipping them.")
@click.option("--region", help="AWS region.  [default: from the environment]")
@exit_on_error
@targeted(uses_aws)
def main(
    sources: tuple[str, ...],
    collection: str | None,
    workers: int,
    queue: str | None,
    metadata: tuple[str, ...],
    strict: bool,
    region: str | None,
) -> None:
    """Read, split and embed the documents in SOURCES: folders, files, or s3://bucket/prefix.

    An interrupted run can be repeated: chunks that are stored are not embedded again. A document that cannot be read
    is reported with the reason and does not stop the others. In a folder or under a prefix, files of an unsupported
    type, such as archives, and images without OCR are counted and skipped.

    A file DOCUMENT.metadata.json beside a document holds its metadata: {"metadataAttributes": {"year": 2025}}. S3
    objects also have their user-defined metadata and tags. --metadata takes precedence.

    Exits with 1 if a document could not be read or stored.
    """
    settings = load_settings(aws_region=region, embedstack_collection=collection)
    listed = [place for source in sources for place in _places(source, settings)]
    # A document that is also named explicitly counts as named.
    places = list(dict.fromkeys(sorted(listed, key=lambda place: not place.is_named) if len(sources) > 1 else listed))
    console = Console(highlight=False)
    given = _parse_metadata(metadata)
    if queue:
        if given:
            raise InputError("The pipeline reads metadata from S3. Omit --metadata, or --queue.")
        _enqueue(console, settings, places, queue)
        return
    _require_different(places)
    # The indexes of a new collection are built once, at the end; an existing one updates them with every write.
    with load_ingestion(settings, optimize=False) as ingestion:
        total = _ingest_all(console, ingestion, settings, places, given, workers, strict=strict)
        ingestion.collection.optimize()
    for problem in (*total.refused, *total.failed):
        console.print(f"  [red]✗[/] {escape(problem)}", soft_wrap=True)
    for note in sorted(total.notes):
        console.print(f"  [yellow]![/] {escape(note)}", soft_wrap=True)
    if total.skipped:
        kinds = ", ".join(f"{count} {kind}" for kind, count in Counter(total.skipped).most_common())
        console.print(f"  [yellow]-[/] skipped (unsupported type): {escape(kinds)}", soft_wrap=True)
    console.print(
        f"{total.documents} of {len(places)} documents are in {escape(settings.embedstack_collection)}: {total.chunks} "
        f"chunks, {total.embedded} of them newly embedded"
    )
    sys.exit(1 if total.refused or total.failed else 0)


def _enqueue(console: Console, settings: "Settings", places: list[Place], queue: str) -> None:
    files = [place for place in places if place.bucket is None]
    if files:
        raise InputError(f"{files[0]} is not in S3. Copy it to the pipeline's bucket.")
    url = applied_pipeline()["queue_url"] if queue == "applied" else queue
    objects = [(str(place.bucket), place.source) for place in places]
    with progress_bar(console) as progress:
        task = progress.add_task("documents", total=len(objects))
        enqueue_documents(settings, url, objects, on_progress=lambda count: progress.advance(task, count))
    console.print(f"Sent {len(objects)} documents to the pipeline's queue")


def _require_different(places: list[Place]) -> None:
    """Check that no document would replace another one."""
    by_source: dict[str, Place] = {}
    for place in places:
        other = by_source.setdefault(place.source, place)
        if other != place:
            raise InputError(
                f"{other} and {place} would both be stored as {place.source}, so that one replaces the other. Pass the "
                "folder that contains both, or ingest them into different collections."
            )


def _ingest_all(
    console: Console,
    ingestion: "Ingestion",
    settings: "Settings",
    places: list[Place],
    metadata: dict[str, Any],
    workers: int,
    *,
    strict: bool,
) -> Total:
    total = Total()
    waiting = iter(places)
    is_in_s3 = any(place.bucket for place in places)
    reader = S3DocumentReader(settings, ReadLimits().max_bytes, max_connections=workers) if is_in_s3 else None
    with progress_bar(console) as progress, ThreadPoolExecutor(workers) as pool:
        task = progress.add_task("documents", total=len(places))

        def submit(count: int) -> set[Future[None]]:
            return {
                pool.submit(_ingest, ingestion, reader, place, metadata, total, strict=strict)
                for place in islice(waiting, count)
            }

        running = submit(2 * workers)
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()
            progress.advance(task, len(done))
            running |= submit(len(done))
    return total


def _ingest(
    ingestion: "Ingestion",
    reader: S3DocumentReader | None,
    place: Place,
    metadata: dict[str, Any],
    total: Total,
    *,
    strict: bool,
) -> None:
    try:
        with _opened(reader, place) as (content, own_metadata, notes):
            ingested = ingestion.ingest(place.source, content, metadata={**own_metadata, **metadata}, notes=notes)
        total.add(place.source, ingested)
    except (InputError, RecordRefused) as error:
        is_unsupported = isinstance(error, DocumentRefused) and error.reason == "unsupported"
        if is_unsupported and not (strict or place.is_named):
            total.skipped.append(PurePosixPath(place.source).suffix.lower() or "without a suffix")
        else:
            total.refused.append(str(error))
    except (EmbedStackError, OSError) as error:
        total.failed.append(f"{display_name(place.source)}: {error}")


@contextmanager
def _opened(
    reader: S3DocumentReader | None, place: Place
) -> Iterator[tuple[BinaryIO, Mapping[str, Any], Sequence[str]]]:
    """A document's content, metadata and notes on its metadata."""
    if reader is not None and place.bucket is not None:
        with reader.open(place.bucket, place.source) as s3_object:
            if s3_object is None:
                raise InputError(f"{place} was deleted after it was listed. Run the command again.")
            yield s3_object.content, s3_object.metadata, s3_object.notes
    elif place.file is not None:
        limit = ReadLimits().max_bytes
        if place.size > limit:
            raise DocumentRefused(
                f"{display_name(place.source)} has {place.size:,} bytes; the limit is {limit:,}. Split it.",
                reason="too_large",
            )
        with place.file.open("rb") as file:
            yield file, _read_metadata_file(place.file, place.source), ()


def _read_metadata_file(document: Path, source: str) -> dict[str, Any]:
    path = Path(metadata_file(str(document)))
    if not path.is_file():
        return {}
    with path.open("rb") as file:
        return parse_metadata_file(file.read(MAX_METADATA_FILE_BYTES + 1), source)


def _parse_metadata(options: tuple[str, ...]) -> dict[str, Any]:
    parsed: dict[str, Any] = {}
    for option in options:
        name, separator, value = option.partition("=")
        if not separator:
            raise InputError(f"--metadata {option[:80]!r} is not NAME=VALUE.")
        parsed[name] = _parse_value(value)
    return require_metadata(parsed, "--metadata")


def _parse_value(value: str) -> Any:
    """A number, a boolean or a list written as JSON; otherwise the string itself."""
    try:
        parsed = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return parsed if isinstance(parsed, (int, float, list, str)) else value


def _places(source: str, settings: "Settings") -> Iterator[Place]:
    if source.startswith(_S3):
        bucket, _, prefix = source.removeprefix(_S3).partition("/")
        for listed in _list_objects(bucket, prefix, settings):
            is_folder = listed["Key"].endswith("/")  # created by the S3 console
            if not is_folder and described_document(listed["Key"]) is None:
                yield Place(listed["Key"], listed["Size"], bucket=bucket, is_named=listed["Key"] == prefix)
        return
    path = Path(source)
    document = described_document(path.name)
    if document is not None and path.is_file():
        raise InputError(f"{source} is the metadata of {document}. Pass the document; its metadata is read with it.")
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            name = file.relative_to(path)
            is_hidden = any(part.startswith(".") for part in name.parts)
            if file.is_file() and not is_hidden and described_document(name.name) is None:
                yield Place(name.as_posix(), file.stat().st_size, file=file)
    elif path.is_file():
        yield Place(path.name, path.stat().st_size, file=path, is_named=True)
    else:
        raise InputError(f"{source} does not exist. Pass a folder, a file, or s3://bucket/prefix.")


def _list_objects(bucket: str, prefix: str, settings: "Settings") -> Iterator[dict[str, Any]]:
    client = create_client("s3", settings)
    try:
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            yield from page.get("Contents", [])
    except (BotoCoreError, ClientError) as error:
        raise translate_error(error, "s3", resource=bucket, region=client.meta.region_name) from error
