"""Tokenization for static embeddings: without special tokens, and as the library that defines the model."""

from typing import TYPE_CHECKING

from embedstack.errors import InputError, TextTooLong
from embedstack_server.model.tokenizer import TextInput, TokenizedText, Tokenizer, TruncationDirection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from embedstack_server.model.static_folder import StaticFolder

__all__ = ["StaticTokenizer"]


class StaticTokenizer:
    """Tokenizes texts as :class:`~embedstack_server.model.tokenizer.Tokenizer` does.

    Attributes:
        max_tokens: Tokens that the model reads of one text.
    """

    def __init__(self, folder: "StaticFolder") -> None:
        """Load the tokenizer.

        Raises:
            ConfigurationError: The file is not a tokenizer definition, or belongs to another model.
        """
        self.max_tokens = folder.max_tokens
        self._tokenizer = Tokenizer(folder.tokenizer, folder.max_tokens, folder.table.token_ids, special_tokens=False)
        self._max_chars = folder.max_chars
        self._unknown_id = folder.unknown_id
        self._zero_ids = folder.table.zero_ids

    def tokenize(
        self,
        texts: "Sequence[TextInput]",
        *,
        truncate: bool,
        direction: TruncationDirection = "right",
        prompt: str = "",
        offsets: bool = False,
        most_tokens: int | None = None,
    ) -> list[TokenizedText]:
        """See :meth:`Tokenizer.tokenize`.

        Raises:
            PayloadTooLarge: The texts have more than ``most_tokens`` tokens.
            TextTooLong: A text is longer than the model reads and ``truncate`` is off. Has the text's index.
            InputError: A token id is out of range, a text is not valid Unicode, or none of its tokens has a vector.
        """
        cut = [self._cut(text, prompt, index, truncate, direction) for index, text in enumerate(texts)]
        tokenized = self._tokenizer.tokenize(
            cut, truncate=truncate, direction=direction, prompt=prompt, offsets=offsets, most_tokens=most_tokens
        )
        return [self._known(text, index) for index, text in enumerate(tokenized)]

    def count(self, text: str) -> int:
        """See :meth:`Tokenizer.count`; unknown tokens count too."""
        return self._tokenizer.count(text)

    def prompt_length(self, prompt: str) -> int:
        """See :meth:`Tokenizer.prompt_length`."""
        return self._tokenizer.prompt_length(prompt)

    def _cut(
        self, text: TextInput, prompt: str, index: int, truncate: bool, direction: TruncationDirection
    ) -> TextInput:
        """The characters of a text that the model reads."""
        if self._max_chars is None or not isinstance(text, str) or len(prompt) + len(text) <= self._max_chars:
            return text
        if not truncate:
            raise TextTooLong(
                f"Text {index} has {len(prompt) + len(text)} characters; the model reads {self._max_chars}. Shorten or "
                "split it, or allow truncation.",
                index=index,
            )
        size = max(self._max_chars - len(prompt), 1)
        return text[:size] if direction == "right" else text[-size:]

    def _known(self, text: TokenizedText, index: int) -> TokenizedText:
        """A text without its unknown tokens, if the model leaves them out."""
        if self._unknown_id in text.ids:
            kept = [number for number, token in enumerate(text.ids) if token != self._unknown_id]
            text = TokenizedText([text.ids[n] for n in kept], [text.offsets[n] for n in kept] if text.offsets else [])
        if self._zero_ids.issuperset(text.ids):
            raise InputError(
                f"Text {index} has no token with a vector: the model does not know its words. Remove it.", index=index
            )
        return text
