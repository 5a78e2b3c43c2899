"""Reads a caller's texts only as far as needed: signals between texts, and the pauses of a source."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

__all__ = ["AsyncSource", "Broken", "Signal", "aiterate", "paced"]

# A source that takes longer for one text is live: the texts before it are sent without waiting for more.
_PAUSE_SECONDS = 0.05


class Signal(Enum):
    """A signal between the texts of a source.

    Attributes:
        PAUSED: The next text may take a while: send the texts so far if no request is in flight, and yield results.
        READY: A result is ready that needs no request.
        FULL: No more texts are read until a request has its response.
    """

    PAUSED = auto()
    READY = auto()
    FULL = auto()


@dataclass(frozen=True, slots=True)
class Broken:
    """The end of a source that raised an exception.

    Attributes:
        error: The exception, to be raised again after the results of the texts before it.
    """

    error: BaseException


def paced(texts: Iterable[Any]) -> Iterator[Any]:
    """The texts, with :attr:`Signal.PAUSED` after a slow one, and :class:`Broken` for an exception.

    A generator cannot be polled, so a pause is noticed when it is over: the text that ends it is sent alone, and its
    result is yielded when the source gives the next text.
    """
    clock = time.perf_counter
    source = iter(texts)
    while True:
        started = clock()
        try:
            text = next(source)
        except StopIteration:
            return
        except Exception as error:  # noqa: BLE001 - an exception of the caller's source, raised again later
            yield Broken(error)
            return
        is_live = clock() - started > _PAUSE_SECONDS
        yield text
        if is_live:
            yield Signal.PAUSED


async def aiterate(texts: Iterable[Any]) -> AsyncIterator[Any]:
    """The texts as an async iterable."""
    for text in texts:
        yield text


class AsyncSource:
    """Reads an async iterable in a separate task, so that a pause is noticed while it lasts.

    Closing cancels the task; an async generator that was waiting for a text then sees ``CancelledError``.
    """

    def __init__(self, items: AsyncIterable[Any], most: int, on_change: Callable[[], None] = lambda: None) -> None:
        """Start reading.

        Args:
            items: The iterable.
            most: Items read ahead, at most.
            on_change: Called when an item has arrived, or the iterable has ended.
        """
        self._source = items
        self._most = most
        self._on_change = on_change
        self._items: deque[Any] = deque()
        self._changed = asyncio.Event()
        self._has_room = asyncio.Event()
        self._waits = False
        self._ended = False
        self._is_closed = False
        self._task = asyncio.create_task(self._read())

    @property
    def is_paused(self) -> bool:
        """Whether all items were taken and the next one has not arrived."""
        return self._waits and not self._items and not self._ended

    @property
    def is_over(self) -> bool:
        """Whether all items were taken and the iterable has ended."""
        return self._ended and not self._items

    def take(self) -> list[Any]:
        """The items read so far; the last is :class:`Broken` if the iterable raised an exception."""
        items = list(self._items)
        self._items.clear()
        self._has_room.set()
        return items

    async def wait(self) -> None:
        """Wait until an item has arrived, or the iterable has ended."""
        while not self._items and not self._ended:
            self._changed.clear()
            await self._changed.wait()

    async def close(self) -> None:
        """Stop reading."""
        self._is_closed = True
        self._task.cancel()
        cancelled: asyncio.CancelledError | None = None
        while not self._task.done():
            try:
                await asyncio.wait({self._task})
            except asyncio.CancelledError as error:
                # A second cancellation, as at the end of asyncio.run(). The caller closes the source next, which an
                # async generator refuses while it is read.
                cancelled = error
        if cancelled is not None:
            raise cancelled

    async def _read(self) -> None:
        try:
            self._waits = True
            async for item in self._source:
                self._waits = False
                self._add(item)
                while len(self._items) >= self._most:
                    self._has_room.clear()
                    await self._has_room.wait()
                if self._is_closed:
                    return
                self._waits = True
        except asyncio.CancelledError as error:
            self._add(Broken(error))
            raise
        except Exception as error:  # noqa: BLE001 - an exception of the caller's source, raised again later
            self._add(Broken(error))
        finally:
            self._ended = True
            self._notify()

    def _add(self, item: Any) -> None:
        self._items.append(item)
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._on_change()
