"""Text generation with one model: whole replies or streams, sync and async."""

import contextlib
import dataclasses
from collections.abc import AsyncGenerator, Callable, Generator as Yielding, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from embedstack.aws.bedrock import base_model_id, check_residency
from embedstack.aws.clients import AwsClient, aws_response_errors
from embedstack.aws.log_redaction import confidential
from embedstack.calls.process_local import Lock, Origin, renew_after_fork
from embedstack.calls.threads import run_in_thread
from embedstack.costs.accounting import Accountant, Charge, Service, connect_accountant, fixed
from embedstack.costs.aws_tariffs import bedrock_token_tariff
from embedstack.costs.money import to_dollars
from embedstack.costs.tariffs import FREE
from embedstack.errors import ConfigurationError, EmbedStackError, EndpointUnavailable, TextTooLong
from embedstack.generation.records import GenerationPrice, GenerationStats, Message, Reply, Sampling
from embedstack.generation.wire import ApiFormat, Conversation, Usage, wire_for
from embedstack.resilience import CircuitBreaker, Retry
from embedstack.settings.settings import Settings, load_settings

if TYPE_CHECKING:
    import boto3

__all__ = ["Generator"]

_Result = TypeVar("_Result")

# An estimate for English: the tokenizers of Bedrock's models are not available outside of Bedrock.
_BYTES_PER_TOKEN = 4
_CONNECTIONS = 10
_FORKED = (
    "This stream was started in the parent process, which reads the rest of it. Send the request again in this process."
)


