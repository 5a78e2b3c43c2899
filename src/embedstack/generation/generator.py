"""The calls that a user makes: an answer at once or in parts, each sync and async."""

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncGenerator, Callable, Generator as Yielding, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from embedstack.aws.bedrock import check_residency, translate_bedrock_error
from embedstack.aws.clients import AwsClient, aws_response_errors
from embedstack.aws.log_redaction import confidential
from embedstack.calls.process_local import Lock, Origin, renew_after_fork
from embedstack.errors import ConfigurationError, EndpointUnavailable, TextTooLong
from embedstack.generation.records import GenerationPrice, GenerationStats, Message, Reply, Sampling
from embedstack.generation.wire import ApiFormat, Conversation, Usage, wire_for
from embedstack.resilience import CircuitBreaker, Retry
from embedstack.settings.settings import Settings, load_settings

if TYPE_CHECKING:
    import boto3

__all__ = ["Generator"]

_Result = TypeVar("_Result")

# Of English; a tokenizer of the model's own is not to be had outside of Bedrock.
_BYTES_PER_TOKEN = 4
_CONNECTIONS = 10
_FORKED = (
    "This answer was begun in the process that this one was forked from, which reads its other parts: ask again in "
    "this process."
)


class Generator:
    """Generates text with one model. Safe to call from several threads and tasks."""

    def __init__(  # noqa: PLR0913 - by keyword, each its own concern
        self,
        model_id: str | None = None,
        *,
        settings: Settings | None = None,
        context_tokens: int | None = None,
        overflow: Literal["refuse", "trim"] = "refuse",
        api_format: ApiFormat | None = None,
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
            api_format: How to speak to the model; BEDROCK_API_FORMAT otherwise. Anything but ``converse`` is for models
                that Converse does not take, such as imported ones without a chat template.
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
        self._wire = wire_for(api_format or settings.bedrock_api_format)
        self._settings = settings.without_secrets()
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
        self._lock = Lock()
        renew_after_fork(self)
        self.after_fork()

    def after_fork(self) -> None:
        """Start counting at zero: each process counts what it does itself."""
        self._stats = GenerationStats()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        renew_after_fork(self)
        self.after_fork()

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
            IntegrityError: It did, and the response cannot be read.
            CircuitOpen: It did not answer the last times either.
        """
        conversation, dropped = self._conversation(prompt, system, sampling or Sampling())
        started = time.perf_counter()
        answer = self._call(lambda client: self._wire.send(client, self.model_id, conversation))
        cost = self._count(answer.usage)
        return Reply(
            answer.text,
            answer.stop_reason,
            answer.usage.input_tokens,
            answer.usage.output_tokens,
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
    ) -> Yielding[str]:
        """The answer in parts, as they come; takes and raises what :meth:`generate` does.

        An answer that breaks off raises: it is not begun anew, since its first parts are out.
        """
        conversation, _ = self._conversation(prompt, system, sampling or Sampling())
        origin = Origin()
        parts = self._call(lambda client: self._wire.stream(client, self.model_id, conversation))
        complete = False
        while (part := self._next(parts)) is not None:
            if isinstance(part, Usage):
                complete = True
                self._count(part)
            elif part:
                yield part
                origin.check(_FORKED)
        if not complete:
            # botocore takes a connection that is closed early for the end of the answer; Bedrock ends with the usage.
            raise EndpointUnavailable("Bedrock broke off the answer: it is not complete. Ask again.")

    async def astream(
        self, prompt: str | Sequence[Message], *, system: str | None = None, sampling: Sampling | None = None
    ) -> AsyncGenerator[str]:
        """As :meth:`stream`, without blocking the event loop."""
        parts = self.stream(prompt, system=system, sampling=sampling)
        try:
            while (part := await asyncio.to_thread(next, parts, None)) is not None:
                yield part
        finally:
            # A thread that waits for a part of a cancelled task cannot be interrupted; it ends with that part.
            with contextlib.suppress(ValueError):
                parts.close()

    def stats(self) -> GenerationStats:
        """What this process has generated with this object; a forked child and a copy start at zero."""
        return self._stats

    def _call(self, operation: Callable[[Any], _Result]) -> _Result:
        def attempt() -> _Result:
            try:
                return self._client.call(operation)
            except (BotoCoreError, ClientError) as error:
                raise translate_bedrock_error(error, self.model_id, self._client.region) from error

        with self._breaker.guard():
            return self._retry.call(attempt, on_retry=self._count_retry)

    def _next(self, parts: Yielding[str | Usage]) -> str | Usage | None:
        try:
            # botocore logs the parts as it parses them.
            with confidential(), aws_response_errors("Bedrock"):
                return next(parts, None)
        except (BotoCoreError, ClientError) as error:
            raise translate_bedrock_error(error, self.model_id, self._client.region) from error

    def _conversation(
        self, prompt: str | Sequence[Message], system: str | None, sampling: Sampling
    ) -> tuple[Conversation, int]:
        messages = [Message("user", prompt)] if isinstance(prompt, str) else list(prompt)
        max_tokens = sampling.max_tokens or self._settings.bedrock_max_tokens
        temperature = sampling.temperature if sampling.temperature is not None else self._settings.bedrock_temperature
        kept = self._fit(messages, system, max_tokens)
        drawn = dataclasses.replace(sampling, max_tokens=max_tokens, temperature=temperature)
        return Conversation(tuple(kept), system, drawn), len(messages) - len(kept)

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

    def _count(self, usage: Usage) -> float:
        cost = (usage.input_tokens * self._price.input + usage.output_tokens * self._price.output) / 1e6
        with self._lock:
            old = self._stats
            self._stats = dataclasses.replace(
                old,
                replies=old.replies + 1,
                input_tokens=old.input_tokens + usage.input_tokens,
                output_tokens=old.output_tokens + usage.output_tokens,
                cost_usd=old.cost_usd + cost,
            )
        return cost

    def _count_retry(self) -> None:
        with self._lock:
            self._stats = dataclasses.replace(self._stats, retries=self._stats.retries + 1)


def _estimate_tokens(text: str) -> int:
    return len(text.encode()) // _BYTES_PER_TOKEN + 1 if text else 0
