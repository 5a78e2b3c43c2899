"""Where the key of an encrypted cache comes from: given as such, or wrapped by AWS KMS and kept beside the vectors.

A KMS key never leaves KMS; it wraps a data key of 32 bytes, whose encrypted form the file keeps (envelope encryption,
https://docs.aws.amazon.com/kms/latest/developerguide/kms-cryptography.html#enveloping). Whoever may not call
``kms:Decrypt`` cannot read the file.
"""

import base64
import binascii
import hashlib
import hmac
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from embedstack.aws import create_client, translate_error
from embedstack.errors import ConfigurationError, EmbedStackError, EndpointUnavailable

if TYPE_CHECKING:
    import boto3

    from embedstack.settings import Settings

__all__ = ["CacheKey", "GivenKey", "KmsKey", "NoKey"]

_KEY_BYTES = 32
# Bound to the data key: it opens no other product's data, and CloudTrail shows what a Decrypt was for.
_CONTEXT = {"embedstack": "cache"}
_NOT_USABLE = {
    "DisabledException", "InvalidKeyUsageException", "KMSInvalidStateException", "NotFoundException",
}  # fmt: skip
_NOT_OPENED = {"IncorrectKeyException", "InvalidCiphertextException"}


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
            _refuse_other_key(path, kept)
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

    def unlock(self, path: Path, kept: bytes | None) -> tuple[bytes | None, bytes]:
        """See :class:`CacheKey`."""
        mark = self._MARK + hmac.digest(self._secret, b"embedstack cache", hashlib.sha256)
        if kept is not None and not hmac.compare_digest(kept, mark):
            _refuse_other_key(path, kept)
        return self._secret, mark


class KmsKey:
    """A data key that a key of AWS KMS wraps: made by ``kms:GenerateDataKey``, opened again by ``kms:Decrypt``."""

    _MARK = b"kms:"

    def __init__(self, key_id: str, settings: "Settings", *, session: "boto3.Session | None" = None) -> None:
        """Prepare; nothing is called yet.

        Args:
            key_id: Id, ARN or alias of a symmetric KMS key.
            settings: Where AWS is.
            session: A boto3 session of the caller's.

        Raises:
            ConfigurationError: No region is set, or it is not an allowed one.
        """
        self._key_id = key_id
        self._client = create_client("kms", settings, session=session)

    def unlock(self, path: Path, kept: bytes | None) -> tuple[bytes | None, bytes]:
        """See :class:`CacheKey`."""
        if kept is None:
            answer = self._call("generate_data_key", KeySpec="AES_256")
            return answer["Plaintext"], self._MARK + answer["CiphertextBlob"]
        if not kept.startswith(self._MARK):
            _refuse_other_key(path, kept)
        return self._call("decrypt", path, CiphertextBlob=kept.removeprefix(self._MARK))["Plaintext"], kept

    def _call(self, operation: str, path: Path | None = None, **parameters: Any) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = getattr(self._client, operation)(
                KeyId=self._key_id, EncryptionContext=_CONTEXT, **parameters
            )
        except (BotoCoreError, ClientError) as error:
            raise self._translate(error, path) from error
        return answer

    def _translate(self, error: BotoCoreError | ClientError, path: Path | None) -> EmbedStackError:
        if not isinstance(error, ClientError):
            return translate_error(error)
        details = error.response.get("Error", {})
        code, message = str(details.get("Code", "")), str(details.get("Message") or "")
        if code in _NOT_OPENED:
            return ConfigurationError(
                f"The cache {path} was encrypted by another KMS key than {self._key_id}: set "
                "EMBEDSTACK_CACHE_KMS_KEY to that one, or delete the file."
            )
        if code in _NOT_USABLE:
            return ConfigurationError(
                f"The KMS key {self._key_id} cannot be used in {self._client.meta.region_name} ({code}): "
                "EMBEDSTACK_CACHE_KMS_KEY has to name an enabled, symmetric key for encryption there."
            )
        if code.startswith("AccessDenied"):
            return ConfigurationError(
                f"The KMS key {self._key_id} needs kms:GenerateDataKey and kms:Decrypt for these credentials: {message}"
            )
        if code in ("DependencyTimeoutException", "KeyUnavailableException", "KMSInternalException"):
            return EndpointUnavailable(f"KMS answered {code}: {message}")
        return translate_error(error, endpoint=self._key_id, region=self._client.meta.region_name)


def _refuse_other_key(path: Path, kept: bytes | None) -> NoReturn:
    """Say how the file is encrypted, and what opens it."""
    if kept is not None and kept.startswith(b"kms:"):
        how = "is encrypted by a key of AWS KMS: set EMBEDSTACK_CACHE_KMS_KEY to it"
    elif kept is not None and kept.startswith(b"given:"):
        how = "is encrypted with another key: set EMBEDSTACK_CACHE_KEY to the one it was made with"
    else:
        how = "is not encrypted: unset the key"
    raise ConfigurationError(f"The cache {path} {how}, name another file, or delete this one.")
