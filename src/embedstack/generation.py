"""Text from Bedrock's models, by Converse, which speaks to all of them alike."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from embedstack.aws import AwsClient
from embedstack.bedrock import check_residency, translate_bedrock_error
from embedstack.errors import ConfigurationError, TextTooLong
from embedstack.resilience import CircuitBreaker, Retry
from embedstack.settings import Settings, load_settings

if TYPE_CHECKING:
    import boto3

__all__ = ["GenerationPrice", "GenerationStats", "Generator", "Message", "Reply", "Sampling"]

_Result = TypeVar("_Result")

# Of English; a tokenizer of the model's own is not to be had outside of Bedrock.
_BYTES_PER_TOKEN = 4
_CONNECTIONS = 10


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


class Generator:
    """Generates text with one model. Safe to call from several threads and tasks."""

    def __init__(
        self,
        model_id: str | None = None,
        *,
        settings: Settings | None = None,
        context_tokens: int | None = None,
        overflow: Literal["refuse", "trim"] = "refuse",
        price: GenerationPrice | None = None,
        retry: Retry | None = None,
        breaker: CircuitBreaker | None = None,
        session: "boto3.Session | None" = None,
    ) -> None:
        """Prepare a client; nothing is called yet.

        Args:
            model_id: Bedrock's id of the model or of an inference profile; BEDROCK_MODEL_ID otherwise.
            settings: Configuration; read from the environment otherwise.
            context_tokens: Tokens that question and answer may have together; None leaves it to Bedrock to refuse.
            overflow: What to do with a longer conversation: refuse it, or leave out its oldest messages.
            price: What Bedrock charges.
            retry: When to try again.
            breaker: When to leave the model alone.
            session: A boto3 session of the caller's.

        Raises:
            ConfigurationError: No model is named, or it may compute outside the allowed regions.
        """
        settings = settings or load_settings()
        chosen = model_id or settings.bedrock_model_id
        if chosen is None:
            raise ConfigurationError(
                "No model is named: set BEDROCK_MODEL_ID, for example us.meta.llama3-3-70b-instruct-v1:0, or pass it."
            )
        check_residency(chosen, settings)
        self.model_id = chosen
        self._settings = settings
        self._context_tokens = context_tokens
        self._overflow = overflow
        self._price = price or GenerationPrice()
        self._retry = retry or Retry()
        self._breaker = breaker or CircuitBreaker()
        self._client = AwsClient(
            "bedrock-runtime", settings, max_connections=_CONNECTIONS, read_timeout=settings.bedrock_timeout,
            session=session,
        )  # fmt: skip
        self._client.hand_over_retries()
        self._stats = GenerationStats()
        self._lock = threading.Lock()

    def generate(
        self, prompt: str | Sequence[Message], *, system: str | None = None, sampling: Sampling | None = None
    ) -> Reply:
        """Answer a question or continue a conversation.

        Args:
            prompt: The question, or the turns so far, the last of them the user's.
            system: What the model is told about its part.
            sampling: How the answer is drawn.

        Raises:
            TextTooLong: Question and answer do not fit into the context window.
            InputError: Bedrock refused the request.
            ConfigurationError: There is no such model, or no right to use it.
            EndpointError: Bedrock did not answer.
            CircuitOpen: It did not answer the last times either.
        """
        request, dropped = self._request(prompt, system, sampling or Sampling())
        started = time.perf_counter()
        answer = self._call(lambda client: client.converse(**request))
        text = "".join(block.get("text", "") for block in answer["output"]["message"]["content"])
        cost = self._count(answer["usage"])
        return Reply(
            text,
            answer["stopReason"],
            answer["usage"]["inputTokens"],
            answer["usage"]["outputTokens"],
            dropped,
            time.perf_counter() - started,
            cost,
        )

    async def agenerate(
        self, prompt: str | Sequence[Message], *, system: str | None = None, sampling: Sampling | None = None
    ) -> Reply:
        """As :meth:`generate`, without blocking the event loop."""
        return await asyncio.to_thread(self.generate, prompt, system=system, sampling=sampling)

    def stream(
        self, prompt: str | Sequence[Message], *, system: str | None = None, sampling: Sampling | None = None
    ) -> Iterator[str]:
        """The answer in parts, as they come; takes and raises what :meth:`generate` does.

        An answer that breaks off raises: it is not begun anew, since its first parts are out.
        """
        request, _ = self._request(prompt, system, sampling or Sampling())
        answer = self._call(lambda client: client.converse_stream(**request))
        try:
            for event in answer["stream"]:
                if "contentBlockDelta" in event:
                    yield event["contentBlockDelta"]["delta"].get("text", "")
                elif "metadata" in event:
                    self._count(event["metadata"]["usage"])
        except (BotoCoreError, ClientError) as error:
            raise translate_bedrock_error(error, self.model_id, self._client.region) from error

    def stats(self) -> GenerationStats:
        """What was generated since this object was made."""
        return self._stats

    def _call(self, operation: Callable[[Any], _Result]) -> _Result:
        def attempt() -> _Result:
            try:
                return self._client.call(operation)
            except (BotoCoreError, ClientError) as error:
                raise translate_bedrock_error(error, self.model_id, self._client.region) from error

        with self._breaker.guard():
            return self._retry.call(attempt, on_retry=self._count_retry)

    def _request(
        self, prompt: str | Sequence[Message], system: str | None, sampling: Sampling
    ) -> tuple[dict[str, Any], int]:
        messages = [Message("user", prompt)] if isinstance(prompt, str) else list(prompt)
        max_tokens = sampling.max_tokens or self._settings.bedrock_max_tokens
        kept = self._fit(messages, system, max_tokens)
        temperature = sampling.temperature if sampling.temperature is not None else self._settings.bedrock_temperature
        options = {
            "maxTokens": max_tokens,
            "temperature": temperature,
            "topP": sampling.top_p,
            "stopSequences": list(sampling.stop) or None,
        }
        request: dict[str, Any] = {
            "modelId": self.model_id,
            "messages": [{"role": message.role, "content": [{"text": message.text}]} for message in kept],
            "inferenceConfig": {name: value for name, value in options.items() if value is not None},
        }
        if system is not None:
            request["system"] = [{"text": system}]
        return request, len(messages) - len(kept)

    def _fit(self, messages: list[Message], system: str | None, max_tokens: int) -> list[Message]:
        if self._context_tokens is None:
            return messages
        room = self._context_tokens - max_tokens - _estimate_tokens(system or "")
        kept = list(messages)
        while sum(_estimate_tokens(message.text) for message in kept) > room:
            # A conversation begins with the user, so question and answer go together.
            if self._overflow == "refuse" or len(kept) <= 2:
                needed = sum(_estimate_tokens(message.text) for message in kept)
                raise TextTooLong(
                    f"The conversation has about {needed} tokens; {max(room, 0)} of {self._context_tokens} are left "
                    f'beside an answer of {max_tokens}: shorten it, lower max_tokens, or pass overflow="trim".'
                )
            kept = kept[2:]
        return kept

    def _count(self, usage: dict[str, int]) -> float:
        given, answered = usage["inputTokens"], usage["outputTokens"]
        cost = (given * self._price.input + answered * self._price.output) / 1e6
        with self._lock:
            old = self._stats
            self._stats = GenerationStats(
                old.replies + 1, old.retries, old.input_tokens + given, old.output_tokens + answered,
                old.cost_usd + cost,
            )  # fmt: skip
        return cost

    def _count_retry(self) -> None:
        with self._lock:
            old = self._stats
            self._stats = GenerationStats(
                old.replies, old.retries + 1, old.input_tokens, old.output_tokens, old.cost_usd
            )


def _estimate_tokens(text: str) -> int:
    return len(text.encode()) // _BYTES_PER_TOKEN + 1 if text else 0
