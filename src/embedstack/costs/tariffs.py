"""How AWS charges for the requests to a backend."""

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from embedstack.costs.money import to_picodollars
from embedstack.errors import EmbedStackError, IntegrityError, ModelFailed

__all__ = [
    "FREE",
    "DurationTariff",
    "FreeTariff",
    "QueryTariff",
    "SharedTariff",
    "Tariff",
    "TokenTariff",
    "Unpriced",
    "Usage",
]

# https://aws.amazon.com/bedrock/pricing/: "A query can contain up to 100 document chunks."
_DOCUMENTS_OF_A_QUERY = 100
_MILLION = 10**6


@dataclass(frozen=True, slots=True)
class Usage:
    """What a request used.

    Attributes:
        texts: Texts.
        tokens: Input tokens.
        output_tokens: Generated tokens.
        milliseconds: Duration in milliseconds.
    """

    texts: int = 0
    tokens: int = 0
    output_tokens: int = 0
    milliseconds: float = 0.0


class Tariff(Protocol):
    """How requests to one backend are charged."""

    @property
    def is_shared(self) -> bool:
        """Whether the backend is billed by instance-hours, which a report divides among the calls."""

    def cost(self, usage: Usage) -> int | None:
        """Cost of a request with a response in picodollars; None if the price is unknown."""

    def failure_cost(self, error: EmbedStackError, usage: Usage) -> int | None:
        """Cost of a request that failed."""


class FreeTariff:
    """A backend that costs nothing per request, such as a model in this process."""

    is_shared = False

    def cost(self, usage: Usage) -> int | None:
        """Nothing."""
        del usage
        return 0

    def failure_cost(self, error: EmbedStackError, usage: Usage) -> int | None:
        """Nothing."""
        del error, usage
        return 0


FREE = FreeTariff()


class SharedTariff(FreeTariff):
    """An endpoint that is billed by instance-hours."""

    is_shared = True


@dataclass(frozen=True, slots=True)
class Unpriced:
    """A backend whose price is unknown.

    Attributes:
        reason: Why, and what to do.
    """

    reason: str
    is_shared = False

    def cost(self, usage: Usage) -> int | None:
        """Unknown."""
        del usage
        return None

    def failure_cost(self, error: EmbedStackError, usage: Usage) -> int | None:
        """Unknown."""
        del error, usage
        return None


class TokenTariff(FreeTariff):
    """Charged by tokens. A request that failed costs nothing, unless AWS sent a response that is not valid."""

    def __init__(self, input_price: Decimal, output_price: Decimal = Decimal(0)) -> None:
        """Prices in US dollars per million tokens."""
        self._input, self._output = to_picodollars(input_price), to_picodollars(output_price)

    def cost(self, usage: Usage) -> int | None:
        """By the tokens of the request and of the reply."""
        return round((usage.tokens * self._input + usage.output_tokens * self._output) / _MILLION)

    def failure_cost(self, error: EmbedStackError, usage: Usage) -> int | None:
        """By the tokens, if there was a response."""
        return self.cost(usage) if isinstance(error, IntegrityError) else 0


class QueryTariff(FreeTariff):
    """A reranker that is charged by queries of up to 100 documents."""

    def __init__(self, price: Decimal) -> None:
        """Price in US dollars per query."""
        self._price = to_picodollars(price)

    def cost(self, usage: Usage) -> int | None:
        """By the queries that the texts fill."""
        return self._price * math.ceil(usage.texts / _DOCUMENTS_OF_A_QUERY)

    def failure_cost(self, error: EmbedStackError, usage: Usage) -> int | None:
        """By the queries, if there was a response."""
        return self.cost(usage) if isinstance(error, IntegrityError) else 0


class DurationTariff:
    """A serverless endpoint: charged by milliseconds and memory, also when its container fails.

    AWS documents neither how it rounds nor whether the start of a container is billed. A request is rounded up to a
    millisecond here. Its duration is measured by the client, so it includes the network and a cold start.
    """

    is_shared = False

    def __init__(self, price: Decimal, memory_mb: int) -> None:
        """Price in US dollars per GB-second."""
        self._per_millisecond = to_picodollars(price * memory_mb / 1024 / 1000)

    def cost(self, usage: Usage) -> int | None:
        """By the duration."""
        return self._per_millisecond * math.ceil(usage.milliseconds)

    def failure_cost(self, error: EmbedStackError, usage: Usage) -> int | None:
        """By the duration, if the container processed the request."""
        return self.cost(usage) if isinstance(error, IntegrityError | ModelFailed) else 0
