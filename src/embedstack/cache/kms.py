"""The key of an encrypted cache, wrapped by AWS KMS and kept beside the vectors.

A KMS key never leaves KMS; it wraps a data key of 32 bytes, whose encrypted form the file keeps (envelope encryption,
https://docs.aws.amazon.com/kms/latest/developerguide/kms-cryptography.html#enveloping). Whoever may not call
``kms:Decrypt`` cannot read the file.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from embedstack.aws.clients import AwsClient
from embedstack.cache.encryption_keys import refuse_other_key

if TYPE_CHECKING:
    import boto3

    from embedstack.settings.settings import Settings

__all__ = ["KmsKey"]

# Bound to the data key: it opens no other product's data, and CloudTrail shows what a Decrypt was for.
_CONTEXT = {"embedstack": "cache"}


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
        self._client = AwsClient("kms", settings, max_connections=1, session=session)

    def unlock(self, path: Path, kept: bytes | None) -> tuple[bytes | None, bytes]:
        """See :class:`CacheKey`."""
        if kept is None:
            answer = self._call("generate_data_key", KeySpec="AES_256")
            return answer["Plaintext"], self._MARK + answer["CiphertextBlob"]
        if not kept.startswith(self._MARK):
            refuse_other_key(path, kept)
        return self._call("decrypt", path, CiphertextBlob=kept.removeprefix(self._MARK))["Plaintext"], kept

    def _call(self, operation: str, path: Path | None = None, **parameters: Any) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = self._client.call(
                lambda kms: getattr(kms, operation)(KeyId=self._key_id, EncryptionContext=_CONTEXT, **parameters)
            )
        except (BotoCoreError, ClientError) as error:
            raise self._client.translate(error, resource=self._key_id, cache=str(path)) from error
        return answer
