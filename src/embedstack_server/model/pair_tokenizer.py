"""Tokenization of a query and a text as one sequence, as a cross-encoder reads them."""

from collections.abc import Sequence
from itertools import chain, groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from embedstack.errors import ConfigurationError, InputError, PayloadTooLarge, TextTooLong
from embedstack_server.model.tokenizer import text_name

if TYPE_CHECKING:
    from embedstack_server.model.tokenizer import Tokenizer, TruncationDirection

__all__ = ["PairTokenizer", "PairTokens", "longest_first"]


class PairTokens(list[int]):
    """The token ids of a pair, special tokens included.

    Attributes:
        types: Each token's type; empty if the model distinguishes none.
    """

    __slots__ = ("types",)

    def __init__(self, ids: list[int], types: list[int]) -> None:
        """Combine the ids and their types."""
        super().__init__(ids)
        self.types = types


class PairTokenizer:
    """A tokenizer of pairs, with the special tokens and token types of the ``tokenizer.json``.

    Attributes:
        has_types: Whether :class:`PairTokens` have types.
    """

    def __init__(self, tokenizer: "Tokenizer", *, has_types: bool = True) -> None:
        """Read how the tokenizer combines two texts.

        Args:
            tokenizer: The model's tokenizer.
            has_types: Whether the model reads token types.

        Raises:
            ConfigurationError: The tokenizer does not combine two texts in order, or the model reads too few tokens.
        """
        self._tokenizer = tokenizer
        encoding = tokenizer.pair_encoding()
        tokens = zip(encoding.sequence_ids, encoding.ids, encoding.type_ids, strict=True)
        specials: list[list[tuple[int, int]]] = [[]]  # ids and types before, between and after the two texts
        order: list[int] = []
        text_types: list[int] = []
        for sequence, group in groupby(tokens, itemgetter(0)):
            ids_and_types = [(token, kind) for _, token, kind in group]
            if sequence is None:
                specials[-1] += ids_and_types
            else:
                order.append(sequence)
                text_types.append(ids_and_types[0][1])
                specials.append([])
        if order != [0, 1]:
            raise ConfigurationError(
                "The tokenizer does not combine a query and a text in this order. Save the tokenizer again with a "
                "post-processor for pairs."
            )
        self._ids = [[token for token, _ in part] for part in specials]
        self._types = [[kind for _, kind in part] for part in specials]
        self._text_types = text_types
        self.has_types = has_types and any((*text_types, *chain(*self._types)))
        self._room = tokenizer.max_tokens - sum(map(len, self._ids))
        if self._room < len(order):
            raise ConfigurationError(
                f"The model reads {tokenizer.max_tokens} tokens, which leaves no room for a query and a text beside "
                "the special tokens. Set a larger model_max_length in tokenizer_config.json."
            )

    @property
    def largest_type(self) -> int:
        """The largest token type; 0 if the model reads none."""
        return max(*self._text_types, *chain(*self._types)) if self.has_types else 0

    def tokenize(
        self,
        query: str,
        texts: Sequence[str],
        *,
        prompt: str = "",
        truncate: bool,
        direction: "TruncationDirection" = "right",
        most_tokens: int | None = None,
    ) -> list[PairTokens]:
        """Tokenize the pairs of a query with each text.

        Args:
            query: The query, not empty.
            texts: Non-empty texts.
            prompt: Text to prepend to the query.
            truncate: Truncate pairs that are longer than the model reads, the longer one of query and text first,
                instead of raising an error.
            direction: Which end of the query and of the text is cut off.
            most_tokens: Maximum total number of tokens; None for no limit.

        Raises:
            PayloadTooLarge: The pairs have more than ``most_tokens`` tokens.
            TextTooLong: A pair has more tokens than the model reads and ``truncate`` is off, or the query or a text
                cannot be split. Has the text's index, unless it is due to the query alone.
            InputError: The query or a text is empty or not valid Unicode. Has the text's index.
        """
        for index, text in enumerate([query, *texts], -1):
            if not text:
                place = None if index < 0 else index
                raise InputError(f"{text_name(place)} is empty. Remove it, or send a non-empty text.", index=place)
        (query_ids,) = self._tokenizer.bodies([prompt + query], self._room, direction=direction, first_index=None)
        pairs: list[PairTokens] = []
        total = 0
        for index, ids in enumerate(self._tokenizer.bodies(texts, self._room, direction=direction)):
            if len(query_ids) + len(ids) > self._room and not truncate:
                self._raise_too_long(len(query_ids), len(ids), index)
            pairs.append(self._pair(query_ids, ids, direction))
            total += len(pairs[-1])
            if most_tokens is not None and total > most_tokens:
                raise PayloadTooLarge(
                    f"The pairs of the query and the texts have more than {most_tokens} tokens in total. Send fewer "
                    "texts in one request."
                )
        return pairs

    def _pair(self, query: list[int], text: list[int], direction: "TruncationDirection") -> PairTokens:
        first, second = longest_first(len(query), len(text), self._room)
        query, text = _cut(query, first, direction), _cut(text, second, direction)
        before, between, after = self._ids
        ids = [*before, *query, *between, *text, *after]
        if not self.has_types:
            return PairTokens(ids, [])
        before, between, after = self._types
        query_type, text_type = self._text_types
        return PairTokens(ids, [*before, *[query_type] * len(query), *between, *[text_type] * len(text), *after])

    def _raise_too_long(self, query: int, text: int, index: int) -> None:
        specials = self._tokenizer.max_tokens - self._room
        if query >= self._room:
            raise TextTooLong(
                f"The query has at least {query + specials} tokens with special tokens; the model reads "
                f"{self._tokenizer.max_tokens} of query and text. Shorten it, or allow truncation."
            )
        raise TextTooLong(
            f"Text {index} and the query have at least {query + text + specials} tokens; the model reads "
            f"{self._tokenizer.max_tokens}. Shorten or split the text, or allow truncation.",
            index=index,
        )


def longest_first(first: int, second: int, most: int) -> tuple[int, int]:
    """The numbers of tokens that remain of two texts, of which the longer one is truncated first.

    As in the tokenizers library's ``truncate_encodings``: each text gets at least half of the tokens if it has as many,
    and of an odd number the longer text, or the second one, gets one more.

    Args:
        first: Tokens of the first text.
        second: Tokens of the second text.
        most: Maximum number of tokens in total.
    """
    if first + second <= most:
        return first, second
    short, long = min(first, second), max(first, second)
    long = max(short, most - short)
    if short + long > most:
        short, long = most // 2, most - most // 2
    return (long, short) if first > second else (short, long)


def _cut(ids: list[int], most: int, direction: "TruncationDirection") -> list[int]:
    return ids[max(len(ids) - most, 0) :] if direction == "left" else ids[:most]
