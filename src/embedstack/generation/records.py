"""What goes into a generator and what comes out of it."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["GenerationPrice", "GenerationStats", "Message", "Reply", "Sampling"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Literal["user", "assistant"]
    text: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """How an answer is drawn; None leaves it to the configuration, or to the model.

    Attributes:
        max_tokens: Tokens of the answer at most.
        temperature: Randomness, 0 to 1.
        top_p: Draw from the likeliest words whose probabilities add up to this.
        stop: Texts at which the answer ends.
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


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer.

    Attributes:
        text: The answer.
        stop_reason: Why it ended: ``end_turn``, ``max_tokens``, ``stop_sequence``, …
        input_tokens: Tokens of what was asked, as Bedrock counted them.
        output_tokens: Tokens of the answer.
        dropped_messages: Oldest messages that were left out because the context window was full.
        seconds: How long it took.
        cost_usd: By the configured price.
    """

    text: str
    stop_reason: str
    input_tokens: int
    output_tokens: int
    dropped_messages: int
    seconds: float
    cost_usd: float


@dataclass(frozen=True, slots=True)
class GenerationStats:
    """What was generated so far, streams included."""

    replies: int = 0
    retries: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
