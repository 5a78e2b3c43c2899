"""Entries and sums of the ledger."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from uuid import uuid4

from embedstack.costs.attribution import NOBODY, Attribution

__all__ = ["COUNT_NAMES", "GROUPS", "PERIOD_SECONDS", "CallRecord", "Counts", "Group", "RecordKind", "Total"]

RecordKind = Literal["query", "document", "rerank", "generate"]
Group = Literal["day", "hour", "backend", "endpoint", "model", "kind", "caller", "key", "context"]

#: What totals can be grouped by.
GROUPS: tuple[Group, ...] = ("day", "hour", "backend", "endpoint", "model", "kind", "caller", "key", "context")
#: Calls are added up over periods of this length, which days of every time zone consist of (offsets are multiples of
#: 15 minutes).
PERIOD_SECONDS = 900


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecord:
    """One call of a model.

    Attributes:
        id: Identifies the call: records of the same id are counted once.
        at: When it ended, in seconds since the epoch (UTC).
        backend: ``sagemaker``, ``sagemaker-async``, ``bedrock``, ``ollama``, ``local`` or ``fake``.
        endpoint: Name of the endpoint; empty without one.
        model: Hugging Face Hub id or Bedrock id of the model.
        kind: What the model was called for.
        texts: Texts with a response.
        tokens: Input tokens: the service's count, or an estimate from their bytes.
        output_tokens: Tokens of a generated reply.
        milliseconds: Duration of the request in milliseconds.
        request_bytes: Bytes of the texts.
        response_bytes: Bytes of the response, where known.
        cost: Cost in picodollars; None if the price is unknown. 0 only for a backend that costs nothing, for cache
            hits, and for calls of an endpoint that is billed by instance-hours (``is_shared``).
        is_shared: The endpoint is billed by instance-hours, which a report divides among its calls by their time.
        attribution: Whom it is charged to.
        cache_hits: Texts whose result came from a cache.
        tokens_saved: Tokens of these texts.
        is_error: Whether the call failed.
    """

    at: float
    backend: str
    endpoint: str
    model: str
    kind: RecordKind
    id: str = field(default_factory=lambda: uuid4().hex)
    texts: int = 0
    tokens: int = 0
    output_tokens: int = 0
    milliseconds: float = 0.0
    request_bytes: int = 0
    response_bytes: int = 0
    cost: int | None = 0
    is_shared: bool = False
    attribution: Attribution = NOBODY
    cache_hits: int = 0
    tokens_saved: int = 0
    is_error: bool = False

    def counts(self) -> "Counts":
        """What the record adds to sums."""
        return Counts(
            calls=1,
            texts=self.texts,
            tokens=self.tokens,
            output_tokens=self.output_tokens,
            microseconds=round(self.milliseconds * 1000),
            request_bytes=self.request_bytes,
            response_bytes=self.response_bytes,
            cost=self.cost or 0,
            unpriced_calls=int(self.cost is None),
            shared_calls=int(self.is_shared),
            cache_hits=self.cache_hits,
            tokens_saved=self.tokens_saved,
            errors=int(self.is_error),
        )


@dataclass(slots=True)
class Counts:
    """Sums of integers, so that they are exact and do not depend on the order of the calls.

    Attributes:
        calls: Calls, including failed ones and those that a cache answered completely.
        texts: Texts with a response.
        tokens: Input tokens.
        output_tokens: Tokens of generated replies.
        microseconds: Duration of the requests.
        request_bytes: Bytes of the texts.
        response_bytes: Bytes of the responses, where known.
        cost: Picodollars, without unpriced calls and without instance-hours.
        unpriced_calls: Calls whose price is unknown.
        shared_calls: Calls of endpoints that are billed by instance-hours.
        cache_hits: Texts whose result came from a cache.
        tokens_saved: Tokens of cache hits.
        errors: Failed calls.
    """

    calls: int = 0
    texts: int = 0
    tokens: int = 0
    output_tokens: int = 0
    microseconds: int = 0
    request_bytes: int = 0
    response_bytes: int = 0
    cost: int = 0
    unpriced_calls: int = 0
    shared_calls: int = 0
    cache_hits: int = 0
    tokens_saved: int = 0
    errors: int = 0

    def add(self, other: "Counts") -> None:
        """Add other sums to these."""
        for name in COUNT_NAMES:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def values(self) -> tuple[int, ...]:
        """The sums in the order of :data:`COUNT_NAMES`."""
        return tuple(getattr(self, name) for name in COUNT_NAMES)


#: Names of the sums.
COUNT_NAMES = tuple(each.name for each in dataclasses.fields(Counts))


@dataclass(slots=True)
class Total(Counts):
    """The sums of one group.

    Attributes:
        group: The value of each name that was grouped by: ``day`` as ``2026-12-01``, ``hour`` as
            ``2026-12-01T13:00:00+00:00``; None where a call has no such value.
    """

    group: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def milliseconds(self) -> float:
        """Duration of the requests in milliseconds."""
        return self.microseconds / 1000
