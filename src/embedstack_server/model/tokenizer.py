"""Tokenization of texts, with explicit truncation.

A long text is not tokenized as a whole. It is split into segments at positions where the tokens on both sides are
independent. Segments are tokenized from the end that truncation keeps, until there are enough tokens. The result equals
the truncated tokens of the whole text. Time and memory depend on the model's limit instead of the text's length.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from typing import TYPE_CHECKING, Literal

from tokenizers import Tokenizer as _Tokenizer

from embedstack.errors import ConfigurationError, InputError, PayloadTooLarge, TextTooLong
from embedstack.models.json_files import read_optional_object

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tokenizers import Encoding

__all__ = [
    "MAX_INPUT_IDS",
    "MAX_UNBROKEN_BYTES",
    "PromptedTokens",
    "TextInput",
    "TokenizedText",
    "Tokenizer",
    "TruncationDirection",
    "text_name",
]

#: Side on which a text is truncated: ``right`` cuts off its end, ``left`` its beginning, as in transformers.
TruncationDirection = Literal["left", "right"]
#: A text, or its token ids.
TextInput = str | Sequence[int]

#: Maximum UTF-8 bytes of a segment, which equals the request limit of a serverless endpoint. A text that cannot be
#: split, such as a single word, is tokenized whole up to this size, which takes at most about 2 s and 450 MB.
MAX_UNBROKEN_BYTES = 4 * 1024 * 1024
#: Maximum token ids in one input. They are decoded in one call, which holds the interpreter lock.
MAX_INPUT_IDS = 65_536

# Usual names of the padding token (BERT's, RoBERTa's), for models that do not declare it.
_PADDING_TOKENS = ("[PAD]", "<pad>")
# Up to this many characters, one text is tokenized in the calling thread, which is cheaper than waking other threads.
_SHORT_CHARS = 2_000
# Characters of a segment per token that the model reads. English has four to five characters per token.
_CHARS_PER_TOKEN = 8
# Maximum characters tokenized in one call. An encoding takes up to 440 bytes per character.
_CHARS_PER_CALL = 131_072
# Maximum characters searched in one regular expression call, which holds the interpreter lock.
_SEARCHED_CHARS = 65_536


@dataclass(frozen=True, slots=True)
class _CutRule:
    """A kind of position at which a text can be split, if the tokenizer passes the rule's samples.

    Attributes:
        pattern: Matches the position.
        samples: Texts split where the pattern matches. The tokens of both parts must equal those of the whole text.
    """

    pattern: str
    samples: tuple[tuple[str, str], ...]


_WORD = r"[^\W_]"
_SPACE = r"[ \t\n\r]"
# Contractions and special tokens neither begin nor end with these.
_SIGN = r'[,;:!?(){}"]'
_IDEOGRAPH = r"[\u4e00-\u9fff]"
_WORDS = ("ab", "Word", "12", "é", "漢字")
_SIGNS = tuple(',;:!?(){}"')


def _samples(before: Sequence[str], after: Sequence[str]) -> tuple[tuple[str, str], ...]:
    return tuple((left, right) for left in before for right in after)


_CUT_RULES = (
    *(
        _CutRule(rf"(?<={_WORD})(?={space})", _samples(_WORDS, [space + word for word in (*_WORDS, " cd", "-", ".")]))
        for space in " \n"
    ),
    _CutRule(rf"(?<={_WORD})(?={_SIGN})", _samples(_WORDS, [sign + end for sign in _SIGNS for end in ("", "cd", "!")])),
    _CutRule(rf"(?<={_SIGN})(?={_WORD})", _samples(_SIGNS, _WORDS)),
    _CutRule(rf"(?<={_SIGN})(?={_SIGN})", _samples(_SIGNS, _SIGNS)),
    # For tokenizers that treat each ideograph as a word.
    _CutRule(rf"(?<={_WORD})(?={_IDEOGRAPH})", _samples((*_WORDS, "漢", "的", "日本"), ("字", "漢", "一", "語學"))),
    _CutRule(rf"(?<={_IDEOGRAPH})(?={_WORD})", _samples(("字", "漢", "一", "語學"), (*_WORDS, "漢", "的", "日本"))),
    # For tokenizers that discard white space.
    _CutRule(
        rf"(?<={_SPACE})(?={_SPACE})",
        _samples((*" \t\n\r", "a ", "a  ", "a\n", "a\t"), (*" \t\n\r", " b", "  b", "\rb", "\n\nb", "  -")),
    ),
)


class PromptedTokens(list[int]):
    """Token ids of a text whose prompt is left out of the pooling.

    Attributes:
        prompt_length: Number of leading tokens that belong to the prompt, with the special tokens before it.
    """

    __slots__ = ("prompt_length",)

    def __init__(self, ids: list[int], prompt_length: int) -> None:
        """Combine the ids and the length of their prompt."""
        super().__init__(ids)
        self.prompt_length = prompt_length


@dataclass(frozen=True, slots=True)
class TokenizedText:
    """The tokens of a text that the model reads.

    Attributes:
        ids: Token ids, including special tokens.
        offsets: Start and end of each token in the text, in code points; (0, 0) for special tokens. Empty unless
            requested.
    """

    ids: list[int]
    offsets: list[tuple[int, int]]


class Tokenizer:
    """The model's ``tokenizer.json``, ignoring the padding and truncation that the file may configure.

    Attributes:
        max_tokens: Tokens that the model reads of one text, including special tokens.
        pad_id: Token id that pads the shorter texts of a batch.
        has_padding: Whether the tokenizer has a padding token; if not, ``pad_id`` is another special token.
    """

    def __init__(self, path: "Path", max_tokens: int, vocabulary_size: int = 0, *, special_tokens: bool = True) -> None:
        """Load the tokenizer.

        Args:
            path: The ``tokenizer.json``.
            max_tokens: Tokens that the model reads of one text, including special tokens.
            vocabulary_size: Number of the model's token embeddings; 0 if unknown.
            special_tokens: Add the special tokens that the file defines before and after a text.

        Raises:
            ConfigurationError: The file is not a tokenizer definition, or belongs to another model.
        """
        self.max_tokens = max_tokens
        try:
            self._tokenizer = _Tokenizer.from_file(str(path))
        except Exception as error:  # the Rust library raises plain Exception
            raise ConfigurationError(
                f"{path} is not a readable tokenizer definition: {error}. It is damaged or incomplete. "
                "Download it again."
            ) from error
        if 0 < vocabulary_size < self._tokenizer.get_vocab_size(with_added_tokens=True):
            self._tokenizer = _without_special_tokens(self._tokenizer, vocabulary_size)
        self._size = self._tokenizer.get_vocab_size(with_added_tokens=True)
        if 0 < vocabulary_size < self._size:
            raise ConfigurationError(
                f"{path} has {self._size} tokens, but the model has vectors for {vocabulary_size}: the files belong to "
                "different models. Download both again."
            )
        padding_id = self._padding_id(path.parent)
        self.has_padding = padding_id is not None
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        # The special tokens before and after every text.
        encoding = self._tokenizer.encode("a", add_special_tokens=special_tokens)
        mask = encoding.special_tokens_mask
        self._first = encoding.ids[: sum(takewhile(bool, mask))]
        last = sum(takewhile(bool, reversed(mask)))
        self._last = encoding.ids[len(mask) - last :]
        # No result depends on the padding of a model without one, but it should be no word.
        self.pad_id = padding_id if padding_id is not None else next(iter(self._last or self._first), 0)
        self._segment_chars = min(max(_SHORT_CHARS, _CHARS_PER_TOKEN * max_tokens), _CHARS_PER_CALL)

    def encode(
        self, texts: Sequence[str], *, truncate: bool, direction: TruncationDirection = "right"
    ) -> list[list[int]]:
        """Token ids of each text, special tokens included.

        Args:
            texts: The texts.
            truncate: Truncate texts that are longer than the model reads, instead of raising an error.
            direction: Which end of a long text is cut off.

        Raises:
            TextTooLong: A text has more tokens than the model reads and ``truncate`` is off, or it cannot be split.
                Has the text's index.
        """
        return [text.ids for text in self.tokenize(texts, truncate=truncate, direction=direction)]

    def tokenize(
        self,
        texts: Sequence[TextInput],
        *,
        truncate: bool,
        direction: TruncationDirection = "right",
        prompt: str = "",
        offsets: bool = False,
        most_tokens: int | None = None,
    ) -> list[TokenizedText]:
        """Tokenize texts, or texts given as token ids.

        Token ids are decoded and tokenized again, as in Text Embeddings Inference. Without a prompt, special tokens are
        those among the ids; with a prompt, they are added as for a text.

        Args:
            texts: Non-empty texts.
            truncate: Truncate texts that are longer than the model reads, instead of raising an error.
            direction: Which end of a long text is cut off.
            prompt: Text to prepend to every text.
            offsets: Return each token's offsets, counted from the beginning of the prompt.
            most_tokens: Maximum total number of tokens; None for no limit.

        Raises:
            PayloadTooLarge: The texts have more than ``most_tokens`` tokens.
            TextTooLong: A text has more tokens than the model reads and ``truncate`` is off, or it cannot be split.
                Has the text's index.
            InputError: A token id is out of range, or a text is not valid Unicode. Has the text's index.
        """
        sources = [self._source(text, prompt, index) for index, text in enumerate(texts)]
        # Most texts have only one segment; the first segments are tokenized together.
        firsts = [next(self._segments(text, direction, index)) for index, (text, _) in enumerate(sources)]
        parts = self._encode_all(
            [sources[index][0][start:end] for index, (start, end) in enumerate(firsts)], offsets, range(len(firsts))
        )
        tokenized: list[TokenizedText] = []
        total = 0
        for index, part in enumerate(parts):
            text = self._complete(index, sources[index], firsts[index], part, truncate, direction, offsets)
            total += len(text.ids)
            if most_tokens is not None and total > most_tokens:
                raise PayloadTooLarge(
                    f"The texts have more than {most_tokens} tokens in total. Send fewer texts in one request."
                )
            tokenized.append(text)
        return tokenized

    def bodies(
        self, texts: Sequence[str], most: int, *, direction: TruncationDirection = "right", first_index: int | None = 0
    ) -> "Iterator[list[int]]":
        """Token ids of each text without special tokens: at least its first or last ``most``, if it has as many.

        Args:
            texts: The texts.
            most: Number of tokens after which the rest of a text may be left out.
            direction: Which end of a long text may be left out.
            first_index: Index of the first text in error messages; None for a single text that is a query.

        Raises:
            TextTooLong: A text cannot be split and is too long to be tokenized whole. Has the text's index.
            InputError: A text is not valid Unicode. Has the text's index.
        """
        indices = [None if first_index is None else first_index + place for place in range(len(texts))]
        firsts = [
            next(self._segments(text, direction, index), (0, 0)) for text, index in zip(texts, indices, strict=True)
        ]
        parts = self._encode_all(
            [text[slice(*first)] for text, first in zip(texts, firsts, strict=True)], False, indices
        )
        for text, index, first, part in zip(texts, indices, firsts, parts, strict=True):
            pieces, _ = self._continued(text, index, first, part, most, direction, False)
            yield [token for piece in pieces for token in piece.ids]

    def pair_encoding(self) -> "Encoding":
        """The encoding of a sample query and text, which shows the special tokens and token types around them."""
        return self._tokenizer.encode("a", "a")

    def count(self, text: str) -> int:
        """Number of tokens of a whole text, special tokens included, even beyond the model's limit.

        Raises:
            TextTooLong: The text cannot be split and is too long to be tokenized whole.
        """
        segments = self._segments(text, "right", 0)
        body = sum(len(next(self._encode_all([text[start:end]], False, [0])).ids) for start, end in segments)
        return len(self._first) + body + len(self._last)

    def prompt_length(self, prompt: str) -> int:
        """Number of tokens of a prompt with the special tokens before it, as sentence-transformers counts them."""
        return len(self._first) + len(next(self._encode_all([prompt], False, [None])).ids)

    def _source(self, text: TextInput, prompt: str, index: int) -> tuple[str, bool]:
        """The text to tokenize, and whether special tokens are added."""
        if isinstance(text, str):
            return prompt + text, True
        if len(text) > MAX_INPUT_IDS:
            raise TextTooLong(
                f"Text {index} has {len(text)} token ids; the maximum is {MAX_INPUT_IDS}. Shorten or split it.",
                index=index,
            )
        if invalid := next((number for number in text if not 0 <= number < self._size), None):
            raise InputError(
                f"Text {index} has the token id {invalid}; the model's token ids are 0 to {self._size - 1}.",
                index=index,
            )
        decoded = self._tokenizer.decode(list(text), skip_special_tokens=bool(prompt))
        if not decoded and not prompt:
            raise InputError(f"Text {index} is empty after decoding its token ids. Remove it.", index=index)
        return prompt + decoded, bool(prompt)

    def _complete(
        self,
        index: int,
        source: tuple[str, bool],
        first: tuple[int, int],
        part: TokenizedText,
        truncate: bool,
        direction: TruncationDirection,
        offsets: bool,
    ) -> TokenizedText:
        """The tokens of a text that the model reads, given those of its first segment."""
        text, adds_specials = source
        before, after = (self._first, self._last) if adds_specials else ([], [])
        room = max(self.max_tokens - len(before) - len(after), 0)
        is_whole = first == (0, len(text))
        if is_whole and 0 < len(part.ids) <= room and not offsets:  # most texts
            return TokenizedText(before + part.ids + after, [])
        parts, length = self._continued(text, index, first, part, room, direction, offsets)
        if length > room and not truncate:
            at_least = "" if is_whole else "at least "
            raise TextTooLong(
                f"Text {index} has {at_least}{length + len(before) + len(after)} tokens; the model reads "
                f"{self.max_tokens}. Shorten or split it, or allow truncation.",
                index=index,
            )
        remaining = slice(max(length - room, 0), None) if direction == "left" else slice(room)
        ids = before + [token for part in parts for token in part.ids][remaining] + after
        if not ids:
            raise InputError(f"Text {index} has no tokens: it is blank. Remove it.", index=index)
        if not offsets:
            return TokenizedText(ids, [])
        places = [place for part in parts for place in part.offsets][remaining]
        return TokenizedText(ids, [(0, 0)] * len(before) + places + [(0, 0)] * len(after))

    def _continued(
        self,
        text: str,
        index: int | None,
        first: tuple[int, int],
        part: TokenizedText,
        room: int,
        direction: TruncationDirection,
        offsets: bool,
    ) -> tuple[list[TokenizedText], int]:
        """The tokens of as many segments as are needed for more than ``room`` tokens, and their number.

        Args:
            text: The whole text.
            index: The text's index in error messages; None for a query.
            first: The segment that was tokenized already.
            part: Its tokens.
            room: Number of tokens that fit.
            direction: Which end of the text is left out.
            offsets: Whether the tokens have offsets.
        """
        parts = [_shifted(part, first[0])]
        length = len(part.ids)
        if length <= room and first != (0, len(text)):
            segments = self._segments(text, direction, index)
            next(segments)
            for start, end in segments:
                part = next(self._encode_all([text[start:end]], offsets, [index]))
                parts.append(_shifted(part, start))
                length += len(part.ids)
                if length > room:
                    break
        if direction == "left":
            parts.reverse()
        return parts, length

    def _segments(self, text: str, direction: TruncationDirection, index: int | None) -> "Iterator[tuple[int, int]]":
        """Start and end of consecutive segments, beginning with the end that truncation keeps."""
        if len(text) <= self._segment_chars:
            yield 0, len(text)
            return
        start, end = (0, 0) if direction == "right" else (len(text), len(text))
        size = self._segment_chars
        while (end < len(text)) if direction == "right" else (start > 0):
            if direction == "right":
                start, end = end, self._next_cut(text, end + size)
            else:
                start, end = self._previous_cut(text, start - size), start
            size = min(2 * size, _CHARS_PER_CALL)  # the first segment had fewer tokens than expected
            # A character takes at most four bytes.
            if end - start > MAX_UNBROKEN_BYTES // 4 and len(_utf8(text[start:end], index)) > MAX_UNBROKEN_BYTES:
                raise TextTooLong(
                    f"{text_name(index)} has more than {MAX_UNBROKEN_BYTES} bytes without a position to split it, such "
                    "as a space after a word. Shorten or split it.",
                    index=index,
                )
            yield start, end

    def _next_cut(self, text: str, position: int) -> int:
        """The first position from this one on at which the text can be split, or its end."""
        limit = len(text) if self._cut is None else min(position + MAX_UNBROKEN_BYTES, len(text))
        while self._cut and position < limit:
            if match := self._cut.search(text, position, min(position + _SEARCHED_CHARS, len(text))):
                return match.start()
            position += _SEARCHED_CHARS
        return limit

    def _previous_cut(self, text: str, position: int) -> int:
        """The last position up to this one at which the text can be split, or its beginning."""
        limit = 0 if self._cut is None else max(position - MAX_UNBROKEN_BYTES, 0)
        searched = 64
        while self._cut and position > limit:
            start = max(position - searched, 0)
            cuts = [match.start() for match in self._cut.finditer(text, max(start, 1), position + 1)]
            if cuts:
                return cuts[-1]
            position = start
            searched = min(2 * searched, _SEARCHED_CHARS)
        return limit

    def _encode_all(
        self, texts: Sequence[str], offsets: bool, indices: Sequence[int | None]
    ) -> "Iterator[TokenizedText]":
        """Tokens of texts, without adding special tokens. Releases the interpreter lock for long texts."""
        try:
            if len(texts) == 1 and len(texts[0]) <= _SHORT_CHARS:
                # Starting the batch's threads would cost more than tokenizing one text.
                yield _tokenized(self._tokenizer.encode(texts[0], add_special_tokens=False), offsets)
                return
            encode = self._tokenizer.encode_batch if offsets else self._tokenizer.encode_batch_fast
            for group in _groups(texts):
                # Encodings take much more memory than ids, so each group's encodings are freed before the next group.
                for encoding in encode(group, add_special_tokens=False):
                    yield _tokenized(encoding, offsets)
        except TypeError:
            for index, text in zip(indices, texts, strict=True):
                _utf8(text, index)
            raise

    @cached_property
    def _cut(self) -> "re.Pattern[str] | None":
        """Pattern of the split positions, by the rules whose samples the tokenizer passes; None if no rule applies."""
        if self._tokenizer.pre_tokenizer is None:  # a token may span several words
            return None
        added = list(self._tokenizer.get_added_tokens_decoder().values())
        # Matches of single-word tokens depend on the adjacent characters, so letters are not separated.
        in_words = any(token.single_word for token in added)
        rules = [
            rule.pattern
            for rule in _CUT_RULES
            if not (in_words and _IDEOGRAPH in rule.pattern)
            and not any(re.search(rule.pattern, token.content) for token in added)
            and all(self._is_separable(left, right) for left, right in rule.samples)
        ]
        return re.compile("|".join(rules)) if rules else None

    def _is_separable(self, left: str, right: str) -> bool:
        """Whether the tokens of two texts equal those of their concatenation."""
        whole, before, after = (self._pieces(text) for text in (left + right, left, right))
        if whole != before + after:
            return False
        ids = [
            encoding.ids
            for encoding in self._tokenizer.encode_batch([left + right, left, right], add_special_tokens=False)
        ]
        return ids[0] == ids[1] + ids[2]

    def _pieces(self, text: str) -> list[str]:
        """The pre-tokenizer's pieces of a text, which the model tokenizes separately."""
        if self._tokenizer.normalizer is not None:
            text = self._tokenizer.normalizer.normalize_str(text)
        pre_tokenizer = self._tokenizer.pre_tokenizer
        return [piece for piece, _ in pre_tokenizer.pre_tokenize_str(text)] if pre_tokenizer else [text]

    def _padding_id(self, folder: "Path") -> int | None:
        padding = self._tokenizer.padding
        if padding is not None:
            return int(padding["pad_id"])
        declared = read_optional_object(folder / "tokenizer_config.json").get("pad_token")
        content = declared.get("content") if isinstance(declared, dict) else declared
        ids = (self._tokenizer.token_to_id(token) for token in (content, *_PADDING_TOKENS) if isinstance(token, str))
        return next((token_id for token_id in ids if token_id is not None), None)


