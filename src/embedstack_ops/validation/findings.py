"""The results of a validation: checks, the report, and the latency and throughput targets."""

from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Check", "Report", "Status", "Targets"]

Status = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True)
class Targets:
    """Latency and throughput targets.

    Attributes:
        p50_ms: Maximum median latency of a call with one short text, in milliseconds.
        p95_ms: Maximum 95th percentile of that latency, in milliseconds.
        texts_per_minute: Minimum throughput in batches.
    """

    p50_ms: float = 100
    p95_ms: float = 500
    texts_per_minute: float = 1000


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check.

    Attributes:
        name: Name of the check.
        status: Whether it passed.
        figure: The measured value.
        target: The expected value.
        seconds: Duration of the check.
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
        endpoint: Name of the endpoint.
        model_id: Hub id of the model that it serves.
        dimensions: Length of its vectors; None until it is known.
        prompts: How texts are prepared, in words.
        license: License of the model's weights, in words.
        checks: Results.
        cold_start_seconds: Duration of the first call, which may have started a container.
    """

    endpoint: str
    model_id: str
    dimensions: int | None
    prompts: str
    license: str
    checks: list[Check] = field(default_factory=list)
    cold_start_seconds: float | None = None

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return all(check.status != "failed" for check in self.checks)

    def count(self, status: Status) -> int:
        """The number of checks with this status."""
        return sum(check.status == status for check in self.checks)
