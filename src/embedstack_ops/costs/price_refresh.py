"""Reads prices from AWS's Price List API and writes them to a price file."""

import json
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final, NamedTuple

from embedstack.costs.price_file import PriceFile, PriceKey, read_price_file
from embedstack.costs.products import COMPONENTS, find_product
from embedstack.costs.sources import Price, Source
from embedstack.errors import ConfigurationError, UnknownPrice

__all__ = ["is_refreshable", "read_price_list", "write_price_file"]

#: A region's prefix of a usage type, such as USE1- or EU-; us-east-1 has none for some services.
_PREFIX: Final = r"(?:[A-Z]{2,4}\d*-)?"
_BEDROCK_USAGE: Final = {
    "bedrock/amazon.titan-embed-text-v2:0/input-tokens": "TitanEmbeddingV2-Text-input-tokens",
    "bedrock/amazon.titan-embed-text-v2:0/batch-input-tokens": "TitanEmbeddingV2-Text-input-tokens-batch",
}
#: What the Price List calls the units of a product, and how many of them the price file's unit has.
_UNITS: Final = {
    "hour": {"Hrs": 1, "Hours": 1},
    "GB-second": {"Sec": 1, "Second": 1, "Seconds": 1, "seconds": 1},
    "million tokens": {"1K tokens": 1000, "1M tokens": 1},
}


class _Usage(NamedTuple):
    """Service code and usage type, without the region's prefix, of a product."""

    service: str
    usage_type: str


@dataclass(frozen=True, slots=True)
class _Row:
    """A product of the Price List with its terms."""

    usage_type: str
    on_demand: tuple[Mapping[str, Any], ...]
    published: date | None


def is_refreshable(product: str) -> bool:
    """Whether the usage type of a product is known."""
    return _usage(product) is not None


def read_price_list(client: Any, region: str, products: Iterable[str], today: date) -> dict[PriceKey, Price]:
    """Read on-demand prices from the Price List API.

    Args:
        client: boto3's client of the service ``pricing``.
        region: Region of the prices.
        products: Keys of the products.
        today: The day on which they are read.

    Raises:
        ConfigurationError: The usage type of a product is not known.
        UnknownPrice: The Price List has no price, or several, of a product; the message lists all such products.
    """
    usages = {}
    for product in products:
        usage = _usage(product)
        if usage is None:
            raise ConfigurationError(
                f"{product} cannot be read from the Price List. State its price in a price file, or pass products such "
                "as sagemaker/hosting/ml.m5.xlarge or sagemaker/serverless/compute."
            )
        usages[product] = usage
    rows = {service: list(_rows(client, service, region)) for service in {usage.service for usage in usages.values()}}
    prices, problems = {}, []
    for product, usage in usages.items():
        try:
            prices[PriceKey(region, product)] = _price(rows[usage.service], region, product, usage, today)
        except UnknownPrice as error:
            problems.append(str(error))
    if problems:
        raise UnknownPrice(" ".join(problems) + " Nothing was changed; pass --product for the others alone.")
    return prices


def write_price_file(file: Path, prices: Mapping[PriceKey, Price], today: date) -> None:
    """Add prices to a price file, whose other prices stay. Comments are lost.

    Raises:
        ConfigurationError: The file exists and is not a valid price file.
    """
    existing = read_price_file(file) if file.exists() else PriceFile(today, {})
    merged = {**existing.prices, **prices}
    file.parent.mkdir(parents=True, exist_ok=True)
    # Written beside the file and renamed, so that an error leaves the old one.
    with tempfile.NamedTemporaryFile("w", dir=file.parent, suffix=".yaml", delete=False, encoding="utf-8") as written:
        temporary = Path(written.name)
        written.write("\n".join(_lines(merged, today)) + "\n")
    try:
        read_price_file(temporary)
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def _usage(product: str) -> _Usage | None:
    if product in _BEDROCK_USAGE:
        return _Usage("AmazonBedrock", _BEDROCK_USAGE[product])
    if product == "sagemaker/serverless/compute":
        return _Usage("AmazonSageMaker", "ServerlessInf:Mem-1GB")
    if product == "sagemaker/serverless/provisioned-concurrency":
        return _Usage("AmazonSageMaker", "ProvisionedConcurrency:Mem-1GB")
    service, component, instance_type = [*product.split("/"), "", ""][:3]
    if service == "sagemaker" and component in COMPONENTS and instance_type.startswith("ml."):
        return _Usage("AmazonSageMaker", f"{COMPONENTS[component]}:{instance_type}")
    return None


