"""Inputs and outputs of a generator."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from embedstack.costs.tariffs import TokenTariff

__all__ = ["GenerationPrice", "GenerationStats", "Message", "Reply", "Sampling"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Literal["user", "assistant"]
    text: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """Sampling parameters. None uses the settings, or the model's default.

    Attributes:
        max_tokens: Maximum tokens of the reply.
        temperature: Randomness, 0 to 1.
        top_p: Nucleus sampling: sample from the most likely tokens whose probabilities add up to this.
        stop: Stop sequences.
    """

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GenerationPrice:
    """US dollars per million tokens."""

    input: float = 0.0
    output: float = 0.0

    def tariff(self) -> TokenTariff:
        """The tariff of this price."""
        return TokenTariff(Decimal(str(self.input)), Decimal(str(self.output)))


@dataclass(frozen=True, slots=True)
class Reply:
    """A model's reply.

    Attributes:
        text: The reply.
        stop_reason: Why it ended: ``end_turn``, ``max_tokens``, ``stop_sequence``, …
        input_tokens: Tokens of the request, as counted by Bedrock.
        output_tokens: Tokens of the reply.
        dropped_messages: Number of oldest messages that were omitted because the context window was full.
        seconds: Duration of the call in seconds.
        cost_usd: Cost in US dollars; None if the price is unknown.
    """

    text: str
    stop_reason: str
    input_tokens: int
    output_tokens: int
    dropped_messages: int
    seconds: float
    cost_usd: float | None


@dataclass(frozen=True, slots=True)
class GenerationStats:
    """Totals of all replies, including streams; the cost is that of the replies whose price is known."""

    replies: int = 0
    retries: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