def _without_special_tokens(tokenizer: _Tokenizer, first_id: int) -> _Tokenizer:
    """The tokenizer without the special tokens from an id on, for which the model has no vectors.

    EmbeddingGemma's file defines one for images, which its text model never reads. In a text, it is no token then.
    """
    definition = json.loads(tokenizer.to_str())
    added = definition["added_tokens"]
    definition["added_tokens"] = [token for token in added if not (token["special"] and token["id"] >= first_id)]
    return _Tokenizer.from_str(json.dumps(definition))


def _tokenized(encoding: "Encoding", offsets: bool) -> TokenizedText:
    return TokenizedText(encoding.ids, encoding.offsets if offsets else [])


def _shifted(part: TokenizedText, start: int) -> TokenizedText:
    """The tokens, with offsets shifted by their segment's start."""
    if not start or not part.offsets:
        return part
    return TokenizedText(part.ids, [(first + start, last + start) for first, last in part.offsets])


def _groups(texts: Sequence[str]) -> "Iterator[list[str]]":
    """Groups of consecutive texts, each with at most about ``_CHARS_PER_CALL`` characters."""
    group: list[str] = []
    size = 0
    for text in texts:
        if group and size + len(text) > _CHARS_PER_CALL:
            yield group
            group, size = [], 0
        group.append(text)
        size += len(text)
    if group:
        yield group


def text_name(index: int | None) -> str:
    """How an error message names a text; a query has no index."""
    return "The query" if index is None else f"Text {index}"


def _utf8(text: str, index: int | None) -> bytes:
    """The text in UTF-8.

    Raises:
        InputError: The text has an unpaired surrogate.
    """
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise InputError(
            f"{text_name(index)} is not valid Unicode: it has an unpaired surrogate. Replace or remove it.", index=index
        ) from None
