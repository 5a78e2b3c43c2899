"""From texts to requests: what one request may carry, and which texts go into it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from embedstack.embedders.results import Failure
from embedstack.errors import InputError, PayloadTooLarge

if TYPE_CHECKING:
    from embedstack.embedders.adaptive_limits import BatchSizer

__all__ = ["Batch", "Batcher", "Limits", "estimate_tokens"]

# Of English text; of Chinese it makes 0.75 tokens a character, since UTF-8 takes 3 bytes for one.
_BYTES_PER_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request of a backend may carry.

    Attributes:
        max_items: Texts per request.
        max_bytes: Bytes per request.
        max_tokens: Estimated tokens per request; None where the backend has no such limit.
        max_text_bytes: Bytes of one text, where that is less than a request's; None otherwise.
        concurrency: Requests in flight at once.
    """

    max_items: int = 32
    max_bytes: int = 2_000_000
    max_tokens: int | None = None
    max_text_bytes: int | None = None
    concurrency: int = 16


@dataclass(slots=True)
class Batch:
    """Consecutive texts for one request.

    Attributes:
        first: Position of the first in the caller's texts.
        count: How many positions it covers.
        indices: Positions of those to send.
        texts: The texts to send, with their prompt.
        refused: Those that cannot be sent.
    """

    first: int
    count: int = 0
    indices: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    refused: list[Failure] = field(default_factory=list)


class Batcher:
    """Fills one batch after the other."""

    def __init__(
        self,
        limits: Limits,
        sizer: "BatchSizer",
        request_bytes: Callable[[str], int],
        *,
        envelope_bytes: int,
        prompt: str,
        collect: bool,
    ) -> None:
        """Start with the first text.

        Args:
            limits: What one request may carry.
            sizer: How many texts of a length it should carry.
            request_bytes: Bytes that a text takes in a request.
            envelope_bytes: Bytes of a request that are not its texts.
            prompt: Put before every text.
            collect: Note a text that cannot be sent, instead of raising its error.
        """
        self._limits = limits
        self._room = limits.max_bytes - envelope_bytes
        self._text_room = min(self._room, limits.max_text_bytes or self._room)
        self._sizer = sizer
        self._request_bytes = request_bytes
        self._prompt = prompt
        self._collect = collect
        self._batch = Batch(0)
        self._bytes = self._characters = self._tokens = 0

    def check(self, texts: Iterable[Any]) -> None:
        """Look at every text before the first is sent.

        Raises:
            InputError: One cannot be sent; carries its index.
        """
        for index, text in enumerate(texts):
            self._measure(index, text)

    @property
    def max_items(self) -> int:
        """Texts of a batch at most."""
        return self._limits.max_items

    def add(self, text: Any) -> Sequence[Batch]:
        """Take the next text.

        Returns:
            The batches that are full by it, in their order.

        Raises:
            InputError: The text cannot be sent; carries its index.
        """
        index = self._batch.first + self._batch.count
        try:
            needed = self._measure(index, text)
        except InputError as error:
            if not self._collect:
                raise
            self._batch.refused.append(Failure(index, error))
            self._batch.count += 1
            return self.flush() if len(self._batch.refused) >= self._limits.max_items else ()
        prompted = self._prompt + text
        tokens = estimate_tokens(needed)
        full: Sequence[Batch] = ()
        if self._batch.texts and not self._fits(needed, len(prompted), tokens):
            full = self.flush()
        self._batch.indices.append(index)
        self._batch.texts.append(prompted)
        self._batch.count += 1
        self._bytes += needed
        self._characters += len(prompted)
        self._tokens += tokens
        return [*full, *self.flush()] if len(self._batch.texts) >= self._limits.max_items else full

    def flush(self) -> Sequence[Batch]:
        """What has been collected, as a batch, full or not; none where that is nothing."""
        batch = self._batch
        self._batch = Batch(batch.first + batch.count)
        self._bytes = self._characters = self._tokens = 0
        return [batch] if batch.count else ()

    def _fits(self, needed: int, characters: int, tokens: int) -> bool:
        items = len(self._batch.texts) + 1
        max_tokens = self._limits.max_tokens
        return (
            self._bytes + needed <= self._room
            and items <= self._sizer.items((self._characters + characters) / items)
            and (max_tokens is None or self._tokens + tokens <= max_tokens)
        )

    def _measure(self, index: int, text: Any) -> int:
        """Bytes that the text takes in a request, with its prompt."""
        if not isinstance(text, str) or not text:
            what = "empty" if text == "" else f"a {type(text).__name__}, not a string"
            raise InputError(f"Text {index} is {what}; leave it out or give it content.", index=index)
        try:
            needed = self._request_bytes(self._prompt + text)
        except UnicodeEncodeError as error:
            raise InputError(
                f"Text {index} holds a lone surrogate at {error.start - len(self._prompt)}, which is no character; "
                "decode it anew.",
                index=index,
            ) from None
        if needed > self._text_room:
            raise PayloadTooLarge(
                f"Text {index} takes {needed:,} bytes; one request carries {self._text_room:,}. Split it.", index=index
            )
        return needed


def estimate_tokens(size: int) -> int:
    """Tokens that so many bytes of text make, about: the real number is known to the model's tokenizer only."""
    return size // _BYTES_PER_TOKEN + 1
