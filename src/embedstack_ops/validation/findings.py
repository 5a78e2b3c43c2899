"""What a look at an endpoint finds: checks, the report that they make, and what counts as fast enough."""

from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Check", "Report", "Status", "Targets"]

Status = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True)
class Targets:
    """What counts as fast enough.

    Attributes:
        p50_ms: Median milliseconds of a call with one short text.
        p95_ms: 95th percentile of the same.
        texts_per_minute: Texts embedded per minute, in batches.
    """

    p50_ms: float = 100
    p95_ms: float = 500
    texts_per_minute: float = 1000


@dataclass(frozen=True, slots=True)
class Check:
    """One finding.

    Attributes:
        name: What was looked at.
        status: Whether it holds.
        figure: What was found.
        target: What was wanted.
        seconds: How long the check took.
    """

    name: str
    status: Status
    figure: str
    target: str = ""
    seconds: float = 0.0


@dataclass(slots=True)
class Report:
    """The checks of one endpoint, in the order in which they ran.

    Attributes:
        endpoint: The endpoint's name.
        model_id: The model that it serves.
        dimensions: Length of its vectors.
        checks: The findings.
        cold_start_seconds: Duration of the first call, which may have started a container.
    """

    endpoint: str
    model_id: str
    dimensions: int
    checks: list[Check] = field(default_factory=list)
    cold_start_seconds: float | None = None

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return all(check.status != "failed" for check in self.checks)

    def count(self, status: Status) -> int:
        """Checks that ended so."""
        return sum(check.status == status for check in self.checks)
