"""Reading a caller's texts no further than needed: what a source may give beside texts, and when it pauses."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

__all__ = ["AsyncSource", "Broken", "Signal", "paced"]

# A source that takes longer for one text is live: it waits for something, and the texts before are wanted by then.
_PAUSE_SECONDS = 0.05


class Signal(Enum):
    """What a source says in between its texts.

    Attributes:
        PAUSED: The next text may take a while: send what is collected if nothing is under way, and give what is done.
        READY: There is something to give that needs no request.
        FULL: No more text is read until a request is answered.
    """

    PAUSED = auto()
    READY = auto()
    FULL = auto()


@dataclass(frozen=True, slots=True)
class Broken:
    """The end of a source that raised.

    Attributes:
        error: What it raised, to be raised again after the results of the texts before.
    """

    error: BaseException


def paced(texts: Iterable[Any]) -> Iterator[Any]:
    """The texts, with :attr:`Signal.PAUSED` after one that took long, and :class:`Broken` for an exception.

    A generator cannot be asked whether its next text is there, so a pause is noticed when it is over: the text that
    ends it is sent on its own, and its result is given when the source gives the next one.
    """
    clock = time.perf_counter
    source = iter(texts)
    while True:
        started = clock()
        try:
            text = next(source)
        except StopIteration:
            return
        except Exception as error:  # noqa: BLE001 - the caller's own, which is raised again
            yield Broken(error)
            return
        is_live = clock() - started > _PAUSE_SECONDS
        yield text
        if is_live:
            yield Signal.PAUSED


class AsyncSource:
    """Reads an async iterable in a task of its own, so that a pause shows while it lasts.

    Closing cancels the task; an async generator that was waiting for a text then sees ``CancelledError``.
    """

    def __init__(self, items: AsyncIterable[Any], most: int, on_change: Callable[[], None] = lambda: None) -> None:
        """Start to read.

        Args:
            items: The iterable.
            most: Items that are read ahead at most.
            on_change: Called when there is something new to take, or nothing more to come.
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
        """Whether everything was taken and the iterable has nothing more to give at present."""
        return self._waits and not self._items and not self._ended

    @property
    def is_over(self) -> bool:
        """Whether everything was taken and nothing comes any more."""
        return self._ended and not self._items

    def take(self) -> list[Any]:
        """What has been read; the last one is :class:`Broken` where the iterable raised."""
        items = list(self._items)
        self._items.clear()
        self._has_room.set()
        return items

    async def wait(self) -> None:
        """Wait until there is something to take, or nothing comes any more."""
        while not self._items and not self._ended:
            self._changed.clear()
            await self._changed.wait()

    async def close(self) -> None:
        """Stop reading."""
        self._is_closed = True
        self._task.cancel()
        await asyncio.wait({self._task})

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
        except Exception as error:  # noqa: BLE001 - the caller's own, which is raised again
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