def _rows(client: Any, service: str, region: str) -> Iterator[_Row]:
    pages = client.get_paginator("get_products").paginate(
        ServiceCode=service, Filters=[{"Type": "TERM_MATCH", "Field": "regionCode", "Value": region}]
    )
    for page in pages:
        for text in page["PriceList"]:
            document = json.loads(text)
            attributes = document["product"]["attributes"]
            if attributes.get("regionCode", region) != region:
                continue
            published = str(document.get("publicationDate") or "")[:10]
            yield _Row(
                usage_type=str(attributes.get("usagetype")),
                # Reserved terms are other prices of the same usage.
                on_demand=tuple(document.get("terms", {}).get("OnDemand", {}).values()),
                published=date.fromisoformat(published) if published else None,
            )


def _price(rows: Iterable[_Row], region: str, product: str, usage: _Usage, today: date) -> Price:
    # The whole usage type: Mem-1GB is also the beginning of longer names, and the end of others.
    pattern = re.compile(_PREFIX + re.escape(usage.usage_type))
    terms = [(row, term) for row in rows if pattern.fullmatch(row.usage_type) for term in row.on_demand]
    where = f"{product} in {region} (usage type {usage.usage_type})"
    if not terms:
        raise UnknownPrice(f"The Price List has no on-demand price of {where}.")
    if len(terms) > 1:
        raise UnknownPrice(f"The Price List has {len(terms)} on-demand prices of {where}.")
    row, term = terms[0]
    dimensions = list(term["priceDimensions"].values())
    if len(dimensions) != 1:
        raise UnknownPrice(f"The Price List has {len(dimensions)} tiers of {where}.")
    kind = find_product(product)
    unit = kind.unit if kind else ""
    factor = _UNITS.get(unit, {}).get(dimensions[0]["unit"])
    if factor is None:
        raise UnknownPrice(f"The Price List has the unit {dimensions[0]['unit']!r} for {where}.")
    try:
        amount = Decimal(dimensions[0]["pricePerUnit"]["USD"]) * factor
    except (KeyError, InvalidOperation) as error:
        raise UnknownPrice(f"The Price List has no price in US dollars of {where}.") from error
    if not amount.is_finite() or amount <= 0:
        raise UnknownPrice(f"The Price List has the price {amount} of {where}.")
    effective = str(term.get("effectiveDate") or "")[:10]
    return Price(
        amount=amount,
        unit=unit,
        settled=True,
        sources=(Source(f"price-list-{today}", f"AWS Price List, read on {today}", amount, today, is_first_hand=True),),
        effective=date.fromisoformat(effective) if effective else None,
        read=today,
        published=row.published,
        region=region,
    )


def _lines(prices: Mapping[PriceKey, Price], today: date) -> Iterator[str]:
    sources = {source.name: source for price in prices.values() for source in price.sources}
    yield "# Prices from AWS's Price List, which take precedence over the packaged ones: set COSTS_PRICES_FILE."
    yield f"read: {today}"
    yield "sources:"
    for source in sources.values():
        fields = {
            "title": json.dumps(source.title),
            "url": json.dumps(source.url) if source.url else "",
            "date": str(source.published or ""),
            "first_hand": "true" if source.is_first_hand else "",
        }
        yield f"  {json.dumps(source.name)}: {_flow(fields)}"
    yield "prices:"
    for region in sorted({key.region for key in prices}):
        yield f"  {region}:"
        for key, price in sorted(prices.items()):
            if key.region == region:
                yield f"    {key.product}: {_flow(_fields(price))}"


def _fields(price: Price) -> dict[str, str]:
    stated = [
        json.dumps(source.name)
        if source.amount == price.amount
        else f"{{{json.dumps(source.name)}: {source.amount:f}}}"
        for source in price.sources
    ]
    return {
        "usd": "" if price.same_as else f"{price.amount:f}",
        "same_as": price.same_as or "",
        "per": price.unit,
        "sources": f"[{', '.join(stated)}]",
        "effective": str(price.effective or ""),
        "published": str(price.published or ""),
        "read": str(price.read),
        "free": "true" if price.is_free else "",
    }


def _flow(fields: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{name}: {value}" for name, value in fields.items() if value) + "}"
