"""Where the served model's tokens stand in a text. Needs the extra ``embedstack[documents]``."""

import hashlib
from pathlib import Path

from embedstack.errors import ConfigurationError

__all__ = ["Tokens"]


class Tokens:
    """A model's ``tokenizer.json``. Safe to use from several threads.

    Attributes:
        digest: What tells it from another one.
        special: Special tokens that the model puts around a text.
    """

    def __init__(self, path: Path) -> None:
        """Load it.

        Raises:
            ConfigurationError: There is no such file, it is no tokenizer's definition, or a package is missing.
        """
        try:
            from tokenizers import Tokenizer  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise ConfigurationError(
                "Cutting documents needs more packages: pip install 'embedstack[documents]'."
            ) from error
        try:
            self.digest = hashlib.sha256(path.read_bytes()).hexdigest()
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the Rust library raises plain Exception
            raise ConfigurationError(f"{path} cannot be read as a tokenizer.json: {error}.") from error
        # Such files often carry both; here every token counts.
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self.special: int = self._tokenizer.num_special_tokens_to_add(is_pair=False)

    def count(self, text: str) -> int:
        """Tokens that the model reads for a text, special tokens included."""
        return len(self._tokenizer.encode(text))

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Where each token stands in the text, as code points; without special tokens."""
        offsets: list[tuple[int, int]] = self._tokenizer.encode(text, add_special_tokens=False).offsets
        return offsets
