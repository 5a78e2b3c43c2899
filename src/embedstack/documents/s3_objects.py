"""Reads documents and their metadata from S3 in their current state."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from botocore.exceptions import BotoCoreError, ClientError

from embedstack.aws.clients import AwsClient
from embedstack.documents.limits import display_name
from embedstack.documents.metadata import (
    MAX_METADATA_FILE_BYTES,
    metadata_file,
    object_metadata,
    parse_metadata_file,
)
from embedstack.errors import DocumentRefused, ServiceUnavailable

if TYPE_CHECKING:
    from embedstack.settings.settings import Settings

__all__ = ["S3DocumentReader", "S3Object"]

_BLOCK_BYTES = 1024 * 1024
# Larger objects are spooled to /tmp.
_MAX_MEMORY_BYTES = 8 * 1024 * 1024
_NOT_FOUND = {"NoSuchKey", "404"}


@dataclass(frozen=True, slots=True)
class S3Object:
    """An object's content and metadata.

    Attributes:
        content: A file with the object's bytes, at its start.
        version: The ETags of the object and of its metadata file, which change with their contents.
        size: The object's size in bytes.
        metadata: Values by name, from the object's tags, user-defined metadata and metadata file. The later take
            precedence.
        notes: Remarks on the metadata.
    """

    content: BinaryIO
    version: str
    size: int
    metadata: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class S3DocumentReader:
    """Reads S3 objects up to a size limit."""

    def __init__(self, settings: "Settings", max_bytes: int, *, max_connections: int = 2) -> None:
        """Create a client. No request is sent.

        Args:
            settings: Region, endpoint and credentials.
            max_bytes: Maximum object size in bytes.
            max_connections: Number of concurrent requests.
        """
        self._client = AwsClient("s3", settings, max_connections=max_connections)
        self._max_bytes = max_bytes

    @contextmanager
    def open(self, bucket: str, key: str) -> Iterator[S3Object | None]:
        """The object, open within the ``with`` block; None if it does not exist.

        Without ``s3:ListBucket``, S3 returns 403 for a missing object. That raises an error, so that an object that
        may exist is never treated as deleted. Tags are read if the caller has ``s3:GetObjectTagging``.

        Raises:
            DocumentRefused: The object exceeds the size limit. It is not read.
            InputError: The metadata file is invalid.
            ServiceUnavailable: The request failed.
            ConfigurationError: S3 rejects the credentials.
        """
        response = self._call("get_object", bucket, key)
        if response is None:
            yield None
            return
        with closing(response["Body"]) as body, tempfile.SpooledTemporaryFile(_MAX_MEMORY_BYTES) as content:
            if response["ContentLength"] > self._max_bytes:
                raise DocumentRefused(
                    f"{display_name(key)} has {response['ContentLength']:,} bytes; the limit is {self._max_bytes:,}. "
                    "Split it.",
                    reason="too_large",
                )
            for block in _blocks(body):
                content.write(block)
            content.seek(0)
            tags = self._tags(bucket, key) if response.get("TagCount") else {}
            metadata, notes = object_metadata(response.get("Metadata", {}), tags)
            attributes, file_etag = self._metadata_file(bucket, key)
            yield S3Object(
                cast("BinaryIO", content),
                _version(response["ETag"], file_etag),
                response["ContentLength"],
                metadata | attributes,
                tuple(notes),
            )

    def version(self, bucket: str, key: str) -> str | None:
        """The current ``version`` of an object; None if it does not exist.

        Raises:
            ServiceUnavailable, ConfigurationError: As in :meth:`open`.
        """
        response = self._call("head_object", bucket, key)
        if response is None:
            return None
        file = self._call("head_object", bucket, metadata_file(key))
        return _version(response["ETag"], None if file is None else file["ETag"])

    def _metadata_file(self, bucket: str, key: str) -> tuple[dict[str, Any], str | None]:
        response = self._call("get_object", bucket, metadata_file(key))
        if response is None:
            return {}, None
        with closing(response["Body"]) as body:
            content = next(_blocks(body, MAX_METADATA_FILE_BYTES + 1), b"")
        return parse_metadata_file(content, key), response["ETag"]

    def _tags(self, bucket: str, key: str) -> dict[str, str]:
        response = self._call("get_object_tagging", bucket, key) or {}
        return {tag["Key"]: tag["Value"] for tag in response.get("TagSet", [])}

    def _call(self, operation: str, bucket: str, key: str) -> dict[str, Any] | None:
        try:
            response: dict[str, Any] = self._client.call(
                lambda client: getattr(client, operation)(Bucket=bucket, Key=key)
            )
        except (ClientError, BotoCoreError) as error:
            if isinstance(error, ClientError) and error.response.get("Error", {}).get("Code") in _NOT_FOUND:
                return None
            raise self._client.translate(error, resource=bucket) from error
        return response


def _version(etag: str, file_etag: str | None) -> str:
    return etag if file_etag is None else f"{etag} {file_etag}"


def _blocks(body: Any, size: int = _BLOCK_BYTES) -> Iterator[bytes]:
    try:
        yield from body.iter_chunks(size)
    except BotoCoreError as error:
        raise ServiceUnavailable(f"Reading the S3 object failed: {type(error).__name__}.") from error
