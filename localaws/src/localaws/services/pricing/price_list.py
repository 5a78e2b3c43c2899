"""Price lists in AWS's format: of the price book, or those that a test has put in.

Format: "Understanding price list files" in the AWS Billing user guide and the response of GetProducts.
"""

import json
import threading
import zlib
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from botocore.session import Session

from localaws.core.paths import PRICES_PATH
from localaws.core.wsgi import change_and_describe
from localaws.metering.lines import lines_of_product

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from localaws.metering.prices import UsagePrices
    from localaws.metering.usage import UsageLine

__all__ = ["SERVICE_CODES", "PriceListControl", "PriceLists"]

#: AWS's codes of on-demand terms and of their price dimensions.
_TERM, _DIMENSION = "JRTCKXETXF", "6YS6EN2CT7"
#: Service codes by the first part of a product's key.
SERVICE_CODES = {
    "bedrock": "AmazonBedrock",
    "cloudwatch": "AmazonCloudWatch",
    "lambda": "AWSLambda",
    "s3vectors": "AmazonS3",
    "sagemaker": "AmazonSageMaker",
}
_FAMILIES = {"sagemaker": "ML Instance", "lambda": "Serverless"}
_COMPONENTS = {"hosting": "Hosting", "async": "Asynchronous Inference", "transform": "Batch Transform"}


class PriceLists:
    """The entries of the price list."""

    def __init__(self, prices: "UsagePrices") -> None:
        """Start with the price book's."""
        self._prices = prices
        self._lock = threading.Lock()
        self._entries: list[dict[str, Any]] = []

    @property
    def entries(self) -> list[dict[str, Any]]:
        """The entries that were put in; without any, those of the price book."""
        with self._lock:
            entries = self._entries
        return entries or list(self._of_price_book())

    @property
    def count(self) -> int:
        """The number of entries that were put in."""
        return len(self._entries)

    def replace(self, entries: list[dict[str, Any]]) -> None:
        """Use these entries instead; none for the price book's.

        Raises:
            KeyError: A member is missing.
            TypeError: A member has another type.
        """
        for entry in entries:
            if not entry["serviceCode"] or not isinstance(entry["product"]["attributes"], dict):
                raise TypeError("an entry needs a serviceCode and product.attributes")
            entry["product"].setdefault("sku", _sku(json.dumps(entry, sort_keys=True)))
        with self._lock:
            self._entries = list(entries)

    def _of_price_book(self) -> Iterable[dict[str, Any]]:
        for key, price in self._prices.book.rows():
            for line in lines_of_product(key.region, key.product):
                amount = price.amount * line.price_units
                yield _entry(line, amount, price.effective or price.read, price.published or price.read)


class PriceListControl:
    """Serves ``/_embedstack/prices``: ``POST {"products": […]}`` replaces the price list."""

    def __init__(self, application: "WSGIApplication", lists: PriceLists) -> None:
        """Wrap an application."""
        self._application = application
        self._lists = lists

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Handle one request."""
        if environ.get("PATH_INFO") != PRICES_PATH:
            return self._application(environ, start_response)
        return change_and_describe(
            environ,
            start_response,
            change=lambda document: self._lists.replace(document["products"]),
            describe=lambda: {"products": self._lists.count},
            usage='Send {"products": [entries of a price list]}',
        )


def _entry(line: "UsageLine", amount: Decimal, effective: date, published: date) -> dict[str, Any]:
    """An entry of a price list."""
    folder, _, name = line.product.partition("/")
    attributes = {
        "servicecode": SERVICE_CODES[folder],
        "servicename": line.service,
        "location": _location(line.region),
        "locationType": "AWS Region",
        "regionCode": line.region,
        "usagetype": line.usage_type,
        "operation": "",
        **_instance_attributes(name),
    }
    sku = _sku(f"{line.region} {line.usage_type}")
    rate = f"{sku}.{_TERM}.{_DIMENSION}"
    dimension = {
        "unit": line.unit,
        "endRange": "Inf",
        "description": f"${amount:f} per {line.unit} of {line.usage_type} in {attributes['location']}",
        "appliesTo": [],
        "rateCode": rate,
        "beginRange": "0",
        "pricePerUnit": {"USD": f"{amount:.10f}" if amount >= Decimal("0.000001") else f"{amount:f}"},
    }
    term = {
        "priceDimensions": {rate: dimension},
        "sku": sku,
        "effectiveDate": f"{effective.isoformat()}T00:00:00Z",
        "offerTermCode": _TERM,
        "termAttributes": {},
    }
    return {
        "product": {"productFamily": _FAMILIES.get(folder, ""), "attributes": attributes, "sku": sku},
        "serviceCode": SERVICE_CODES[folder],
        "terms": {"OnDemand": {f"{sku}.{_TERM}": term}},
        "version": f"{published:%Y%m%d}000000",
        "publicationDate": f"{published.isoformat()}T00:00:00Z",
    }


def _instance_attributes(name: str) -> Mapping[str, str]:
    kind, _, instance_type = name.partition("/")
    if kind not in _COMPONENTS:
        return {}
    return {"component": _COMPONENTS[kind], "instanceName": instance_type, "instanceType": f"{instance_type}-{kind}"}


def _sku(text: str) -> str:
    """A stock keeping unit in AWS's form, the same for the same text."""
    return f"{zlib.crc32(text.encode()):08X}{zlib.adler32(text.encode()):08X}"


def _location(region: str) -> str:
    partitions = Session().get_data("endpoints")["partitions"]
    names = {name: data["description"] for partition in partitions for name, data in partition["regions"].items()}
    return str(names.get(region, region)).replace("Europe (", "EU (")
