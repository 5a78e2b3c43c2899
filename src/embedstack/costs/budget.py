"""The budget guard: admits a request while the budgets it belongs to have money left."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from embedstack.costs.attribution import Attribution
    from embedstack.costs.ledger import Ledger
    from embedstack.settings.settings import Settings

__all__ = ["Admission", "BudgetGuard", "open_guard"]


class Admission(Protocol):
    """A request that may be sent. Exactly one of the methods is called, after the request has ended."""

    def settle(self, cost: int | None) -> None:
        """The request was billed. Call it after :meth:`Ledger.record`.

        Args:
            cost: Its cost in picodollars; None if the price is unknown.
        """

    def release(self) -> None:
        """The request was not billed: it was not sent, or AWS does not charge for its failure."""


class BudgetGuard:
    """Admits requests within the budgets of the month, of keys and of contexts. Shared by threads and processes."""

    def admit(self, estimate: int | None, attribution: "Attribution", *, product: str = "this request") -> Admission:
        """Wait until a request may be sent.

        Args:
            estimate: Its expected cost in picodollars; 0 only for a backend that costs nothing per request, None if
                the price is unknown.
            attribution: The key and the context that the request belongs to.
            product: What has no price, for the message, such as ``Bedrock model x in eu-west-1``.

        Raises:
            BudgetExceeded: A budget is spent and the policy is ``refuse``; not retryable, no request was sent.
            UnknownPrice: The price is unknown, a budget applies, and the policy is ``refuse``.
            DeadlineExceeded: The policy is ``limit``, and the next slot is after the call's deadline.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Give back this process's reservations and end its thread."""


def open_guard(settings: "Settings", ledger: "Ledger | None") -> BudgetGuard | None:
    """The guard of the settings; None if they have no budget.

    Raises:
        ConfigurationError: A budget is set without a ledger, or a setting of budgets is invalid.
    """
    raise NotImplementedError
