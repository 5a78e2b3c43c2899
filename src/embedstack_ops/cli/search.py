"""``embedstack search``: search documents by meaning, in the configured store or with the search function."""

import json
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, cast, get_args

import click
from rich.console import Console
from rich.markup import escape

from embedstack.documents.searching import DocumentHit, needs_vector, search
from embedstack.errors import ConfigurationError
from embedstack.factory import load_embedder
from embedstack.rerankers import load_reranker
from embedstack.settings.settings import Settings, load_settings
from embedstack.stores import Mode, load_store
from embedstack_ops.cli import search_function
from embedstack_ops.cli.checkout import applied_pipeline
from embedstack_ops.cli.command import exit_on_error
from embedstack_ops.cli.target import targeted, uses_aws

__all__ = ["print_hits", "search_store"]

_PRINTED_CHARACTERS = 160

_EXAMPLES = """\b
Examples:
  embedstack search "How do I compress data?"
  embedstack search "invoice" -k 3 --filter '{"source": "2025/march.pdf"}' --mode hybrid
  embedstack search ERR_CONN_42 --mode keyword
  embedstack search "How do I compress data?" --rerank --candidates 50
  embedstack search "How do I compress data?" --function alex-pipeline-search --json
"""


@click.command(epilog=_EXAMPLES)
@click.argument("query")
@click.option("-k", type=click.IntRange(min=1), default=5, show_default=True, help="Maximum number of hits.")
@click.option("--filter", help='Metadata filter as JSON, such as \'{"source": "manual.pdf"}\'.')
@click.option("--threshold", type=float, help="Minimum similarity, -1 to 1.")
@click.option("--mode", type=click.Choice(get_args(Mode)), default="approximate", show_default=True)
@click.option("--rerank", is_flag=True, help="Order the nearest chunks with the reranker (RERANKER_ENDPOINT, …).")
@click.option("--candidates", type=click.IntRange(min=1), help="Chunks to rerank.  [default: 4 times k, at least 20]")
@click.option("--collection", help="Collection.  [default: EMBEDSTACK_COLLECTION]")
@click.option("--function", help="Search with this Lambda function; 'applied' is the one that Terraform applied.")
@click.option("--region", help="AWS region.  [default: from the environment]")
@click.option("--json", "as_json", is_flag=True, help="Print the hits as JSON.")
@exit_on_error
@targeted(uses_aws)
def main(
    query: str, collection: str | None, function: str | None, region: str | None, as_json: bool, **conditions: Any
) -> None:
    """Print the chunks that are closest in meaning to QUERY, or contain its words, with their sources."""
    settings = load_settings(aws_region=region, embedstack_collection=collection)
    if conditions["candidates"] is not None and not conditions["rerank"]:
        raise ConfigurationError("--candidates is the number of chunks to rerank. Add --rerank.")
    request = {"query": query, **conditions, "filter": _read_filter(conditions["filter"])}
    if function:
        name = applied_pipeline()["search_function"] if function == "applied" else function
        hits = search_function.invoke(settings, name, request)
    else:
        hits = search_store(settings, request)
    if as_json:
        click.echo(json.dumps({"hits": hits}, ensure_ascii=False))
    else:
        print_hits(Console(highlight=False), query, hits)


def search_store(settings: Settings, request: dict[str, Any]) -> list[dict[str, Any]]:
    """Search with the configured embedder and store.

    Args:
        settings: The settings that name embedder, store and collection.
        request: ``query`` and optionally ``k``, ``filter``, ``threshold``, ``mode``, ``rerank`` and ``candidates``.
    """
    with ExitStack() as stack:
        mode = cast("Mode", request.get("mode") or "approximate")
        is_embedded = needs_vector(mode, request.get("threshold"))
        embedder = stack.enter_context(load_embedder(settings)) if is_embedded else None
        reranker = stack.enter_context(load_reranker(settings)) if request.get("rerank") else None
        store = stack.enter_context(load_store(settings))
        collection = store.open(store.describe(settings.embedstack_collection), create=False)
        hits = search(
            embedder,
            collection,
            request["query"],
            request.get("k") or 5,
            filter=request.get("filter"),
            threshold=request.get("threshold"),
            mode=mode,
            rerank=reranker,
            candidates=request.get("candidates"),
        )
    return [_as_json(hit) for hit in hits]


def print_hits(console: Console, query: str, hits: Sequence[dict[str, Any]]) -> None:
    """Print hits with source and the first characters of the text."""
    console.print(f"[bold]{escape(query)}[/]")
    for hit in hits:
        text = " ".join(hit["text"].split())
        excerpt = text if len(text) <= _PRINTED_CHARACTERS else text[:_PRINTED_CHARACTERS] + " …"
        console.print(f"  [green]{_scores(hit)}[/]  {escape(_place(hit))}", soft_wrap=True)
        console.print(f"        [dim]{escape(excerpt)}[/]", soft_wrap=True)
    if not hits:
        console.print("  no hits")


def _scores(hit: dict[str, Any]) -> str:
    """The score by which the hits are ordered; after a reranker, with the one of the search in brackets."""
    reranked = hit.get("rerank_score")
    return f"{hit['score']:.2f}" if reranked is None else f"{reranked:.2f} ({hit['score']:.2f})"


def _place(hit: dict[str, Any]) -> str:
    parts = [hit["source"], f"chunk {hit['position']}"]
    parts += [f"{name} {hit[name]}" for name in ("page", "row") if hit.get(name) is not None]
    if hit.get("headings"):
        parts.append(" > ".join(hit["headings"]))
    return ", ".join(parts)


def _as_json(hit: DocumentHit) -> dict[str, Any]:
    return {name: getattr(hit, name) for name in DocumentHit.__dataclass_fields__}


def _read_filter(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        conditions = json.loads(text)
    except ValueError as error:
        raise ConfigurationError(f"--filter is not JSON: {error}") from None
    if not isinstance(conditions, dict):
        raise ConfigurationError('--filter must be a JSON object, such as {"source": "manual.pdf"}.')
    return conditions
