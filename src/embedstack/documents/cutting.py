"""Where to cut a text: into parts of so many tokens, at the ends of paragraphs and sentences where there are some.

As in splitters that try one separator after the other (https://github.com/isaacus-dev/semchunk), a cut is made at the
strongest boundary that is to be had. Unlike there, a text is tokenized in windows and cut by the tokens' offsets, not
tokenized anew for each attempt: so the time is linear in the text's length, and every offset is exact.
"""
# ruff: noqa: RUF001 - the ends of sentences in other scripts

import math
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate

from embedstack.documents.tokens import Tokens

__all__ = ["VERSION", "Cut", "Cutter"]

#: Changes when texts are cut at other places than before.
VERSION = 1

#: From and to, in code points.
Cut = tuple[int, int]

# Boundaries, the strongest first. Each match ends where the cut is made; blanks around a cut belong to no part.
_BOUNDARIES = tuple(
    map(
        re.compile,
        (
            r"\n(?=[^\S\n]*\n)",  # paragraph
            # One mark: with a run of them, a search would read the run again from each of its marks.
            r"[.!?…][\"'”’»)\]]*+(?=\s)|[。！？｡]+[」』”’）]*",  # sentence
            r"\n",  # line
            r"[;:,](?=\s)|[，、；：]",  # clause
            r"\s",  # word
        ),
    )
)
_SENTENCE, _WORD = _BOUNDARIES[1], _BOUNDARIES[4]
# Characters that count as a token at least, whatever the tokenizer makes of them: WordPiece makes one unknown token of
# a word of megabytes, and none of blanks.
_CHARACTERS_PER_TOKEN = 32
# A part may be so much shorter for a stronger boundary.
_LEAST_FILL = 0.5
# A rest up to this part of a full one is not left alone: the two last parts share.
_TINY_REST = 0.25
_SHARED = 0.6
_FIRST_GUESS = 5.0  # characters per token


@dataclass(frozen=True, slots=True)
class _Window:
    """The tokens that follow a position of a text.

    Attributes:
        text: All of the text, for boundaries.
        start: The position.
        stop: Where the window ends.
        is_rest: Whether it holds all that is left.
        starts: Where each token starts.
        ends: Where each token ends.
        costs: Tokens up to the end of each, long ones counted as several.
    """

    text: str
    start: int
    stop: int
    is_rest: bool
    starts: list[int]
    ends: list[int]
    costs: list[int]

    @property
    def cost(self) -> int:
        """Tokens in all of it."""
        return self.costs[-1] if self.costs else 0

    @property
    def end(self) -> int:
        """Where the last part ends: with the last token, and the few characters after it that may be part of it."""
        # A tokenizer that composes characters says of a letter with its accent only where the letter is.
        last = self.ends[-1]
        return self.stop if self.stop - last <= _CHARACTERS_PER_TOKEN else last

    def cut(self, limit: int) -> int:
        """The best place for a cut at most so many tokens on; always after the start."""
        last = bisect_right(self.costs, limit)  # tokens that fit
        if last == 0:
            # The first token is longer than a part, and so one that means nothing to the model.
            return min(self.start + limit * _CHARACTERS_PER_TOKEN, self.stop)
        # Never within the token that does not fit: its part would be another token.
        end = self.starts[last] if last < len(self.starts) else self.ends[-1]
        end = max(end, self.ends[last - 1])
        least = bisect_left(self.costs, math.ceil(limit * _LEAST_FILL))
        low = self.ends[min(least, last - 1)]
        for boundary in _BOUNDARIES:
            ends = (match.end() for match in boundary.finditer(self.text, low - 1, end + 1))
            found = [position for position in ends if low <= position <= end]
            if found:
                return found[-1]
        return end

    def before(self, cut: int, tokens: int) -> int:
        """Where a part starts that repeats about so many tokens before a cut: a sentence, or else a word, begins."""
        at = bisect_left(self.starts, cut)  # tokens before the cut
        if at == 0:
            return cut
        first = bisect_right(self.costs, self.costs[at - 1] - tokens)
        start = self.starts[first] if first < at else cut
        # The first token may be far longer than all that is to be repeated.
        low = max(start, cut - tokens * _CHARACTERS_PER_TOKEN)
        for boundary in (_SENTENCE, _WORD):
            match = boundary.search(self.text, max(low - 1, self.start), cut)
            if match and match.end() < cut:
                return match.end()
        return start if start == low else cut


class Cutter:
    """Cuts texts by a model's tokens."""

    def __init__(self, tokens: Tokens, overlap: int) -> None:
        """Prepare.

        Args:
            tokens: The model's.
            overlap: Tokens that a part repeats of the one before, at most.
        """
        self._tokens = tokens
        self._overlap = overlap

    def cuts(self, text: str, limit: int, excess: Callable[[str], int]) -> Iterator[Cut]:
        """Cut a text.

        Args:
            text: The text.
            limit: Tokens of a part, at most.
            excess: Tokens that a part has too many, since tokens at an end may be others when it stands alone.

        Yields:
            The parts in their order, none of them blank or with a blank at an end.
        """
        end = len(text.rstrip())
        position = 0
        per_token = _FIRST_GUESS
        while (position := _skip_blanks(text, position, end)) < end:
            window = self._window(text, position, end, limit, per_token)
            if not window.costs:
                position = window.stop  # characters that are no tokens
                continue
            if window.starts[0] > position:
                position = window.starts[0]
                continue
            per_token = max(1.0, (window.ends[-1] - position) / window.cost)
            cut = self._fitting_cut(window, limit, excess)
            yield position, cut - _trailing_blanks(text, position, cut)
            if cut >= end or (window.is_rest and cut >= window.end):
                return
            repeated = window.before(cut, self._overlap) if self._overlap else cut
            position = repeated if position < repeated else cut

    def _fitting_cut(self, window: _Window, limit: int, excess: Callable[[str], int]) -> int:
        aim = limit
        if window.is_rest:
            if window.cost <= limit:
                aim = window.cost
            elif window.cost <= limit * (1 + _TINY_REST):
                aim = min(limit, math.ceil(window.cost * _SHARED))
        while True:
            cut = window.end if window.is_rest and aim >= window.cost else window.cut(aim)
            over = excess(window.text[window.start : cut].rstrip())
            if over <= 0 or cut <= window.start + 1:
                return cut
            if aim <= 1:
                return window.start + max(1, (cut - window.start) // 2)
            aim = max(1, min(aim, window.cost) - over)

    def _window(self, text: str, start: int, end: int, limit: int, per_token: float) -> _Window:
        needed = math.ceil(limit * (1 + _TINY_REST)) + 1
        most = needed * _CHARACTERS_PER_TOKEN
        size = math.ceil(needed * per_token * 1.1)
        while True:
            size = min(size, most)
            stop = min(start + size, end)
            offsets = [(start + first, start + last) for first, last in self._tokens.offsets(text[start:stop]) if last]
            starts, ends = [first for first, _ in offsets], [last for _, last in offsets]
            costs = list(
                accumulate(
                    max(1, math.ceil((last - before) / _CHARACTERS_PER_TOKEN))
                    for before, last in zip([start, *ends], ends, strict=False)
                )
            )
            if stop == end or size == most or (costs and costs[-1] >= needed):
                return _Window(text, start, stop, stop == end, starts, ends, costs)
            size *= 2


def _skip_blanks(text: str, position: int, end: int) -> int:
    while position < end and text[position].isspace():
        position += 1
    return position


def _trailing_blanks(text: str, start: int, cut: int) -> int:
    return cut - start - len(text[start:cut].rstrip())
