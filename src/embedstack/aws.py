"""AWS clients from botocore's own chain of credentials, and botocore's errors in the product's words."""

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError as BotoConnectionError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)

from embedstack.errors import (
    ConfigurationError,
    EmbedStackError,
    EndpointAsleep,
    EndpointNotFound,
    EndpointUnavailable,
    InputError,
    ModelFailed,
    PayloadTooLarge,
    Throttled,
)

if TYPE_CHECKING:
    from embedstack.settings import Settings

__all__ = ["create_client", "translate_error"]

# SageMaker gives a model 60 s to answer; a client that gives up just before would not learn the outcome.
_READ_TIMEOUT_SECONDS = 70
_CONNECT_TIMEOUT_SECONDS = 5

_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
_REFUSED = {
    "AccessDenied", "AccessDeniedException", "InvalidClientTokenId", "InvalidSignatureException",
    "SignatureDoesNotMatch", "UnrecognizedClientException",
}  # fmt: skip
_THROTTLED = {"Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded"}
_UNAVAILABLE = {"InternalDependencyException", "InternalFailure", "ModelNotReadyException", "ServiceUnavailable"}


def create_client(
    service: str, settings: "Settings", *, max_connections: int = 10, session: boto3.Session | None = None
) -> Any:
    """A boto3 client for the configured region and endpoint.

    Args:
        service: boto3's name of the service.
        settings: Where AWS is.
        max_connections: Size of the connection pool; as many as there are concurrent calls.
        session: A session of the caller's, with its own profile or credentials.

    Raises:
        ConfigurationError: No region is set, or the profile does not exist.
    """
    config = Config(
        connect_timeout=_CONNECT_TIMEOUT_SECONDS,
        read_timeout=_READ_TIMEOUT_SECONDS,
        max_pool_connections=max_connections,
        retries={"mode": "standard", "total_max_attempts": 3},
    )
    try:
        session = session or boto3.Session(region_name=settings.aws_region)
        return session.client(service, endpoint_url=settings.aws_endpoint_url, config=config)  # type: ignore[call-overload]
    except BotoCoreError as error:
        raise translate_error(error) from error


def translate_error(error: Exception, *, endpoint: str | None = None, region: str | None = None) -> EmbedStackError:
    """An error of botocore's as one of this product's.

    Args:
        error: What botocore raised.
        endpoint: The SageMaker endpoint that was called, for the message.
        region: The region that was called, for the message.
    """
    match error:
        case ClientError():
            return _translate_client_error(error, endpoint, region)
        case NoRegionError():
            return ConfigurationError("No AWS region is set: set AWS_REGION, or `aws configure set region REGION`.")
        case TokenRetrievalError() | SSOError():
            return ConfigurationError(f"The SSO login is missing or has expired: run `aws sso login`. ({error})")
        case NoCredentialsError() | PartialCredentialsError():
            return ConfigurationError(
                f"No AWS credentials ({error}): run `aws configure` or `aws sso login`, or set AWS_PROFILE. "
                'For the local AWS: eval "$(make env)".'
            )
        case ProfileNotFound():
            return ConfigurationError(f"{error}: `aws configure list-profiles` shows those that exist.")
        case BotoConnectionError() | HTTPClientError():
            return EndpointUnavailable(_unreachable(error))
        case _:
            return EndpointUnavailable(f"The AWS SDK failed: {error}", retryable=False)


def _unreachable(error: Exception) -> str:
    url = str(getattr(error, "kwargs", {}).get("endpoint_url", ""))
    if urlsplit(url).hostname in ("127.0.0.1", "localhost"):
        return f"Nothing answers at {url.partition('/endpoints')[0]}: is the local AWS running? `make up` starts it."
    return f"AWS cannot be reached: {error}"


def _translate_client_error(error: ClientError, endpoint: str | None, region: str | None) -> EmbedStackError:
    response: dict[str, Any] = dict(error.response)
    code = str(response.get("Error", {}).get("Code", ""))
    message = str(response.get("Error", {}).get("Message") or "")
    metadata = response.get("ResponseMetadata", {})
    request_id = metadata.get("RequestId")
    if code in _THROTTLED or (metadata.get("HTTPStatusCode") == 400 and message in ("", "None", "null")):
        return Throttled("The endpoint takes no more requests at once: send fewer, or raise its max_concurrency.",
                         request_id=request_id)  # fmt: skip
    if code in _EXPIRED:
        return ConfigurationError("The AWS credentials have expired: run `aws sso login` or renew them.",
                                  request_id=request_id)  # fmt: skip
    if code in _REFUSED:
        return ConfigurationError(f"AWS refuses these credentials: {message}", request_id=request_id)
    if code == "ModelError":
        return _translate_model_error(response, request_id)
    if code in _UNAVAILABLE or metadata.get("HTTPStatusCode", 0) >= 500:
        return EndpointUnavailable(f"SageMaker answered {code}: {message}", request_id=request_id)
    if "has no capacity" in message:
        return EndpointAsleep(f"Endpoint {endpoint} is scaled to zero and wakes in some minutes.",
                              request_id=request_id)  # fmt: skip
    if "oversize body" in message:
        return PayloadTooLarge("The request is over the endpoint's payload limit: send fewer texts at once.",
                               request_id=request_id)  # fmt: skip
    if "not found" in message or "Could not find endpoint" in message:
        return EndpointNotFound(
            f"No endpoint {endpoint!r} is in service in region {region}: `aws sagemaker list-endpoints` shows "
            "those there are; check the name, the region, and that its status is InService.",
            request_id=request_id,
        )
    return EndpointUnavailable(f"SageMaker answered {code}: {message}", retryable=False, request_id=request_id)


def _translate_model_error(response: dict[str, Any], request_id: str | None) -> EmbedStackError:
    status = response.get("OriginalStatusCode")
    said = str(response.get("OriginalMessage") or response.get("Error", {}).get("Message") or "")
    match status:
        case 413:
            return PayloadTooLarge(f"The container takes no such request: {said}", request_id=request_id)
        case 400 | 422:
            return InputError(f"The container refused the request: {said}", request_id=request_id)
        case 429:
            return Throttled(f"The container is overloaded: {said}", request_id=request_id)
        case 503:
            return EndpointUnavailable(f"The container is not ready: {said}", request_id=request_id)
        case _:
            return ModelFailed(
                f"The container failed ({status}): {said}. Its log is in /aws/sagemaker/Endpoints/<endpoint>.",
                original_status=status,
                retryable=True,
                request_id=request_id,
            )