class Generator:
    """Generates text with one model. Safe for concurrent threads and tasks."""

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
        """Create a client. No request is sent.

        Args:
            model_id: Bedrock id of a model or inference profile; defaults to BEDROCK_MODEL_ID.
            settings: The settings; defaults to those of the environment.
            context_tokens: Maximum tokens of request and reply together; None leaves the check to Bedrock.
            overflow: Whether to refuse a longer conversation, or to omit its oldest messages.
            api_format: The request format; defaults to BEDROCK_API_FORMAT. Formats other than ``converse`` are for
                models that Converse does not support, such as imported models without a chat template.
            price: A stated price, which takes precedence over the price book.
            retry: The retry policy.
            breaker: The circuit breaker.
            session: A custom boto3 session.

        Raises:
            ConfigurationError: No model is configured, or it may run outside the allowed regions.
        """
        settings = settings or load_settings()
        model_id = model_id or settings.bedrock_model_id
        if model_id is None:
            raise ConfigurationError(
                "No model is configured. Set BEDROCK_MODEL_ID, for example us.meta.llama3-3-70b-instruct-v1:0, or pass "
                "model_id."
            )
        check_residency(model_id, settings)
        self.model_id = model_id
        self._wire = wire_for(api_format or settings.bedrock_api_format)
        self._settings = settings.without_secrets()
        self._context_tokens = context_tokens
        self._overflow = overflow
        self._retry = retry or Retry()
        self._breaker = breaker or CircuitBreaker()
        self._client = AwsClient(
            "bedrock-runtime", settings, max_connections=_CONNECTIONS, read_timeout=settings.bedrock_timeout,
            session=session,
        )  # fmt: skip
        self._client.disable_retries()
        service = self._service(price)
        self._accountant = connect_accountant(service, settings, session) or Accountant(
            dataclasses.replace(service, tariff=fixed(FREE if price is None else price.tariff()))
        )
        self._lock = Lock()
        renew_after_fork(self)
        self.after_fork()

    def after_fork(self) -> None:
        """Reset the statistics: each process counts its own calls."""
        self._stats = GenerationStats()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        renew_after_fork(self)
        self.after_fork()

    def generate(
        self, prompt: str | Sequence[Message], *, system: str | None = None, sampling: Sampling | None = None
    ) -> Reply:
        """Reply to a prompt or continue a conversation.

        Args:
            prompt: The user's prompt, or the messages so far, the last of them from the user.
            system: The system prompt.
            sampling: The sampling parameters.

        Raises:
            TextTooLong: Request and reply do not fit into the context window.
            InputError: Bedrock rejected the request.
            ConfigurationError: The model does not exist, or access is denied.
            EndpointError: Bedrock is unavailable, throttled the request or failed.
            IntegrityError: The response cannot be read.
            CircuitOpen: The circuit breaker is open after earlier failures.
            BudgetExceeded: A budget is spent.
        """
        conversation, dropped = self._conversation(prompt, system, sampling or Sampling())
        charge = self._begin(conversation)
        with _accounted(charge):
            reply = self._call(lambda client: self._wire.send(client, self.model_id, conversation))
        seconds, cost = self._count(charge, reply.usage)
        return Reply(
            reply.text,
            reply.stop_reason,
            reply.usage.input_tokens,
            reply.usage.output_tokens,
            dropped,
            seconds,
            None if cost is None else float(to_dollars(cost)),
        )

    async def agenerate(
        self, prompt: str | Sequence[Message], *, system: str | None = None, sampling: Sampling | None = None
    ) -> Reply:
        """Like :meth:`generate`, without blocking the event loop."""
        return await run_in_thread(self.generate, prompt, system=system, sampling=sampling)

    def stream(
        self, prompt: str | Sequence[Message], *, system: str | None = None, sampling: Sampling | None = None
    ) -> Yielding[str]:
        """Stream the reply; arguments and exceptions as in :meth:`generate`.

        An interrupted stream raises and is not retried, because its first parts were already returned.
        """
        conversation, _ = self._conversation(prompt, system, sampling or Sampling())
        origin = Origin()
        charge = self._begin(conversation)
        usage: Usage | None = None
        with _accounted(charge):
            parts = self._call(lambda client: self._wire.stream(client, self.model_id, conversation))
            while (part := self._next(parts)) is not None:
                if isinstance(part, Usage):
                    usage = part
                elif part:
                    yield part
                    origin.check(_FORKED)
            if usage is None:
                # To botocore, an early close of the connection ends the stream normally. Usage ends a complete stream.
                raise EndpointUnavailable(
                    "The stream from Bedrock ended before the reply was complete. Send the request again."
                )
        self._count(charge, usage)

    async def astream(
        self, prompt: str | Sequence[Message], *, system: str | None = None, sampling: Sampling | None = None
    ) -> AsyncGenerator[str]:
        """Like :meth:`stream`, without blocking the event loop."""
        parts = self.stream(prompt, system=system, sampling=sampling)
        try:
            while (part := await run_in_thread(next, parts, None)) is not None:
                yield part
        finally:
            # The thread that waits for the next part cannot be cancelled; it ends with that part.
            with contextlib.suppress(ValueError):
                parts.close()

    def stats(self) -> GenerationStats:
        """The totals of this object in this process. Forked children and copies start at zero."""
        return self._stats

    def _call(self, operation: Callable[[Any], _Result]) -> _Result:
        def attempt() -> _Result:
            try:
                return self._client.call(operation)
            except (BotoCoreError, ClientError) as error:
                raise self._client.translate(error, resource=self.model_id) from error

        with self._breaker.guard():
            return self._retry.call(attempt, on_retry=self._count_retry)

    def _next(self, parts: Yielding[str | Usage]) -> str | Usage | None:
        try:
            # botocore logs parts while it parses them.
            with confidential(), aws_response_errors("Bedrock"):
                return next(parts, None)
        except (BotoCoreError, ClientError) as error:
            raise self._client.translate(error, resource=self.model_id) from error

    def _conversation(
        self, prompt: str | Sequence[Message], system: str | None, sampling: Sampling
    ) -> tuple[Conversation, int]:
        messages = [Message("user", prompt)] if isinstance(prompt, str) else list(prompt)
        max_tokens = sampling.max_tokens or self._settings.bedrock_max_tokens
        temperature = sampling.temperature if sampling.temperature is not None else self._settings.bedrock_temperature
        fitting = self._fit(messages, system, max_tokens)
        resolved = dataclasses.replace(sampling, max_tokens=max_tokens, temperature=temperature)
        return Conversation(tuple(fitting), system, resolved), len(messages) - len(fitting)

    def _fit(self, messages: list[Message], system: str | None, max_tokens: int) -> list[Message]:
        if self._context_tokens is None:
            return messages
        available = self._context_tokens - max_tokens - _estimate_tokens(system or "")
        fitting = list(messages)
        while sum(_estimate_tokens(message.text) for message in fitting) > available:
            # A conversation must start with a user message, so messages are dropped in pairs.
            if self._overflow == "refuse" or len(fitting) <= 2:
                needed = sum(_estimate_tokens(message.text) for message in fitting)
                raise TextTooLong(
                    f"The conversation has about {needed} tokens; the limit is {max(available, 0)}: context_tokens "
                    f"({self._context_tokens}) minus max_tokens ({max_tokens}) and the system prompt. Shorten it, "
                    'lower max_tokens, or pass overflow="trim".'
                )
            fitting = fitting[2:]
        return fitting

    def _service(self, price: GenerationPrice | None) -> Service:
        if price is not None:
            tariff = fixed(price.tariff())
        else:
            tariff = partial(bedrock_token_tariff, self._settings, self._client.region, self.model_id, generates=True)
        return Service("bedrock", self.model_id, base_model_id(self.model_id), tariff)

    def _begin(self, conversation: Conversation) -> Charge:
        """Ask the budgets, by the size of the request and of the longest reply."""
        texts = [conversation.system or "", *(message.text for message in conversation.messages)]
        sizes = [len(text.encode()) for text in texts]
        most = conversation.sampling.max_tokens or 0
        tokens = sum(sizes) // _BYTES_PER_TOKEN + 1
        return self._accountant.begin("generate", 1, tokens=tokens, output_tokens=most, request_bytes=sum(sizes))

    def _count(self, charge: Charge, usage: Usage) -> tuple[float, int | None]:
        seconds, cost = charge.succeed(usage.input_tokens, output_tokens=usage.output_tokens)
        with self._lock:
            stats = self._stats
            self._stats = dataclasses.replace(
                stats,
                replies=stats.replies + 1,
                input_tokens=stats.input_tokens + usage.input_tokens,
                output_tokens=stats.output_tokens + usage.output_tokens,
                cost_usd=stats.cost_usd + float(to_dollars(cost or 0)),
            )
        return seconds, cost

    def _count_retry(self) -> None:
        with self._lock:
            self._stats = dataclasses.replace(self._stats, retries=self._stats.retries + 1)


@contextlib.contextmanager
def _accounted(charge: Charge) -> Iterator[None]:
    """Records a request that fails or is abandoned: the caller may stop reading a stream."""
    try:
        yield
    except EmbedStackError as error:
        charge.fail(error)
        raise
    except BaseException:
        charge.abandon()
        raise


def _estimate_tokens(text: str) -> int:
    return len(text.encode()) // _BYTES_PER_TOKEN + 1 if text else 0
