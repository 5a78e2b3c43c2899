"""Write the generated parts of docs/reference/, and the prices of instances for Terraform.

    .venv/bin/python scripts/generate_reference.py           # write
    .venv/bin/python scripts/generate_reference.py --check   # exit with 1 if a page is not up to date

A page marks the part with ``<!-- generated: NAME -->`` and ``<!-- end -->``.
"""

import needed_packages  # noqa: F401 - exits if packages are missing

# isort: split
import inspect
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import click
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from embedstack import errors
from embedstack.costs.price_book import PACKAGED_PRICES, PriceBook
from embedstack.costs.products import PRODUCTS
from embedstack.settings import LocalAwsSettings, Settings
from embedstack_ops.cli.main import main as embedstack
from localaws.core.actions import emulated_actions

REPOSITORY = Path(__file__).parents[1]
REFERENCE = REPOSITORY / "docs" / "reference"
PRICES = REPOSITORY / "terraform" / "modules" / "instance-types" / "prices.json"


def settings_reference() -> Iterator[str]:
    """A table of the settings of the library and the commands, and one of those of the local AWS."""
    for title, kind in (("Library and commands", Settings), ("Local AWS", LocalAwsSettings)):
        meanings = _attributes(str(kind.__doc__))
        yield f"## {title}\n\n| Variable | Default | Values | Meaning |\n|---|---|---|---|"
        for name, field in kind.model_fields.items():
            aliases = [alias.upper() for alias in getattr(field.validation_alias, "choices", [])[1:]]
            also = f" Alias: {', '.join(f'`{alias}`' for alias in aliases)}." if aliases else ""
            row = (f"`{name.upper()}`", _default(field), _values(field), meanings[name] + also)
            yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
        yield ""


def _attributes(docstring: str) -> dict[str, str]:
    """The entries of a docstring's section ``Attributes``, by name."""
    section = inspect.cleandoc(docstring).partition("Attributes:\n")[2]
    entries = re.split(r"^    (\w+): ", section, flags=re.MULTILINE)[1:]
    return {name: " ".join(text.split()) for name, text in zip(entries[::2], entries[1::2], strict=True)}


def _default(field: FieldInfo) -> str:
    if field.default in (None, "", PydanticUndefined):
        return ""
    value = str(field.default)
    return f"`{value.lower() if isinstance(field.default, bool) else value}`"


_KINDS: dict[Any, str] = {
    bool: "`true`, `false`",
    float: "number",
    int: "integer",
    Path: "path",
    SecretStr: "secret",
}


def _values(field: FieldInfo) -> str:
    options = [option for option in get_args(field.annotation) if option is not type(None)]
    if options and all(isinstance(option, str) for option in options):
        return ", ".join(f"`{option}`" for option in options)
    kinds: dict[Any, str] = {
        bool: "`true`, `false`",
        int: "integer",
        float: "number",
        Path: "path",
        SecretStr: "secret",
    }
    kind = kinds.get((options or [field.annotation])[0], "text")
    limits = {"Ge": ("≥", "ge"), "Gt": (">", "gt"), "Le": ("≤", "le")}
    bounds = [
        f"{sign} {getattr(bound, attribute):g}"
        for bound in field.metadata
        if type(bound).__name__ in limits
        for sign, attribute in [limits[type(bound).__name__]]
    ]
    return " ".join([kind, ", ".join(bounds)]).strip()


def cli_reference() -> Iterator[str]:
    """The help text of each command."""
    for path, command in _commands("embedstack", embedstack):
        context = click.Context(
            command, info_name=path, terminal_width=100, max_content_width=100, **embedstack.context_settings
        )
        yield f"## `{path}`\n\n~~~text\n{command.get_help(context).rstrip()}\n~~~\n"


