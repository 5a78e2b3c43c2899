"""What every embedding backend has in common: a backend embeds one batch, everything else is here, once."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from embedstack.errors import CountMismatch, DimensionMismatch, InputError, NonFiniteVector, PayloadTooLarge

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from embedstack.models import ModelInfo

__all__ = ["Embedder", "Kind", "Limits", "Stats"]

Kind = Literal["query", "document"]

# A unit vector that went through bfloat16 or a decimal text is still this close to length 1.
_NORM_TOLERANCE = 1e-2


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request of a backend may carry.

    Attributes:
        max_items: Texts per request.
        max_bytes: Bytes per request.
        concurrency: Requests in flight at once.
    """

    max_items: int = 32
    max_bytes: int = 2_000_000
    concurrency: int = 8


@dataclass(frozen=True, slots=True)
class Stats:
    """What an embedder has done so far."""

    requests: int = 0
    texts: int = 0


class Embedder(ABC):
    """Turns texts into vectors. Safe to call from several threads.

    Attributes:
        info: The model whose vectors these are.
        limits: What one request may carry.
    """

    def __init__(self, info: "ModelInfo", limits: Limits) -> None:
        self.info = info
        self.limits = limits
        self._stats = Stats()
        self._stats_lock = threading.Lock()

    @abstractmethod
    def embed_batch(self, texts: Sequence[str], kind: Kind) -> "NDArray[np.float32]":
        """One request: vectors (texts, dimensions) in the order of the texts, as the backend gave them."""

    # Bytes of a request that are not its texts.
    envelope_bytes: ClassVar[int] = 0

    def request_bytes(self, text: str) -> int:
        """Bytes that the text takes in a request."""
        return len(text.encode("utf-8"))

    def embed(self, texts: Sequence[str], kind: Kind = "document") -> "NDArray[np.float32]":
        """Embed texts, split into requests within the backend's limits.

        Args:
            texts: The texts, none of them empty. No texts give no vectors.
            kind: Whether the texts are searched for or searched through; some models tell them apart.

        Returns:
            float32 (texts, dimensions), in the order of the texts.

        Raises:
            InputError: A text is empty, too long or too large; nothing was embedded. Carries its index.
            EndpointError: The backend did not answer with vectors.
            IntegrityError: It did, but not with the right ones.
        """
        batches = list(self._split(texts))
        if not batches:
            return np.empty((0, self.info.dimensions), np.float32)
        with ThreadPoolExecutor(min(self.limits.concurrency, len(batches))) as pool:
            futures = [pool.submit(self._embed_checked, texts[start:stop], kind, start) for start, stop in batches]
            try:
                return np.concatenate([future.result() for future in futures])
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def embed_query(self, text: str) -> "NDArray[np.float32]":
        """The vector (dimensions,) of a text to search for; raises as :meth:`embed`."""
        vector: NDArray[np.float32] = self.embed([text], "query")[0]
        return vector

    def embed_documents(self, texts: Sequence[str]) -> "NDArray[np.float32]":
        """The vectors (texts, dimensions) of texts to search through; raises as :meth:`embed`."""
        return self.embed(texts, "document")

    def stats(self) -> Stats:
        """Requests answered and texts embedded since this embedder was made."""
        return self._stats

    def _split(self, texts: Sequence[str]) -> Iterator[tuple[int, int]]:
        """Runs of consecutive texts, each within one request's items and bytes."""
        if isinstance(texts, str):
            raise InputError("embed() takes a list of texts; for one text write embed([text]) or embed_query(text).")
        room = self.limits.max_bytes - self.envelope_bytes
        start = size = 0
        for index, text in enumerate(texts):
            if not isinstance(text, str) or not text:
                what = "empty" if text == "" else f"a {type(text).__name__}, not a string"
                raise InputError(f"Text {index} is {what}; leave it out or give it content.", index=index)
            try:
                needed = self.request_bytes(text)
            except UnicodeEncodeError as error:
                raise InputError(
                    f"Text {index} holds a lone surrogate at {error.start}, which is no character; decode it anew.",
                    index=index,
                ) from None
            if needed > room:
                raise PayloadTooLarge(
                    f"Text {index} takes {needed:,} bytes; one request carries {room:,}. Split it.",
                    index=index,
                )
            if index - start == self.limits.max_items or size + needed > room:
                yield start, index
                start, size = index, 0
            size += needed
        if start < len(texts):
            yield start, len(texts)

    def _embed_checked(self, texts: Sequence[str], kind: Kind, first: int) -> "NDArray[np.float32]":
        vectors = self.embed_batch(texts, kind)
        self._check(vectors, len(texts), first)
        with self._stats_lock:
            self._stats = Stats(self._stats.requests + 1, self._stats.texts + len(texts))
        return vectors

    def _check(self, vectors: "NDArray[np.float32]", count: int, first: int) -> None:
        """A vector is right or it is an error; ``first`` is the index of the batch's first text."""
        if len(vectors) != count:
            raise CountMismatch(f"{count} texts came back as {len(vectors)} vectors; none of them is trusted.")
        if vectors.shape[1] != self.info.dimensions:
            raise DimensionMismatch(
                f"The endpoint gives vectors of {vectors.shape[1]} dimensions; {self.info.model_id} has "
                f"{self.info.dimensions}. Another model is deployed than the one that was configured."
            )
        finite = np.isfinite(vectors).all(axis=1)
        if not finite.all():
            index = first + int(np.argmin(finite))
            raise NonFiniteVector(f"The vector of text {index} holds NaN or infinity.", index=index)
        if self.info.normalized:
            off = np.abs(np.linalg.norm(vectors, axis=1) - 1)
            if off.max() > _NORM_TOLERANCE:
                index = first + int(np.argmax(off))
                raise NonFiniteVector(
                    f"The vector of text {index} has not the unit length it should have.", index=index
                )
