"""Groups texts into requests that stay within a backend's limits."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from embedstack.embedders.results import Failure
from embedstack.errors import InputError, PayloadTooLarge

if TYPE_CHECKING:
    from embedstack.embedders.adaptive_limits import BatchSizer

__all__ = ["UTF8_SIZES", "Batch", "Batcher", "Limits", "TextSizes", "estimate_tokens", "utf8_bytes"]

# For English text. For Chinese it gives 0.75 tokens a character, since UTF-8 takes 3 bytes for one.
_BYTES_PER_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one request of a backend.

    Attributes:
        max_items: Texts per request.
        max_bytes: Bytes per request.
        max_tokens: Estimated tokens per request; None for no limit.
        max_text_bytes: Bytes of one text, if that is less than those of a request; None otherwise.
        concurrency: Requests in flight at the same time.
    """

    max_items: int = 32
    max_bytes: int = 2_000_000
    max_tokens: int | None = None
    max_text_bytes: int | None = None
    concurrency: int = 16


@dataclass(frozen=True, slots=True)
class TextSizes:
    """Bytes that texts take in a request of a backend.

    Attributes:
        measure: Bytes of a text in a request; takes as long as encoding it.
        envelope: Bytes of a request besides its texts.
        upper_bound: The most bytes that a text of so many UTF-8 bytes can take; None if only ``measure`` can tell.
            Texts that fit by their bound are not measured, so that they are encoded once, with the request.
    """

    measure: Callable[[str], int]
    envelope: int = 0
    upper_bound: Callable[[int], int] | None = None


@dataclass(slots=True)
class Batch:
    """Consecutive texts for one request.

    Attributes:
        first: Position of the first text in the caller's texts.
        count: Number of positions.
        indices: Positions of the texts to send.
        texts: The texts to send, with their prompt.
        refused: The texts that cannot be sent.
    """

    first: int
    count: int = 0
    indices: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    refused: list[Failure] = field(default_factory=list)


class Batcher:
    """Fills one batch after the other."""

    def __init__(
        self, limits: Limits, sizer: "BatchSizer", sizes: TextSizes, *, prompt: str = "", collect: bool
    ) -> None:
        """Start with an empty batch.

        Args:
            limits: Limits of one request.
            sizer: Chooses how many texts of a length go into one request.
            sizes: Bytes that texts take in a request.
            prompt: Put before every text.
            collect: Record a text that cannot be sent instead of raising its error.
        """
        self._limits = limits
        self._request_bytes = limits.max_bytes - sizes.envelope
        self._text_bytes = min(self._request_bytes, limits.max_text_bytes or self._request_bytes)
        self._sizer = sizer
        self._sizes = sizes
        self._prompt = prompt
        self._prompt_bytes = utf8_bytes(prompt)
        self._collect = collect
        self._start_batch(0)

    def check(self, texts: Iterable[Any]) -> None:
        """Check every text before the first is sent.

        Raises:
            InputError: A text cannot be sent; carries its index.
        """
        for index, text in enumerate(texts):
            self._check(index, text)

    @property
    def max_items(self) -> int:
        """Texts per batch at most."""
        return self._limits.max_items

    def add(self, text: Any) -> Sequence[Batch]:
        """Add the next text.

        Returns:
            The batches that this text completes, in their order.

        Raises:
            InputError: The text cannot be sent; carries its index.
        """
        index = self._batch.first + self._batch.count
        try:
            size = self._check(index, text)
        except InputError as error:
            if not self._collect:
                raise
            self._batch.refused.append(Failure(index, error))
            self._batch.count += 1
            return self.flush() if len(self._batch.refused) >= self._limits.max_items else ()
        prompted = self._prompt + text
        tokens = estimate_tokens(size)
        needed = self._needed(prompted, size)
        complete: Sequence[Batch] = ()
        if self._batch.texts and not self._fits(needed, len(prompted), tokens):
            complete = self.flush()
        self._batch.indices.append(index)
        self._batch.texts.append(prompted)
        self._batch.count += 1
        self._bytes += needed
        self._characters += len(prompted)
        self._tokens += tokens
        return [*complete, *self.flush()] if len(self._batch.texts) >= self._limits.max_items else complete

    def flush(self) -> Sequence[Batch]:
        """The texts so far as a batch, full or not; no batch if there are none."""
        batch = self._batch
        self._start_batch(batch.first + batch.count)
        return [batch] if batch.count else ()

    def _start_batch(self, first: int) -> None:
        self._batch = Batch(first)
        self._bytes = self._characters = self._tokens = 0
        self._is_measured = False

    def _needed(self, prompted: str, size: int) -> int:
        """Bytes of a text in the request: an upper bound while the batch has room for it, measured otherwise."""
        bound = self._sizes.upper_bound
        if bound is not None and not self._is_measured:
            if self._bytes + bound(size) <= self._request_bytes:
                return bound(size)
            self._bytes = sum(map(self._sizes.measure, self._batch.texts))
            self._is_measured = True
        return self._sizes.measure(prompted)

    def _fits(self, needed: int, characters: int, tokens: int) -> bool:
        items = len(self._batch.texts) + 1
        max_tokens = self._limits.max_tokens
        return (
            self._bytes + needed <= self._request_bytes
            and items <= self._sizer.items((self._characters + characters) / items)
            and (max_tokens is None or self._tokens + tokens <= max_tokens)
        )

    def _check(self, index: int, text: Any) -> int:
        """Bytes of the text in UTF-8, with its prompt.

        Raises:
            InputError: The text cannot be sent.
        """
        if not isinstance(text, str) or not text:
            problem = "is empty" if text == "" else f"is a {type(text).__name__}, not a string"
            raise InputError(f"Text {index} {problem}. Leave it out, or give it content.", index=index)
        try:
            size = self._prompt_bytes + utf8_bytes(text)
        except UnicodeEncodeError as error:
            raise InputError(
                f"Text {index} contains an unpaired surrogate at index {error.start}. Decode the input again.",
                index=index,
            ) from None
        bound = self._sizes.upper_bound
        if bound is None or bound(size) > self._text_bytes:
            needed = self._sizes.measure(self._prompt + text)
            if needed > self._text_bytes:
                raise PayloadTooLarge(
                    f"Text {index} takes {needed:,} bytes; the limit of a request is {self._text_bytes:,}. Split it.",
                    index=index,
                )
        return size


def utf8_bytes(text: str) -> int:
    """Bytes of a text in UTF-8.

    Raises:
        UnicodeEncodeError: It contains an unpaired surrogate.
    """
    return len(text) if text.isascii() else len(text.encode("utf-8"))


#: Bytes of texts in a request that contains them as UTF-8, without escapes.
UTF8_SIZES = TextSizes(utf8_bytes, upper_bound=lambda size: size)


def estimate_tokens(size: int) -> int:
    """Estimate the tokens of so many bytes of text; only the model's tokenizer knows the real number."""
    return size // _BYTES_PER_TOKEN + 1
