"""Reads documents from S3 in their current state."""

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from botocore.exceptions import BotoCoreError, ClientError

from embedstack.aws.clients import AwsClient
from embedstack.errors import ConfigurationError, DocumentRefused, EmbedStackError

if TYPE_CHECKING:
    from embedstack.settings.settings import Settings

__all__ = ["ObjectUnavailable", "S3DocumentReader", "S3Object"]

_BLOCK_BYTES = 1024 * 1024
# Larger objects are spooled to /tmp.
_MAX_MEMORY_BYTES = 8 * 1024 * 1024
_NOT_FOUND = {"NoSuchKey", "404"}


class ObjectUnavailable(EmbedStackError):
    """S3 did not return the object."""

    retryable_by_default = True


@dataclass(frozen=True, slots=True)
class S3Object:
    """An object's content.

    Attributes:
        content: A file with the object's bytes, at its start.
        etag: The object's ETag, which changes with the content.
        size: The object's size in bytes.
    """

    content: BinaryIO
    etag: str
    size: int


class S3DocumentReader:
    """Reads S3 objects up to a size limit."""

    def __init__(self, settings: "Settings", max_bytes: int) -> None:
        """Create a client. No request is sent.

        Args:
            settings: Region, endpoint and credentials.
            max_bytes: Maximum object size in bytes.
        """
        self._client = AwsClient("s3", settings, max_connections=2)
        self._max_bytes = max_bytes

    @contextmanager
    def open(self, bucket: str, key: str) -> Iterator[S3Object | None]:
        """The object, open within the ``with`` block; None if it does not exist.

        Without ``s3:ListBucket``, S3 returns 403 for a missing object. That raises an error, so that an object that
        may exist is never treated as deleted.

        Raises:
            DocumentRefused: The object exceeds the size limit. It is not read.
            ObjectUnavailable: The request failed.
            ConfigurationError: S3 rejects the function's credentials.
        """
        response = self._call("get_object", bucket, key)
        if response is None:
            yield None
            return
        with closing(response["Body"]) as body, tempfile.SpooledTemporaryFile(_MAX_MEMORY_BYTES) as content:
            if response["ContentLength"] > self._max_bytes:
                raise DocumentRefused(
                    f"The document has {response['ContentLength']:,} bytes; the limit is {self._max_bytes:,}. "
                    "Split it.",
                    reason="too_large",
                )
            try:
                for block in body.iter_chunks(_BLOCK_BYTES):
                    content.write(block)
            except BotoCoreError as error:
                raise ObjectUnavailable(f"Reading the S3 object failed: {type(error).__name__}.") from error
            content.seek(0)
            yield S3Object(cast("BinaryIO", content), response["ETag"], response["ContentLength"])

    def etag(self, bucket: str, key: str) -> str | None:
        """The object's current ETag; None if it does not exist.

        Raises:
            ObjectUnavailable, ConfigurationError: As in :meth:`open`.
        """
        response = self._call("head_object", bucket, key)
        return None if response is None else str(response["ETag"])

    def _call(self, operation: str, bucket: str, key: str) -> dict[str, Any] | None:
        try:
            response: dict[str, Any] = self._client.call(
                lambda client: getattr(client, operation)(Bucket=bucket, Key=key)
            )
        except (ClientError, BotoCoreError) as error:
            if isinstance(error, ClientError) and error.response.get("Error", {}).get("Code") in _NOT_FOUND:
                return None
            raise _translated(self._client.translate(error)) from error
        return response


def _translated(error: EmbedStackError) -> EmbedStackError:
    if isinstance(error, ConfigurationError):
        return error
    return ObjectUnavailable(str(error.args[0]), request_id=error.request_id)
