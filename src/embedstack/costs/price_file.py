"""Reads price files and checks them. An error names the file, the line and the remedy."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

import yaml

from embedstack.costs.products import find_product
from embedstack.costs.sources import Price, Source, are_agreed
from embedstack.errors import ConfigurationError

__all__ = ["PriceFile", "PriceKey", "read_price_file"]

_REGION = re.compile(r"[a-z]{2,}(-[a-z]+)+-\d+")
_TOP: Final = frozenset({"read", "sources", "prices"})
_SOURCE: Final = frozenset({"title", "url", "date", "first_hand"})
_PRICE: Final = frozenset({"usd", "per", "sources", "effective", "published", "read", "free", "same_as"})


class PriceKey(NamedTuple):
    """Region and product of a price."""

    region: str
    product: str


@dataclass(frozen=True, slots=True)
class PriceFile:
    """The content of a price file.

    Attributes:
        read: The day on which the prices were read.
        prices: The prices by region and product.
    """

    read: date
    prices: Mapping[PriceKey, Price]


def read_price_file(file: Path) -> PriceFile:
    """Read a price file; ``prices.yaml`` in this package explains the format.

    Raises:
        ConfigurationError: The file cannot be read or is not a valid price file.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The price file {file} cannot be read: {error}. Check COSTS_PRICES_FILE.") from error
    try:
        # Values stay text, so that 0.0000166667 is an exact decimal.
        root = yaml.compose(text, Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader))
    except yaml.YAMLError as error:
        raise ConfigurationError(f"The price file {file} is not valid YAML: {error}. Correct it.") from error
    return _Reader(file).file(root)


