"""The key of an encrypted cache, wrapped by AWS KMS and stored with the vectors.

A KMS key never leaves KMS; it wraps a data key of 32 bytes, whose encrypted form the file stores (envelope encryption,
https://docs.aws.amazon.com/kms/latest/developerguide/kms-cryptography.html#enveloping). Without ``kms:Decrypt`` the
file cannot be read.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from embedstack.aws.clients import AwsClient
from embedstack.cache.encryption_keys import raise_wrong_key

if TYPE_CHECKING:
    import boto3

    from embedstack.settings.settings import Settings

__all__ = ["KmsKey"]

# Encryption context of the data key: CloudTrail shows the purpose of each Decrypt.
_CONTEXT = {"embedstack": "cache"}


class KmsKey:
    """A data key that an AWS KMS key wraps: created by ``kms:GenerateDataKey``, decrypted by ``kms:Decrypt``."""

    _MARK = b"kms:"

    def __init__(self, key_id: str, settings: "Settings", *, session: "boto3.Session | None" = None) -> None:
        """Create a client. No request is sent.

        Args:
            key_id: Id, ARN or alias of a symmetric KMS key.
            settings: Region and address of AWS.
            session: A custom boto3 session.

        Raises:
            ConfigurationError: No region is set, or it is not allowed.
        """
        self._key_id = key_id
        self._client = AwsClient("kms", settings, max_connections=1, session=session)

    def unlock(self, path: Path, stored: bytes | None) -> tuple[bytes | None, bytes]:
        """See :class:`CacheKey`."""
        if stored is None:
            response = self._call("generate_data_key", KeySpec="AES_256")
            return response["Plaintext"], self._MARK + response["CiphertextBlob"]
        if not stored.startswith(self._MARK):
            raise_wrong_key(path, stored)
        return self._call("decrypt", path, CiphertextBlob=stored.removeprefix(self._MARK))["Plaintext"], stored

    def _call(self, operation: str, path: Path | None = None, **parameters: Any) -> dict[str, Any]:
        try:
            response: dict[str, Any] = self._client.call(
                lambda kms: getattr(kms, operation)(KeyId=self._key_id, EncryptionContext=_CONTEXT, **parameters)
            )
        except (BotoCoreError, ClientError) as error:
            raise self._client.translate(error, resource=self._key_id, cache=str(path)) from error
        return response
