"""Texts to token ids, with truncation that is always asked for and never silent."""

import json
from typing import TYPE_CHECKING

from tokenizers import Tokenizer as _Tokenizer

from embedstack.errors import ConfigurationError, TextTooLong

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Tokenizer:
    """The model's own ``tokenizer.json``, without the padding and truncation that such files often carry."""

    def __init__(self, path: "Path", max_tokens: int) -> None:
        """Load the tokenizer.

        Args:
            path: The ``tokenizer.json``.
            max_tokens: Tokens that the model reads of one text, special tokens counted.

        Raises:
            ConfigurationError: The file is not a tokenizer's definition.
        """
        self.max_tokens = max_tokens
        try:
            definition = path.read_text(encoding="utf-8")
            self._whole = _Tokenizer.from_str(definition)
            self._truncating = _Tokenizer.from_str(definition)
        except Exception as error:  # the Rust library raises plain Exception
            raise ConfigurationError(f"{path} is not a readable tokenizer definition: {error}") from error
        for tokenizer in (self._whole, self._truncating):
            tokenizer.no_padding()
            tokenizer.no_truncation()
        self._truncating.enable_truncation(max_tokens)
        self.pad_id = int((json.loads(definition).get("padding") or {}).get("pad_id", 0))

    def encode(self, texts: "Sequence[str]", *, truncate: bool) -> list[list[int]]:
        """Token ids of each text, special tokens included.

        Raises:
            TextTooLong: ``truncate`` is off and a text has more tokens than the model reads; carries its index.
        """
        tokenizer = self._truncating if truncate else self._whole
        if len(texts) == 1:  # the batch's own threads would cost more than one text does
            ids = [tokenizer.encode(texts[0]).ids]
        else:
            ids = [encoding.ids for encoding in tokenizer.encode_batch_fast(list(texts))]
        for index, tokens in enumerate(ids):
            if len(tokens) > self.max_tokens:
                raise TextTooLong(
                    f"Text {index} has {len(tokens)} tokens; the model reads {self.max_tokens}. "
                    "Shorten or split it, or allow truncation.",
                    index=index,
                )
        return ids
