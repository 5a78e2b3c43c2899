"""Texts to token ids, with truncation that is always asked for and never silent."""

from itertools import takewhile
from typing import TYPE_CHECKING

from tokenizers import Tokenizer as _Tokenizer

from embedstack.errors import ConfigurationError, TextTooLong

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["Tokenizer"]

# What the padding token is called, where the file does not say: BERT's name, then RoBERTa's.
_PADDING_TOKENS = ("[PAD]", "<pad>")


class Tokenizer:
    """The model's own ``tokenizer.json``, without the padding and truncation that such files often carry.

    Attributes:
        max_tokens: Tokens that the model reads of one text, special tokens counted.
        pad_id: The id that fills shorter texts of a batch.
    """

    def __init__(self, path: "Path", max_tokens: int, vocabulary_size: int = 0) -> None:
        """Load the tokenizer.

        Args:
            path: The ``tokenizer.json``.
            max_tokens: Tokens that the model reads of one text, special tokens counted.
            vocabulary_size: Token ids that the model has vectors for; 0 where that is not known.

        Raises:
            ConfigurationError: The file is not a tokenizer's definition, or of another model.
        """
        self.max_tokens = max_tokens
        try:
            self._tokenizer = _Tokenizer.from_file(str(path))
        except Exception as error:  # the Rust library raises plain Exception
            raise ConfigurationError(
                f"{path} is not a readable tokenizer definition: {error}. It is damaged or cut short; fetch it again."
            ) from error
        known = self._tokenizer.get_vocab_size(with_added_tokens=True)
        if 0 < vocabulary_size < known:
            raise ConfigurationError(
                f"{path} has {known} tokens, but the model has vectors for {vocabulary_size}: it is another model's. "
                "Fetch both again."
            )
        self.pad_id = self._padding_id()
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        mask = self._tokenizer.encode("a").special_tokens_mask
        self._last_specials = sum(takewhile(bool, reversed(mask)))

    def encode(self, texts: "Sequence[str]", *, truncate: bool) -> list[list[int]]:
        """Token ids of each text, special tokens included.

        Raises:
            TextTooLong: ``truncate`` is off and a text has more tokens than the model reads; carries its index.
        """
        if len(texts) == 1:  # the batch's own threads would cost more than one text does
            ids = [self._tokenizer.encode(texts[0]).ids]
        else:
            ids = [encoding.ids for encoding in self._tokenizer.encode_batch_fast(list(texts))]
        for index, tokens in enumerate(ids):
            if len(tokens) > self.max_tokens:
                if not truncate:
                    raise TextTooLong(
                        f"Text {index} has {len(tokens)} tokens; the model reads {self.max_tokens}. "
                        "Shorten or split it, or allow truncation.",
                        index=index,
                    )
                # The special tokens that end a text end a cut one too.
                kept = self.max_tokens - self._last_specials
                ids[index] = tokens[:kept] + tokens[len(tokens) - self._last_specials :]
        return ids

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Where each token of :meth:`encode` stands in the text, as code points; (0, 0) for special tokens."""
        offsets = self._tokenizer.encode(text).offsets
        if len(offsets) > self.max_tokens:
            kept = self.max_tokens - self._last_specials
            offsets = offsets[:kept] + offsets[len(offsets) - self._last_specials :]
        return [(int(start), int(end)) for start, end in offsets]

    def _padding_id(self) -> int:
        padding = self._tokenizer.padding
        if padding is not None:
            return int(padding["pad_id"])
        ids = (self._tokenizer.token_to_id(token) for token in _PADDING_TOKENS)
        return next((token_id for token_id in ids if token_id is not None), 0)
