"""What one process spends of one budget in one month."""

import time
from typing import Final

from embedstack.costs.budget_limits import Budget, Month

__all__ = ["BudgetAccount"]

# Requests for which a process reserves, at first and at most.
_FIRST_BATCH, _MAX_BATCH = 16, 4096
_EARLY_SECONDS = 0.25
# With room for fewer requests than this, other processes may be waiting for what a process has reserved.
_SCARCE_REQUESTS = 64
# A process reserves this part of what is left, at most, so that others find something too.
_SHARE = 4


class BudgetAccount:
    """Amounts of one budget, in picodollars. Not safe for concurrent threads: the guard holds a lock.

    Attributes:
        budget: The budget.
        month: The month.
        limit: The limit; None if the budget was removed.
        others: What other processes have reserved.
        requests: This process's requests in flight.
        reserved: Their amounts.
        granted: What this process may have in flight, as written to the store.
        is_scarce: Whether other processes may be waiting for what this one has reserved.
        is_reserved: Whether the store has a reservation of this process.
        read_at: When the store and the ledger were read, on the monotonic clock.
        used_at: When a request was admitted last, on the same clock.
    """

    def __init__(self, budget: Budget, month: Month) -> None:
        self.budget: Final = budget
        self.month: Final = month
        self.limit: int | None = None
        self.others = 0
        self.requests = 0
        self.reserved = 0
        self.granted = 0
        self.is_scarce = False
        self.is_reserved = False
        self.read_at = float("-inf")
        self.used_at = time.monotonic()
        self._ledger_spend = 0
        self._spend_since = 0
        self._batch = _FIRST_BATCH

    @property
    def spend(self) -> int:
        """What is spent: by the ledger, and by this process since it was read."""
        return self._ledger_spend + self._spend_since

    @property
    def is_spent(self) -> bool:
        """Whether nothing is left."""
        return self.limit is not None and self.spend >= self.limit

    def fits(self, amount: int) -> bool:
        """Whether a request of this amount may be sent without another look at the store."""
        return self.limit is None or (not self.is_spent and self.reserved + amount <= self.granted)

    def take(self, amount: int) -> None:
        """Count a request that is sent."""
        self.requests += 1
        self.reserved += amount
        self.used_at = time.monotonic()

    def end(self, amount: int, cost: int) -> None:
        """Count the end of a request and what it cost."""
        self.requests -= 1
        self.reserved -= amount
        self.granted -= cost
        self._spend_since += cost

    def know(self, limit: int | None, spend: int, others: int) -> None:
        """Replace what is known by what the ledger and the store say now."""
        self.limit = limit
        self.others = others
        self._ledger_spend = spend
        self._spend_since = 0

    def plan(self, amount: int) -> None:
        """Decide what to reserve for requests of this amount; 0 to reserve only what is in flight."""
        # When a reservation is used up before it is old, the next one is larger.
        is_early = amount > 0 and time.monotonic() - self.read_at < _EARLY_SECONDS
        self._batch = min(self._batch * 2, _MAX_BATCH) if is_early else max(self._batch // 2, _FIRST_BATCH)
        room = 0 if self.limit is None else self.limit - self.spend - self.others - self.reserved
        wanted = amount * self._batch
        if amount <= room:
            more = min(wanted, max(amount, room // _SHARE))
        else:
            # The last request may exceed the limit, since its cost is only an estimate; there is one at a time.
            more = amount if room > 0 and self.requests == 0 else 0
        self.is_scarce = amount * _SCARCE_REQUESTS > room
        self.granted = self.reserved + more
        self.read_at = time.monotonic()
