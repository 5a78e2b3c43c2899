"""Finds prices that are probably copied from another product."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from embedstack.costs.price_book import PriceBook

__all__ = ["check_prices"]

#: SageMaker's price of an instance type is a multiple of EC2's: 1.15 to 1.4 for the types whose prices are settled.
_LEAST_RATIO: Final = Decimal("1.15")
_LARGEST_RATIO: Final = Decimal("1.5")
_COMPONENTS: Final = ("hosting", "async", "transform")


def check_prices(book: PriceBook) -> Iterator[str]:
    """Compare SageMaker's prices with EC2's in the same region, as far as the book has both.

    Returns:
        A sentence for each suspicious price.
    """
    for key, price in book.rows():
        service, _, rest = key.product.partition("/")
        component, _, instance_type = rest.partition("/")
        if service != "sagemaker" or component not in _COMPONENTS or not instance_type.startswith("ml."):
            continue
        ec2 = book.find(key.region, f"ec2/{instance_type.removeprefix('ml.')}")
        if ec2 is None or not ec2.amount or not price.amount:
            continue
        ratio = price.amount / ec2.amount
        if ratio == 1:
            yield (
                f"{key.product} in {key.region}: {price.amount} USD is EC2's price. Check the source: SageMaker's "
                "price is higher."
            )
        elif not _LEAST_RATIO <= ratio <= _LARGEST_RATIO:
            yield (
                f"{key.product} in {key.region}: {price.amount} USD is {ratio:.2f} times EC2's price of {ec2.amount}. "
                f"Check the source: {_LEAST_RATIO} to {_LARGEST_RATIO} times is usual."
            )
