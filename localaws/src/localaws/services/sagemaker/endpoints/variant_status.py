"""What a production variant is going through, as DescribeEndpoint's VariantStatus says it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

__all__ = ["VariantStatus"]


@dataclass(frozen=True, slots=True)
class VariantStatus:
    """One stage of a deployment or of a change of capacity.

    The statuses are those of the API's VariantStatus; the messages are worded as in the developer guide's "SageMaker
    Endpoint Deployment State Change" events.

    Attributes:
        status: Which stage.
        message: What happens, with figures.
        started: Since when, in UTC without a time zone.
    """

    status: Literal["Creating", "Updating", "Deleting", "ActivatingTraffic", "Baking"]
    message: str
    started: datetime

    def describe(self) -> list[dict[str, Any]]:
        """As the API's ProductionVariantStatusList."""
        return [{"Status": self.status, "StatusMessage": self.message, "StartTime": self.started}]
