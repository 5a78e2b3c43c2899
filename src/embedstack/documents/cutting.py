"""Cuts a text into parts within a token limit, preferably at the ends of paragraphs and sentences.

Like splitters that try separators in order (https://github.com/isaacus-dev/semchunk), the cutter uses the strongest
boundary available. Unlike them, it tokenizes a text in windows and cuts by token offsets, instead of tokenizing again
for each attempt. The time is linear in the text's length, and all offsets are exact.
"""
# ruff: noqa: RUF001 - sentence ends of other scripts

import math
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate

from embedstack.documents.tokens import Tokens

__all__ = ["VERSION", "Cut", "Cutter"]

#: Increase when texts are cut at other positions than before.
VERSION = 1

#: Start and end of a part, in code points.
Cut = tuple[int, int]

# Boundaries, strongest first. A cut is made at the end of a match. Blanks around a cut belong to no part.
_BOUNDARIES = tuple(
    map(
        re.compile,
        (
            r"\n(?=[^\S\n]*\n)",  # paragraph
            # Matches one mark: a quantifier would make the search quadratic in runs of marks.
            r"[.!?…][\"'”’»)\]]*+(?=\s)|[。！？｡]+[」』”’）]*",  # sentence
            r"\n",  # line
            r"[;:,](?=\s)|[，、；：]",  # clause
            r"\s",  # word
        ),
    )
)
_SENTENCE, _WORD = _BOUNDARIES[1], _BOUNDARIES[4]
# Every so many characters count as at least one token: WordPiece makes one unknown token of a word of megabytes, and
# none of blanks.
_CHARACTERS_PER_TOKEN = 32
# Minimum size of a part, as a share of the limit, when it is cut short at a stronger boundary.
_MIN_FILL = 0.5
# If the rest after a full part is smaller than this share of the limit, the last two parts are balanced.
_SMALL_REST = 0.25
_BALANCED_SHARE = 0.6
_INITIAL_CHARACTERS_PER_TOKEN = 5.0


@dataclass(frozen=True, slots=True)
class _Window:
    """The tokens after a position in a text.

    Attributes:
        text: The whole text, to find boundaries.
        start: The position.
        stop: End of the window.
        is_rest: Whether the window reaches the end of the text.
        starts: Start of each token.
        ends: End of each token.
        costs: Number of tokens up to the end of each token; long tokens count as several.
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
        """Number of tokens in the window."""
        return self.costs[-1] if self.costs else 0

    @property
    def end(self) -> int:
        """End of the last part: the end of the last token, and a few characters after it that may belong to it."""
        # A tokenizer that composes characters reports the offset of the letter only, without its accent.
        last = self.ends[-1]
        return self.stop if self.stop - last <= _CHARACTERS_PER_TOKEN else last

    def cut(self, limit: int) -> int:
        """The best cut within a token limit; always after the start."""
        last = bisect_right(self.costs, limit)  # number of tokens that fit
        if last == 0:
            # The first token exceeds a part. It is an unknown token, so it may be cut anywhere.
            return min(self.start + limit * _CHARACTERS_PER_TOKEN, self.stop)
        # Not within the next token, whose part would be another token.
        end = self.starts[last] if last < len(self.starts) else self.ends[-1]
        end = max(end, self.ends[last - 1])
        least = bisect_left(self.costs, math.ceil(limit * _MIN_FILL))
        low = self.ends[min(least, last - 1)]
        for boundary in _BOUNDARIES:
            ends = (match.end() for match in boundary.finditer(self.text, low - 1, end + 1))
            cuts = [position for position in ends if low <= position <= end]
            if cuts:
                return cuts[-1]
        return end

    def before(self, cut: int, tokens: int) -> int:
        """Start of a part that repeats up to so many tokens before a cut, at a sentence or else a word."""
        at = bisect_left(self.starts, cut)  # number of tokens before the cut
        if at == 0:
            return cut
        first = bisect_right(self.costs, self.costs[at - 1] - tokens)
        start = self.starts[first] if first < at else cut
        # The first token may be far longer than the overlap.
        low = max(start, cut - tokens * _CHARACTERS_PER_TOKEN)
        for boundary in (_SENTENCE, _WORD):
            match = boundary.search(self.text, max(low - 1, self.start), cut)
            if match and match.end() < cut:
                return match.end()
        return start if start == low else cut


class Cutter:
    """Cuts texts by the tokens of a model."""

    def __init__(self, tokens: Tokens, overlap: int) -> None:
        """Create a cutter.

        Args:
            tokens: The model's tokenizer.
            overlap: Maximum tokens that a part repeats of the previous one.
        """
        self._tokens = tokens
        self._overlap = overlap

    def cuts(self, text: str, limit: int, excess: Callable[[str], int]) -> Iterator[Cut]:
        """Cut a text.

        Args:
            text: The text.
            limit: Maximum tokens of a part.
            excess: Returns by how many tokens a part exceeds the limit. Its tokens may differ from those in the text.

        Yields:
            The parts in order. No part is blank, or starts or ends with a blank.
        """
        end = len(text.rstrip())
        position = 0
        per_token = _INITIAL_CHARACTERS_PER_TOKEN
        while (position := _skip_blanks(text, position, end)) < end:
            window = self._window(text, position, end, limit, per_token)
            if not window.costs:
                position = window.stop  # these characters have no tokens
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
            elif window.cost <= limit * (1 + _SMALL_REST):
                aim = min(limit, math.ceil(window.cost * _BALANCED_SHARE))
        while True:
            cut = window.end if window.is_rest and aim >= window.cost else window.cut(aim)
            over = excess(window.text[window.start : cut].rstrip())
            if over <= 0 or cut <= window.start + 1:
                return cut
            if aim <= 1:
                return window.start + max(1, (cut - window.start) // 2)
            aim = max(1, min(aim, window.cost) - over)

    def _window(self, text: str, start: int, end: int, limit: int, per_token: float) -> _Window:
        needed = math.ceil(limit * (1 + _SMALL_REST)) + 1
        max_size = needed * _CHARACTERS_PER_TOKEN
        size = math.ceil(needed * per_token * 1.1)
        while True:
            size = min(size, max_size)
            stop = min(start + size, end)
            offsets = [(start + first, start + last) for first, last in self._tokens.offsets(text[start:stop]) if last]
            starts, ends = [first for first, _ in offsets], [last for _, last in offsets]
            costs = list(
                accumulate(
                    max(1, math.ceil((last - before) / _CHARACTERS_PER_TOKEN))
                    for before, last in zip([start, *ends], ends, strict=False)
                )
            )
            if stop == end or size == max_size or (costs and costs[-1] >= needed):
                return _Window(text, start, stop, stop == end, starts, ends, costs)
            size *= 2


def _skip_blanks(text: str, position: int, end: int) -> int:
    while position < end and text[position].isspace():
        position += 1
    return position


def _trailing_blanks(text: str, start: int, cut: int) -> int:
    return cut - start - len(text[start:cut].rstrip())