class _Reader:
    """Turns the nodes of one file into prices. Nodes know their lines."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._sources: dict[str, Source] = {}
        self._read = date.min

    def file(self, root: yaml.Node | None) -> PriceFile:
        if root is None:
            raise ConfigurationError(f"The price file {self._file} is empty. It needs read, sources and prices.")
        top = self._mapping(root, "the file", _TOP, required={"read", "prices"})
        self._read = self._date(top["read"], "read")
        if "sources" in top:
            self._sources = {name: self._source(name, node) for name, node in self._items(top["sources"], "sources")}
        prices = {}
        for region, products in self._items(top["prices"], "prices"):
            if not _REGION.fullmatch(region):
                self._fail(products, f"{region!r} is not a region; write it as us-east-1")
            for product, node in self._items(products, f"prices of {region}"):
                prices[PriceKey(region, product)] = self._price(region, product, node)
        return PriceFile(self._read, prices)

    def _source(self, name: str, node: yaml.Node) -> Source:
        fields = self._mapping(node, f"source {name}", _SOURCE, required={"title"})
        return Source(
            name=name,
            title=self._text(fields["title"], "title"),
            amount=Decimal(0),
            published=self._date(fields["date"], "date") if "date" in fields else None,
            url=self._text(fields["url"], "url") if "url" in fields else "",
            is_first_hand="first_hand" in fields and self._boolean(fields["first_hand"], "first_hand"),
        )

    def _price(self, region: str, product: str, node: yaml.Node) -> Price:
        where = f"{product} in {region}"
        kind = find_product(product)
        if kind is None:
            self._fail(node, f"{product!r} is not a product; the reference page of prices lists them")
        fields = self._mapping(node, where, _PRICE, required={"per"})
        same_as = self._text(fields["same_as"], "same_as") if "same_as" in fields else None
        if ("usd" in fields) == (same_as is not None) or product.endswith("/*") != (same_as is not None):
            self._fail(node, f"{where} needs usd; only a rule, whose key ends with /*, has same_as instead")
        unit = self._text(fields["per"], "per")
        if unit != kind.unit:
            self._fail(fields["per"], f"the unit of {where} is {unit!r}; write per: {kind.unit}")
        amount = self._amount(fields["usd"], where) if "usd" in fields else Decimal(0)
        sources = tuple(self._stated(fields["sources"], amount, where)) if "sources" in fields else ()
        dates = [source.published for source in sources if source.published is not None]
        return Price(
            amount=amount,
            unit=unit,
            settled=are_agreed(amount, sources),
            sources=sources or (Source(name=self._file.name, title=str(self._file), amount=amount),),
            read=self._optional_date(fields, "read") or max(dates, default=self._read),
            effective=self._optional_date(fields, "effective"),
            published=self._optional_date(fields, "published"),
            is_free="free" in fields and self._boolean(fields["free"], "free"),
            region=region,
            same_as=same_as,
        )

    def _stated(self, node: yaml.Node, amount: Decimal, where: str) -> Iterator[Source]:
        """The sources of a price: names, or ``name: amount`` of a source that states another amount."""
        if not isinstance(node, yaml.SequenceNode):
            self._fail(node, f"sources of {where} is not a list; write [name, …]")
        seen = set()
        for item in node.value:
            if isinstance(item, yaml.MappingNode):
                ((name, value),) = list(self._items(item, f"sources of {where}"))[:1] or (("", item),)
                stated = self._amount(value, where)
            else:
                name, stated = self._text(item, "a source"), amount
            if name not in self._sources:
                self._fail(item, f"{where} names the source {name!r}, which `sources` at the top does not have")
            if name in seen:
                self._fail(item, f"{where} names the source {name!r} twice; two sources have to be different ones")
            seen.add(name)
            source = self._sources[name]
            yield Source(name, source.title, stated, source.published, source.url, source.is_first_hand)

    def _amount(self, node: yaml.Node, where: str) -> Decimal:
        text = self._text(node, where)
        try:
            amount = Decimal(text)
        except InvalidOperation:
            self._fail(node, f"the price of {where} is {text!r}; write US dollars as 0.23")
        if not amount.is_finite():
            self._fail(node, f"the price of {where} is {text!r}; write a finite amount of US dollars")
        if amount < 0:
            self._fail(node, f"the price of {where} is negative: {text}; write an amount of 0 or more")
        return amount

    def _optional_date(self, fields: Mapping[str, yaml.Node], name: str) -> date | None:
        return self._date(fields[name], name) if name in fields else None

    def _date(self, node: yaml.Node, name: str) -> date:
        text = self._text(node, name)
        try:
            # fromisoformat alone also accepts 20261130 and 2026-W48-1.
            return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date()
        except ValueError:
            self._fail(node, f"{name} is {text!r}; write a date as 2026-11-30")

    def _boolean(self, node: yaml.Node, name: str) -> bool:
        text = self._text(node, name)
        if text not in ("true", "false"):
            self._fail(node, f"{name} is {text!r}; write true or false")
        return text == "true"

    def _text(self, node: yaml.Node, name: str) -> str:
        if not isinstance(node, yaml.ScalarNode) or not node.value.strip():
            self._fail(node, f"{name} is not a value")
        return str(node.value).strip()

    def _mapping(
        self, node: yaml.Node, name: str, fields: frozenset[str], *, required: set[str]
    ) -> dict[str, yaml.Node]:
        content = dict(self._items(node, name))
        for key in content.keys() - fields:
            self._fail(content[key], f"{name} has the unknown field {key!r}; it may have {', '.join(sorted(fields))}")
        for key in sorted(required - content.keys()):
            self._fail(node, f"{name} has no {key}; add it")
        return content

    def _items(self, node: yaml.Node, name: str) -> Iterator[tuple[str, yaml.Node]]:
        """The entries of a mapping. YAML itself would silently keep the last of two equal keys."""
        if not isinstance(node, yaml.MappingNode):
            self._fail(node, f"{name} is not a mapping of names to values")
        seen: set[str] = set()
        for key, value in node.value:
            text = self._text(key, f"a name in {name}")
            if text in seen:
                self._fail(key, f"{name} has {text!r} twice; remove one")
            seen.add(text)
            yield text, value

    def _fail(self, node: yaml.Node, problem: str) -> NoReturn:
        raise ConfigurationError(f"{self._file}, line {node.start_mark.line + 1}: {problem}.")
