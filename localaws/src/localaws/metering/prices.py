"""The cost of usage at the price book's prices."""

import threading
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from embedstack.costs.price_book import PriceBook
from embedstack.errors import UnknownPrice

if TYPE_CHECKING:
    from collections.abc import Iterable

    from localaws.metering.usage import Usage, UsageLine

__all__ = ["UsagePrices"]


class UsagePrices:
    """Prices of usage. The price book is read on first use."""

    def __init__(self, file: Path | None = None) -> None:
        """Prepare.

        Args:
            file: A price file that takes precedence over the packaged one.
        """
        self._file = file
        self._lock = threading.Lock()
        self._book: PriceBook | None = None
        self._amounts: dict[tuple[str, str], Decimal | None] = {}

    @property
    def book(self) -> PriceBook:
        """The price book."""
        with self._lock:
            if self._book is None:
                self._book = PriceBook.load(self._file)
            return self._book

    def cost(self, line: "UsageLine", quantity: Decimal) -> Decimal | None:
        """What a quantity costs in US dollars; None if the price book has no price."""
        key = (line.region, line.product)
        if key not in self._amounts:
            try:
                self._amounts[key] = self.book.price(*key).amount
            except UnknownPrice:
                self._amounts[key] = None
        amount = self._amounts[key]
        return None if amount is None else quantity * amount * line.price_units

    def total(self, usage: "Iterable[Usage]") -> Decimal:
        """The cost of usage that has a price."""
        return sum((self.cost(each.line, each.quantity) or Decimal(0) for each in usage), Decimal(0))

    def unpriced(self, usage: "Iterable[Usage]") -> "dict[UsageLine, Decimal]":
        """The usage without a price, by line."""
        quantities: dict[UsageLine, Decimal] = defaultdict(Decimal)
        for each in usage:
            if self.cost(each.line, each.quantity) is None:
                quantities[each.line] += each.quantity
        return dict(quantities)
