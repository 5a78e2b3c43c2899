"""Keys of an encrypted cache; :mod:`embedstack.cache.kms` has the one from AWS KMS."""

import base64
import binascii
import hashlib
import hmac
from pathlib import Path
from typing import NoReturn, Protocol

from embedstack.errors import ConfigurationError, NotPicklable

__all__ = ["CacheKey", "GivenKey", "NoKey", "raise_wrong_key"]

_KEY_BYTES = 32


class CacheKey(Protocol):
    """Provides the secret that a file is encrypted with."""

    def unlock(self, path: Path, stored: bytes | None) -> tuple[bytes | None, bytes]:
        """The secret of a file.

        Args:
            path: The file, for messages.
            stored: What the file stores about its key; None in a new file.

        Returns:
            32 bytes, or None if the file is not encrypted; and what the file must store.

        Raises:
            ConfigurationError: The file is encrypted with another key, or the key cannot be used.
            EndpointError: KMS failed or throttled the call.
        """


class NoKey:
    """The file is not encrypted."""

    _MARK = b"plain"

    def unlock(self, path: Path, stored: bytes | None) -> tuple[bytes | None, bytes]:
        """See :class:`CacheKey`."""
        if stored not in (None, self._MARK):
            raise_wrong_key(path, stored)
        return None, self._MARK


class GivenKey:
    """A key of 32 bytes in base64. The file stores a hash of it, which detects another key."""

    _MARK = b"given:"

    def __init__(self, key: str) -> None:
        """Decode the key.

        Raises:
            ConfigurationError: The key is not 32 bytes in base64.
        """
        try:
            self._secret = base64.b64decode(key, validate=True)
        except (binascii.Error, ValueError):
            self._secret = b""
        if len(self._secret) != _KEY_BYTES:
            raise ConfigurationError(
                "EMBEDSTACK_CACHE_KEY is not 32 bytes in base64. Generate a key with `openssl rand -base64 32`."
            )

    def __reduce__(self) -> NoReturn:
        raise NotPicklable(
            "The key of an encrypted cache cannot be pickled or copied. Create the embedder where it is used, with "
            "load_embedder() and EMBEDSTACK_CACHE_KEY there."
        )

    def unlock(self, path: Path, stored: bytes | None) -> tuple[bytes | None, bytes]:
        """See :class:`CacheKey`."""
        mark = self._MARK + hmac.digest(self._secret, b"embedstack cache", hashlib.sha256)
        if stored is not None and not hmac.compare_digest(stored, mark):
            raise_wrong_key(path, stored)
        return self._secret, mark


def raise_wrong_key(path: Path, stored: bytes | None) -> NoReturn:
    """Raise an error that names the kind of the file's key and the setting for it.

    Raises:
        ConfigurationError: Always.
    """
    if stored is not None and stored.startswith(b"kms:"):
        how = "is encrypted with an AWS KMS key: set EMBEDSTACK_CACHE_KMS_KEY to that key"
    elif stored is not None and stored.startswith(b"given:"):
        how = "is encrypted with a different key: set EMBEDSTACK_CACHE_KEY to the key it was created with"
    else:
        how = "is not encrypted: unset the key"
    raise ConfigurationError(f"The cache {path} {how}, use another file, or delete this one.")
