"""Documents in S3, as they are now."""

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from botocore.exceptions import BotoCoreError, ClientError

from embedstack.aws.clients import AwsClient, translate_error
from embedstack.errors import ConfigurationError, DocumentRefused, EmbedStackError

if TYPE_CHECKING:
    from embedstack.settings.settings import Settings

__all__ = ["Documents", "ObjectUnavailable", "StoredDocument"]

_BLOCK = 1024 * 1024
# Up to here a document stays in memory; above, it goes to /tmp while it is read.
_IN_MEMORY = 8 * 1024 * 1024
_GONE = {"NoSuchKey", "404"}


class ObjectUnavailable(EmbedStackError):
    """S3 did not give the object: it did not answer, or it refused."""

    retryable_by_default = True


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """An object's content.

    Attributes:
        content: Its bytes, from their start.
        etag: What changes when they do.
        size: How many there are.
    """

    content: BinaryIO
    etag: str
    size: int


class Documents:
    """Reads objects of limited size."""

    def __init__(self, settings: "Settings", max_bytes: int) -> None:
        """Make a client; nothing is called yet.

        Args:
            settings: Where AWS is.
            max_bytes: The largest object that is read.
        """
        self._client = AwsClient("s3", settings, max_connections=2)
        self._max_bytes = max_bytes

    @contextmanager
    def open(self, bucket: str, key: str) -> Iterator[StoredDocument | None]:
        """The object, for as long as the block lasts; None where there is none of that key any more.

        Without the permission ``s3:ListBucket`` S3 answers "access denied" where an object is gone, and that is an
        error here: nothing is taken for deleted that may be there.

        Raises:
            DocumentRefused: It is larger than what is read; nothing of it was.
            ObjectUnavailable: S3 did not answer, or refused.
            ConfigurationError: The function's credentials are refused.
        """
        answer = self._call("get_object", bucket, key)
        if answer is None:
            yield None
            return
        with closing(answer["Body"]) as body, tempfile.SpooledTemporaryFile(_IN_MEMORY) as content:
            if answer["ContentLength"] > self._max_bytes:
                raise DocumentRefused(
                    f"The document has {answer['ContentLength']:,} bytes, and up to {self._max_bytes:,} are read: "
                    "split it.",
                    reason="too_large",
                )
            try:
                for block in body.iter_chunks(_BLOCK):
                    content.write(block)
            except BotoCoreError as error:
                raise ObjectUnavailable(f"S3 broke off the object: {type(error).__name__}.") from error
            content.seek(0)
            yield StoredDocument(cast("BinaryIO", content), answer["ETag"], answer["ContentLength"])

    def etag(self, bucket: str, key: str) -> str | None:
        """What tells the object's content from another now; None where there is none of that key.

        Raises:
            ObjectUnavailable, ConfigurationError: As :meth:`open`.
        """
        answer = self._call("head_object", bucket, key)
        return None if answer is None else str(answer["ETag"])

    def _call(self, operation: str, bucket: str, key: str) -> dict[str, Any] | None:
        try:
            answer: dict[str, Any] = self._client.call(
                lambda client: getattr(client, operation)(Bucket=bucket, Key=key)
            )
        except (ClientError, BotoCoreError) as error:
            if isinstance(error, ClientError) and error.response.get("Error", {}).get("Code") in _GONE:
                return None
            raise _translated(error) from error
        return answer


def _translated(error: ClientError | BotoCoreError) -> EmbedStackError:
    if isinstance(error, ClientError):
        code = error.response.get("Error", {}).get("Code", "")
        request_id = error.response.get("ResponseMetadata", {}).get("RequestId")
        if code in ("AccessDenied", "403"):  # a HEAD's answer has no body that would name the code
            return ConfigurationError(
                "S3 refuses to give the object: the function's role needs s3:GetObject on it, kms:Decrypt on its key, "
                "and s3:ListBucket to be told that an object is gone.",
                request_id=request_id,
            )
        return ObjectUnavailable(f"S3 answered {code} for the object.", request_id=request_id)
    translated = translate_error(error)
    if isinstance(translated, ConfigurationError):
        return translated
    return ObjectUnavailable(f"S3 cannot be reached: {type(error).__name__}.")
