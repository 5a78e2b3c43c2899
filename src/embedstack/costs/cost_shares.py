"""Divides the cost of an endpoint's instances among the calls that kept them busy."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Literal, TypeVar

__all__ = ["IdlePolicy", "divide_cost", "spread_idle"]

#: ``separate`` shows the cost of idle time as a line of its own; ``spread`` divides it among the calls.
IdlePolicy = Literal["separate", "spread"]

_Key = TypeVar("_Key")


def divide_cost(
    cost: Decimal, instance_seconds: int, busy_microseconds: Mapping[_Key, int]
) -> tuple[dict[_Key, Decimal], Decimal]:
    """Divide a cost by the share of the instances' time that calls took.

    Concurrent calls may add up to more time than the instances have. Then nothing is idle, and each call gets its share
    of the whole cost.

    Args:
        cost: US dollars of the instances.
        instance_seconds: How long they ran.
        busy_microseconds: Duration of the calls of each group.

    Returns:
        The cost of each group, and of idle time. They add up to the cost exactly.
    """
    available = max(10**6 * instance_seconds, sum(busy_microseconds.values()))
    shares = {key: cost * busy / available for key, busy in busy_microseconds.items() if busy}
    return shares, max(cost - sum(shares.values(), Decimal(0)), Decimal(0))


def spread_idle(shares: Mapping[_Key, Decimal], idle: Decimal) -> dict[_Key, Decimal]:
    """Add the cost of idle time to shares, in proportion to them."""
    attributed = sum(shares.values(), Decimal(0))
    if not attributed:
        return dict(shares)
    return {key: share * (attributed + idle) / attributed for key, share in shares.items()}
