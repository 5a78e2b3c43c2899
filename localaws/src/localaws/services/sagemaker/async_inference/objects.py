"""Requests and responses as S3 objects."""

from moto.s3.exceptions import S3ClientError
from moto.s3.models import s3_backends

__all__ = ["ObjectError", "read_object", "write_object"]


class ObjectError(Exception):
    """An object could not be read or written; the message has the reason."""


def read_object(url: str, account_id: str) -> bytes:
    """The bytes of an object.

    Raises:
        ObjectError: It does not exist.
    """
    bucket, key = _split(url)
    try:
        stored = s3_backends[account_id]["aws"].get_object(bucket, key)
    except S3ClientError as error:
        raise ObjectError(str(error)) from error
    if stored is None:
        raise ObjectError("The specified key does not exist.")
    return bytes(stored.value)


def write_object(url: str, account_id: str, body: bytes, content_type: str, kms_key_id: str | None) -> None:
    """Write an object, optionally encrypted with a KMS key.

    Raises:
        ObjectError: The bucket does not exist.
    """
    bucket, key = _split(url)
    encryption = "aws:kms" if kms_key_id else None
    try:
        stored = s3_backends[account_id]["aws"].put_object(
            bucket, key, body, encryption=encryption, kms_key_id=kms_key_id
        )
    except S3ClientError as error:
        raise ObjectError(str(error)) from error
    stored.set_metadata({"Content-Type": content_type})


def _split(url: str) -> tuple[str, str]:
    """Bucket and key of ``s3://bucket/key``."""
    bucket, _, key = url.removeprefix("s3://").partition("/")
    return bucket, key
