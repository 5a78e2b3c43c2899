"""``/_embedstack/costs``: metered usage, usage without a price, and the notifications of budgets."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from localaws.core.paths import COSTS_PATH
from localaws.core.wsgi import send_json

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from localaws.metering.meter import Meter
    from localaws.metering.prices import UsagePrices
    from localaws.services.budgets.watch import BudgetWatch

__all__ = ["CostInspection"]

_START = datetime(2000, 1, 1, tzinfo=UTC)


class CostInspection:
    """Responds to ``GET /_embedstack/costs``."""

    def __init__(
        self, application: "WSGIApplication", meter: "Meter", prices: "UsagePrices", budgets: "BudgetWatch"
    ) -> None:
        """Wrap an application."""
        self._application = application
        self._meter = meter
        self._prices = prices
        self._budgets = budgets

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Handle one request."""
        if environ.get("PATH_INFO") != COSTS_PATH:
            return self._application(environ, start_response)
        if environ["REQUEST_METHOD"] != "GET":
            document = {"error": "Read costs with GET."}
            return send_json(start_response, "405 Method Not Allowed", document, [("Allow", "GET")])
        self._budgets.evaluate()
        content: dict[str, Any] = {
            "accounts": {account_id: self._describe(account_id) for account_id in sorted(self._meter.accounts())},
            "notifications": [
                {
                    "at": each.at.isoformat(),
                    "account": each.account_id,
                    "budget": each.budget,
                    "type": each.kind,
                    "address": each.address,
                    "subject": each.subject,
                    "message": each.message,
                    "error": each.error,
                }
                for each in self._budgets.sent
            ],
        }
        return send_json(start_response, "200 OK", content)

    def _describe(self, account_id: str) -> dict[str, Any]:
        """The usage and cost of an account, by region, usage type and tags."""
        quantities: dict[Any, Decimal] = defaultdict(Decimal)
        for each in self._meter.usage(account_id, _START, self._meter.time.now() + timedelta(hours=1)):
            quantities[each.line] += each.quantity
        lines = []
        for line, quantity in quantities.items():
            cost = self._prices.cost(line, quantity)
            lines.append(
                {
                    "region": line.region,
                    "service": line.service,
                    "usageType": line.usage_type,
                    "tags": dict(line.tags),
                    "quantity": str(quantity),
                    "unit": line.unit,
                    "product": line.product,
                    "cost": None if cost is None else str(cost),
                }
            )
        lines.sort(key=lambda line: (line["region"], line["service"], line["usageType"]))
        return {"lines": lines, "unpriced": [line for line in lines if line["cost"] is None]}
