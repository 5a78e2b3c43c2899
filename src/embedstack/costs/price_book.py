"""The price book: list prices of AWS by region and product, each with its sources.

``prices.yaml`` beside this module explains its format. The file that COSTS_PRICES_FILE names has the same format and
takes precedence, price by price. A price that the book does not have is an error and never zero.
"""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Final, Self

from embedstack.costs.price_file import PriceFile, PriceKey, read_price_file
from embedstack.costs.products import find_product
from embedstack.costs.sources import Price, Source
from embedstack.errors import ConfigurationError, UnknownPrice

__all__ = ["PACKAGED_PRICES", "Price", "PriceBook", "Source"]

#: The prices that come with this package.
PACKAGED_PRICES: Final = Path(__file__).with_name("prices.yaml")

_SUGGESTIONS = 3


@dataclass(frozen=True, slots=True)
class PriceBook:
    """Prices by region and product.

    Attributes:
        prices: The prices by region and product key. ``sagemaker/async/*`` stands for all instance types without an
            entry of their own.
        regions_of_prices: Regions whose unknown prices are estimated by those of another region.
    """

    prices: Mapping[PriceKey, Price]
    regions_of_prices: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, file: Path | None = None) -> Self:
        """The packaged prices, overlaid by those of a file.

        Args:
            file: A price file; None for the setting COSTS_PRICES_FILE, if it is set.

        Raises:
            ConfigurationError: The file cannot be read, or is not a valid price file.
        """
        if file is None:
            from embedstack.settings.settings import load_settings  # noqa: PLC0415 - only if no file is passed

            file = load_settings().costs_prices_file
        prices = dict(_packaged().prices)
        if file is not None:
            prices.update(read_price_file(file).prices)
        return cls(prices)

    def price(self, region: str, product: str) -> Price:
        """The price of a product in a region.

        Args:
            region: AWS region, such as ``us-east-1``.
            product: Key of the product, such as ``sagemaker/hosting/ml.m5.xlarge``; see
                :mod:`embedstack.costs.products`.

        Raises:
            UnknownPrice: The book does not have it.
        """
        price = self._find(region, product)
        if price is not None and (price.amount or price.is_free):
            return price
        if price is None and region in self.regions_of_prices:
            other = self.regions_of_prices[region]
            borrowed = self._find(other, product)
            if borrowed is not None and (borrowed.amount or borrowed.is_free):
                return replace(borrowed, settled=False, region=other)
        raise UnknownPrice(self._unknown(region, product, price))

    def find(self, region: str, product: str) -> Price | None:
        """The price of a product in a region; None if the book does not have it."""
        try:
            return self.price(region, product)
        except UnknownPrice:
            return None

    def estimated(self, region: str, other: str) -> Self:
        """This book, with unknown prices of a region estimated by those of another one."""
        return replace(self, regions_of_prices={**self.regions_of_prices, region: other})

    def with_price(self, region: str, product: str, amount: Decimal, *, read: date) -> Self:
        """This book, with a price that the user states, such as a negotiated one.

        Raises:
            ConfigurationError: There is no such product, or the amount is negative, NaN or infinite.
        """
        kind = find_product(product)
        if kind is None:
            raise ConfigurationError(
                f"Unknown product {product!r}. Use a key such as sagemaker/hosting/ml.m5.xlarge; "
                "`embedstack costs prices` lists them."
            )
        if not amount.is_finite() or amount < 0:
            raise ConfigurationError(f"The price of {product} is {amount}. Pass an amount of 0 or more in US dollars.")
        source = Source(name="stated", title="stated by the user", amount=amount, published=read, is_first_hand=True)
        price = Price(amount, kind.unit, True, (source,), None, read, is_free=amount == 0, region=region)
        return replace(self, prices={**self.prices, PriceKey(region, product): price})

    def rows(self, region: str | None = None, product: str = "") -> Iterator[tuple[PriceKey, Price]]:
        """The prices, ordered by region and product.

        Args:
            region: Only those of this region; None for all.
            product: Only those whose key contains this text.
        """
        for key, price in sorted(self.prices.items()):
            if region in (None, key.region) and product in key.product:
                yield key, price

    def regions(self) -> list[str]:
        """The regions that have at least one price."""
        return sorted({key.region for key in self.prices})

    def _find(self, region: str, product: str) -> Price | None:
        price = self.prices.get(PriceKey(region, product))
        if price is not None:
            return price
        # A rule such as "asynchronous inference costs what hosting costs" has sources of its own.
        folder, _, _ = product.rpartition("/")
        rule = self.prices.get(PriceKey(region, f"{folder}/*"))
        if rule is None or rule.same_as is None:
            return None
        other = self.prices.get(PriceKey(region, product.replace(folder, rule.same_as, 1)))
        if other is None:
            return None
        return replace(other, settled=other.settled and rule.settled, sources=(*other.sources, *rule.sources))

    def _unknown(self, region: str, product: str, price: Price | None) -> str:
        ways_out = (
            "Read it from AWS with `embedstack costs prices --refresh`, state it in the file that COSTS_PRICES_FILE "
            f"names or with --price {product}=AMOUNT, or estimate it by another region's with "
            "--region-of-prices us-east-1 --estimate."
        )
        if price is not None:
            return (
                f"The price of {product} in {region} is given as 0 by {price.sources[0].title}, which counts as "
                f"unknown; an entry that is free says `free: true`. {ways_out}"
            )
        if find_product(product) is None:
            known = sorted({key.product for key in self.prices})
            close = difflib.get_close_matches(product, known, n=_SUGGESTIONS)
            hint = f"Did you mean {' or '.join(close)}? " if close else ""
            return f"Unknown product {product!r}. {hint}`embedstack costs prices` lists the products."
        regions = [key.region for key in sorted(self.prices) if key.product == product]
        others = f"It is known in {', '.join(regions)}. " if regions else ""
        return f"The price of {product} in {region} is unknown. {others}{ways_out}"


@cache
def _packaged() -> PriceFile:
    return read_price_file(PACKAGED_PRICES)
