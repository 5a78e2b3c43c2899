"""Where the key of an encrypted cache comes from; :mod:`embedstack.cache.kms` has one of AWS KMS."""

import base64
import binascii
import hashlib
import hmac
from pathlib import Path
from typing import NoReturn, Protocol

from embedstack.errors import ConfigurationError, NotPicklable

__all__ = ["CacheKey", "GivenKey", "NoKey", "refuse_other_key"]

_KEY_BYTES = 32


class CacheKey(Protocol):
    """Gives the secret that a file is encrypted with."""

    def unlock(self, path: Path, kept: bytes | None) -> tuple[bytes | None, bytes]:
        """The secret of a file.

        Args:
            path: The file, for messages.
            kept: What the file keeps of its key; None in a new file.

        Returns:
            32 bytes, or None where the file is not encrypted; and what the file is to keep.

        Raises:
            ConfigurationError: The file is encrypted otherwise, or the key cannot be had.
            EndpointUnavailable: KMS did not answer.
        """


class NoKey:
    """The file is not encrypted."""

    _MARK = b"plain"

    def unlock(self, path: Path, kept: bytes | None) -> tuple[bytes | None, bytes]:
        """See :class:`CacheKey`."""
        if kept not in (None, self._MARK):
            refuse_other_key(path, kept)
        return None, self._MARK


class GivenKey:
    """32 bytes in base64. The file keeps a hash that tells whether the same ones come again."""

    _MARK = b"given:"

    def __init__(self, key: str) -> None:
        """Read it.

        Raises:
            ConfigurationError: It is not 32 bytes in base64.
        """
        try:
            self._secret = base64.b64decode(key, validate=True)
        except (binascii.Error, ValueError):
            self._secret = b""
        if len(self._secret) != _KEY_BYTES:
            raise ConfigurationError(
                "The cache's key is not 32 bytes in base64: `openssl rand -base64 32` makes one for "
                "EMBEDSTACK_CACHE_KEY."
            )

    def __reduce__(self) -> NoReturn:
        raise NotPicklable(
            "The key of an encrypted cache cannot be pickled or copied: build the embedder where it is used, with "
            "load_embedder() and EMBEDSTACK_CACHE_KEY there."
        )

    def unlock(self, path: Path, kept: bytes | None) -> tuple[bytes | None, bytes]:
        """See :class:`CacheKey`."""
        mark = self._MARK + hmac.digest(self._secret, b"embedstack cache", hashlib.sha256)
        if kept is not None and not hmac.compare_digest(kept, mark):
            refuse_other_key(path, kept)
        return self._secret, mark


def refuse_other_key(path: Path, kept: bytes | None) -> NoReturn:
    """Say how the file is encrypted, and what opens it."""
    if kept is not None and kept.startswith(b"kms:"):
        how = "is encrypted by a key of AWS KMS: set EMBEDSTACK_CACHE_KMS_KEY to it"
    elif kept is not None and kept.startswith(b"given:"):
        how = "is encrypted with another key: set EMBEDSTACK_CACHE_KEY to the one it was made with"
    else:
        how = "is not encrypted: unset the key"
    raise ConfigurationError(f"The cache {path} {how}, name another file, or delete this one.")
