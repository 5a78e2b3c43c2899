"""Token counts and offsets of a model. Needs the extra ``embedstack[documents]``."""

import hashlib
from pathlib import Path

from embedstack.errors import ConfigurationError

__all__ = ["Tokens"]


class Tokens:
    """A model's tokenizer. Thread-safe.

    Attributes:
        digest: SHA-256 of the file.
        special: Number of special tokens that the model adds to a text.
    """

    def __init__(self, path: Path) -> None:
        """Load a ``tokenizer.json``.

        Raises:
            ConfigurationError: The file is missing or invalid, or a package is missing.
        """
        try:
            from tokenizers import Tokenizer  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise ConfigurationError(
                "Chunking documents needs more packages: pip install 'embedstack[documents]'."
            ) from error
        try:
            self.digest = hashlib.sha256(path.read_bytes()).hexdigest()
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the Rust library raises plain Exception
            raise ConfigurationError(f"{path} is not a valid tokenizer.json: {error}.") from error
        # Files often enable both. Counts must include every token.
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self.special: int = self._tokenizer.num_special_tokens_to_add(is_pair=False)

    def count(self, text: str) -> int:
        """Number of tokens of a text, including special tokens."""
        return len(self._tokenizer.encode(text))

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Start and end of each token in a text, in code points, without special tokens."""
        offsets: list[tuple[int, int]] = self._tokenizer.encode(text, add_special_tokens=False).offsets
        return offsets
