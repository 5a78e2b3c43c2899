"""Calls S3 Vectors and translates its errors."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from embedstack.aws.clients import AwsClient
from embedstack.errors import IntegrityError, StoreError

if TYPE_CHECKING:
    import boto3

    from embedstack.settings.settings import Settings

__all__ = ["Service"]

_MAX_CONNECTIONS = 10


class Service:
    """Operations of S3 Vectors on one vector bucket. botocore retries transient errors."""

    def __init__(self, bucket: str, settings: "Settings", session: "boto3.Session | None") -> None:
        """Create a client. No request is sent.

        Raises:
            ConfigurationError: The region is not set or not allowed.
        """
        self.bucket = bucket
        self._client = AwsClient("s3vectors", settings, max_connections=_MAX_CONNECTIONS, session=session)

    def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """Call an operation by its boto3 name. The bucket's name is added if there is no ARN.

        Raises:
            CollectionNotFound: The index or bucket does not exist.
            StoreUnavailable: The service did not respond.
            StoreError: The service rejected the request.
            ConfigurationError: The service rejected the credentials.
        """
        if "resourceArn" not in parameters:
            parameters["vectorBucketName"] = self.bucket
        try:
            response: dict[str, Any] = self._client.call(lambda client: getattr(client, operation)(**parameters))
        except (ClientError, BotoCoreError) as error:
            index = parameters.get("indexName")
            what = f"the index {index!r} in the vector bucket" if index else "the vector bucket"
            raise self._client.translate(error, resource=f"{what} {self.bucket!r}") from error
        except IntegrityError as error:
            raise StoreError(f"The response of S3 Vectors cannot be read. {error}") from error
        return response

    def pages(self, operation: str, **parameters: Any) -> Iterator[dict[str, Any]]:
        """The responses of a listing or a query."""
        while True:
            response = self.call(operation, **parameters)
            yield response
            if not response.get("nextToken"):
                return
            parameters["nextToken"] = response["nextToken"]

    def items(self, operation: str, member: str, **parameters: Any) -> Iterator[dict[str, Any]]:
        """The items of a listing, from all its pages."""
        for response in self.pages(operation, **parameters):
            yield from response[member]