def _commands(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None:
                yield from _commands(f"{path} {name}", child)


def error_reference() -> Iterator[str]:
    """The error tree, and a table with what each error means and whether a retry helps."""
    tree = inspect.cleandoc(str(errors.__doc__)).partition("\n\n")[2].rpartition("\n\n")[0]
    yield f"~~~text\n{inspect.cleandoc(tree)}\n~~~\n\n| Error | Retryable | Meaning |\n|---|---|---|"
    for name in errors.__all__:
        error = getattr(errors, name)
        meaning = inspect.cleandoc(str(error.__doc__)).partition("\n\n")[0].replace("\n", " ")
        yield f"| `{name}` | {'yes' if error.retryable_by_default else 'no'} | {meaning} |"


def action_reference() -> Iterator[str]:
    """A table per emulated service: its actions, and where each differs from AWS."""
    by_service: dict[str, list[str]] = {}
    for action in emulated_actions():
        by_service.setdefault(action.service, []).append(f"| `{action.name}` | {action.note} |")
    for service, rows in sorted(by_service.items()):
        yield f"## {service}\n\n| Action | Differences from AWS |\n|---|---|"
        yield from sorted(rows)
        yield ""


def price_reference() -> Iterator[str]:
    """The products, the packaged prices of each region, and their sources."""
    yield "## Products\n\n| Key | Unit | Counted |\n|---|---|---|"
    for product in PRODUCTS:
        yield f"| `{product.key}` | {product.unit} | {product.meaning} |"
    rows = list(PriceBook.load(PACKAGED_PRICES).rows())
    for region in dict.fromkeys(key.region for key, _ in rows):
        yield f"\n## {region}\n\n| Product | USD | Per | Settled | Sources |\n|---|---|---|---|---|"
        for key, price in rows:
            if key.region == region:
                amount = f"as `{price.same_as}`" if price.same_as else f"{price.amount:f}"
                stated = (
                    f"{each.name} ({each.amount:f})" if each.amount != price.amount else each.name
                    for each in price.sources
                )
                settled = "yes" if price.settled else "estimate"
                yield f"| `{key.product}` | {amount} | {price.unit} | {settled} | {', '.join(stated)} |"
    yield "\n## Sources\n\n| Name | Source | Date |\n|---|---|---|"
    sources = {source.name: source for _, price in rows for source in price.sources}
    for name, source in sorted(sources.items()):
        title = f"[{source.title}]({source.url})" if source.url else source.title
        yield f"| {name} | {title} | {source.published or 'undated'} |"


PAGES: dict[str, Callable[[], Iterator[str]]] = {
    "settings": settings_reference,
    "cli": cli_reference,
    "errors": error_reference,
    "local-aws": action_reference,
    "prices": price_reference,
}


def instance_prices() -> str:
    """The price book's prices of instances as JSON, which Terraform shows in alarms and on the dashboard."""
    prices: dict[str, dict[str, float]] = {}
    book = PriceBook.load(PACKAGED_PRICES)
    for key, price in book.rows(product="sagemaker/hosting/"):
        instance_type = key.product.rpartition("/")[2]
        amounts = prices.setdefault(key.region, {})
        amounts[f"hosting/{instance_type}"] = float(price.amount)
        asynchronous = book.find(key.region, f"sagemaker/async/{instance_type}")
        if asynchronous is not None:
            amounts[f"async/{instance_type}"] = float(asynchronous.amount)
    return json.dumps(prices, indent=2, sort_keys=True) + "\n"


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if a page is not up to date.")
def main(check: bool) -> None:
    """Write the generated parts of docs/reference/, and the prices of instances for Terraform."""
    outdated = []
    for name, generate in PAGES.items():
        file = REFERENCE / f"{name}.md"
        current = file.read_text(encoding="utf-8")
        start, end = f"<!-- generated: {name} -->", "<!-- end -->"
        if start not in current or end not in current:
            raise click.ClickException(f"{file} has no lines {start} and {end}.")
        before, after = current.partition(start)[0], current.partition(end)[2]
        generated = "\n".join(generate()).strip().replace("``", "`")
        updated = f"{before}{start}\n\n{generated}\n\n{end}{after}"
        if updated != current:
            outdated.append(file)
            if not check:
                file.write_text(updated, encoding="utf-8")
    prices = instance_prices()
    if not PRICES.exists() or prices != PRICES.read_text(encoding="utf-8"):
        outdated.append(PRICES)
        if not check:
            PRICES.write_text(prices, encoding="utf-8")
    for file in outdated:
        click.echo(f"{file.relative_to(REPOSITORY)}: {'not up to date; run make docs' if check else 'written'}")
    sys.exit(1 if check and outdated else 0)


if __name__ == "__main__":
    main()
