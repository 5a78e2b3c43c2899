"""Service times: what a request costs in processing time, and how long containers and instances start."""

import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml

from embedstack.errors import ConfigurationError
from embedstack_ops.simulation.traces import NANOSECONDS, Int64, Trace

__all__ = ["Range", "ServiceProfile", "read_profile"]

Distribution = Literal["constant", "exponential", "lognormal"]


@dataclass(frozen=True, slots=True)
class Range:
    """A figure that is known within bounds, in seconds."""

    low: float
    high: float

    @property
    def middle(self) -> float:
        """The geometric mean, since start times vary by factors."""
        return float(np.sqrt(self.low * self.high))


@dataclass(frozen=True, slots=True)
class ServiceProfile:
    """How long requests and starts take.

    Attributes:
        base_s: Seconds of a request without tokens.
        per_token_s: Seconds of each token.
        distribution: Distribution of the service time around this mean.
        variance: Squared coefficient of variation of a lognormal distribution.
        mean_tokens: Tokens of each request where the trace has none.
        cold_start_s: Seconds until a serverless container serves. No settled figure by memory and model size exists;
            the default is the range of published ones, and results are printed as a range.
        instance_start_s: Seconds from the decision to launch an instance until it serves. The default is the range of
            medians that AWS published for accelerator instances with and without its image cache (2026-06-17).
        request_bytes: Size of a request's body; None leaves data transfer out of the bill.
        response_bytes: Size of a response's body.
    """

    base_s: float = 0.01
    per_token_s: float = 0.0
    distribution: Distribution = "constant"
    variance: float = 0.5
    mean_tokens: int = 250
    cold_start_s: Range = Range(1, 60)
    instance_start_s: Range = Range(134, 525)
    request_bytes: int | None = None
    response_bytes: int | None = None

    def __post_init__(self) -> None:
        """Check the figures.

        Raises:
            ConfigurationError: A time is negative or not finite, or a range is reversed.
        """
        for name in ("base_s", "per_token_s", "variance", "mean_tokens"):
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                raise ConfigurationError(f"The service profile's {name} is {value:g}. Pass a number of 0 or more.")
        for name in ("cold_start_s", "instance_start_s"):
            value = getattr(self, name)
            if not 0 <= value.low <= value.high < float("inf"):
                raise ConfigurationError(
                    f"The service profile's {name} is {value.low:g} to {value.high:g}. "
                    "Pass two numbers of 0 or more, the smaller one first."
                )
        if self.distribution not in ("constant", "exponential", "lognormal"):
            raise ConfigurationError(
                f"Unknown distribution {self.distribution!r} of service times. Known: constant, exponential, lognormal."
            )

    def draw(self, trace: Trace, generator: np.random.Generator) -> Int64:
        """The service time of each request of a trace, in nanoseconds. Durations in the trace take precedence."""
        if trace.durations is not None:
            return trace.durations
        means = (self.base_s + self.per_token_s * self.tokens(trace)) * NANOSECONDS
        match self.distribution:
            case "constant":
                times = means
            case "exponential":
                times = means * generator.standard_exponential(len(trace))
            case "lognormal":
                spread = np.log1p(self.variance)
                times = means * generator.lognormal(-spread / 2, np.sqrt(spread), len(trace))
        drawn: Int64 = np.rint(times).astype(np.int64)
        return drawn

    def tokens(self, trace: Trace) -> Int64:
        """The tokens of each request of a trace."""
        return np.full(len(trace), self.mean_tokens, np.int64) if trace.tokens is None else trace.tokens

    def at_bound(self, bound: Literal["low", "high"]) -> "ServiceProfile":
        """This profile with all start times at one end of their ranges."""
        cold, start = getattr(self.cold_start_s, bound), getattr(self.instance_start_s, bound)
        return replace(self, cold_start_s=Range(cold, cold), instance_start_s=Range(start, start))

    @property
    def depends_on_starts(self) -> bool:
        """Whether a start time is a range and not one figure."""
        return self.cold_start_s.low < self.cold_start_s.high or self.instance_start_s.low < self.instance_start_s.high

    def as_dict(self) -> dict[str, Any]:
        """The figures as JSON values."""
        return asdict(self)


def read_profile(path: Path) -> ServiceProfile:
    """Read a service profile from a YAML or JSON file with the attributes of :class:`ServiceProfile`.

    Start times are one number or ``[low, high]``, in seconds.

    Raises:
        ConfigurationError: The file cannot be read, or has an unknown or invalid figure.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"The service profile {path} cannot be read: {error}.") from error
    known = {field.name for field in fields(ServiceProfile)}
    if not isinstance(content, dict) or not content.keys() <= known:
        unknown = ", ".join(sorted(map(str, content.keys() - known))) if isinstance(content, dict) else "no mapping"
        raise ConfigurationError(f"{path} has unknown figures: {unknown}. Known: {', '.join(sorted(known))}.")
    try:
        values = {name: _value(name, value) for name, value in content.items()}
        return ServiceProfile(**values)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"{path} has a figure that is not a number. Correct it.") from error


def _value(name: str, value: Any) -> Any:
    if name == "distribution":
        return value
    if name in ("cold_start_s", "instance_start_s"):
        low, high = value if isinstance(value, list) else (value, value)
        return Range(float(low), float(high))
    return float(value) if name.endswith("_s") or name == "variance" else int(value)
