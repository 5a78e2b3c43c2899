"""Calls to S3 Vectors, and its errors in the product's words."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from embedstack.aws.clients import AwsClient, translate_error
from embedstack.errors import (
    CollectionNotFound,
    ConfigurationError,
    EmbedStackError,
    EndpointUnavailable,
    IntegrityError,
    StoreError,
    StoreUnavailable,
)

if TYPE_CHECKING:
    import boto3

    from embedstack.settings.settings import Settings

__all__ = ["Service"]

_MAX_CONNECTIONS = 10
_PASSING = {
    "InternalServerException", "RequestTimeoutException", "ServiceUnavailableException", "TooManyRequestsException",
}  # fmt: skip


class Service:
    """S3 Vectors' operations on one vector bucket. botocore retries what passes."""

    def __init__(self, bucket: str, settings: "Settings", session: "boto3.Session | None") -> None:
        """Make a client; nothing is called yet.

        Raises:
            ConfigurationError: No region is set, or it is not an allowed one.
        """
        self.bucket = bucket
        self._client = AwsClient("s3vectors", settings, max_connections=_MAX_CONNECTIONS, session=session)

    def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """One operation by its name in boto3; the bucket's is added where there is no ARN.

        Raises:
            CollectionNotFound: There is no such index or bucket.
            StoreUnavailable: The service did not answer.
            StoreError: It refused.
            ConfigurationError: It refuses the credentials.
        """
        if "resourceArn" not in parameters:
            parameters["vectorBucketName"] = self.bucket
        try:
            answer: dict[str, Any] = self._client.call(lambda client: getattr(client, operation)(**parameters))
        except (ClientError, BotoCoreError) as error:
            raise self._translated(error, parameters.get("indexName")) from error
        except EndpointUnavailable as error:
            raise StoreUnavailable(f"S3 Vectors cannot be reached. {error}") from error
        except IntegrityError as error:
            raise StoreError(f"The response of S3 Vectors cannot be read. {error}") from error
        return answer

    def pages(self, operation: str, member: str, **parameters: Any) -> Iterator[dict[str, Any]]:
        """What a listing gives, over all its pages."""
        while True:
            answer = self.call(operation, **parameters)
            yield from answer[member]
            if not answer.get("nextToken"):
                return
            parameters["nextToken"] = answer["nextToken"]

    def _translated(self, error: ClientError | BotoCoreError, index: str | None) -> EmbedStackError:
        if isinstance(error, ClientError):
            code = error.response.get("Error", {}).get("Code", "")
            said = str(error.response.get("Error", {}).get("Message", ""))
            request_id = error.response.get("ResponseMetadata", {}).get("RequestId")
            if code == "NotFoundException":
                what = f"the index {index!r} in the vector bucket" if index else "the vector bucket"
                return CollectionNotFound(
                    f"S3 Vectors does not find {what} {self.bucket!r}: {said} See VECTOR_BUCKET and AWS_REGION.",
                    request_id=request_id,
                )
            if code in _PASSING:
                return StoreUnavailable(f"S3 Vectors answered {code} again and again: {said}", request_id=request_id)
            if code in ("ConflictException", "ServiceQuotaExceededException", "ValidationException"):
                return StoreError(f"S3 Vectors refused: {said} ({code}).", request_id=request_id)
        translated = translate_error(error)
        if isinstance(translated, ConfigurationError):
            return translated
        return StoreUnavailable(f"S3 Vectors cannot be reached. {translated}")
