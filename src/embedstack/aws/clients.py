"""AWS clients from botocore's own chain of credentials, and botocore's errors in the product's words."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from fnmatch import fnmatch
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.eventstream import ParserError
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectionError as BotoConnectionError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    ReadTimeoutError,
    ResponseStreamingError,
    SSOError,
    TokenRetrievalError,
)
from botocore.parsers import ResponseParserError

from embedstack.aws.log_redaction import confidential, make_confidential
from embedstack.aws.loopback import is_loopback
from embedstack.calls.http_responses import parse_json, response_errors, retry_after_seconds
from embedstack.calls.process_local import Lock, PerProcess, close_inherited_pools
from embedstack.errors import (
    ConfigurationError,
    EmbedStackError,
    EndpointAsleep,
    EndpointNotFound,
    EndpointUnavailable,
    InputError,
    ModelFailed,
    NotPicklable,
    PayloadTooLarge,
    Throttled,
)

if TYPE_CHECKING:
    from embedstack.settings.settings import Settings

_Result = TypeVar("_Result")

__all__ = ["AwsClient", "aws_response_errors", "create_client", "translate_error"]

# SageMaker gives a model 60 s to answer; a client that gives up just before would not learn the outcome.
_READ_TIMEOUT_SECONDS = 70
_CONNECT_TIMEOUT_SECONDS = 5
_ATTEMPTS = 3
# A container's message is quoted up to here: a careless one repeats its input.
_QUOTED_CHARACTERS = 300

_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
_REFUSED = {
    "AccessDenied", "AccessDeniedException", "InvalidClientTokenId", "InvalidSignatureException",
    "SignatureDoesNotMatch", "UnrecognizedClientException",
}  # fmt: skip
_THROTTLED = {"Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded"}
# HTTP statuses of a container that a repetition of the request does not change.
_PERMANENT = {401, 403, 404, 405, 406, 410, 411, 415, 501, 505}
_UNAVAILABLE = {"InternalDependencyException", "InternalFailure", "ModelNotReadyException", "ServiceUnavailable"}


def create_client(
    service: str,
    settings: "Settings",
    *,
    max_connections: int = 10,
    attempts: int = _ATTEMPTS,
    connect_timeout: float = _CONNECT_TIMEOUT_SECONDS,
    read_timeout: float = _READ_TIMEOUT_SECONDS,
    session: boto3.Session | None = None,
) -> Any:
    """A boto3 client for the configured region and endpoint, whose calls are kept out of botocore's DEBUG log.

    Args:
        service: boto3's name of the service.
        settings: Where AWS is.
        max_connections: Size of the connection pool; as many as there are concurrent calls.
        attempts: How often botocore sends a request; 1 where someone else retries.
        connect_timeout: Seconds after which to give up connecting.
        read_timeout: Seconds without a byte of the answer after which to give up.
        session: A session of the caller's, with its own profile or credentials.

    Raises:
        ConfigurationError: No region is set, it is not an allowed one, or the profile does not exist.
    """
    config = Config(
        connect_timeout=connect_timeout,
        read_timeout=read_timeout,
        max_pool_connections=max_connections,
        retries={"mode": "standard", "total_max_attempts": attempts},
    )
    try:
        if settings.aws_endpoint_url is not None and is_loopback(settings.aws_endpoint_url):
            config = config.merge(Config(proxies={}))  # a proxy would look for it on its own machine
        # Credentials of a role may be fetched here.
        with confidential():
            session = session or boto3.Session(region_name=settings.aws_region)
            client = session.client(service, endpoint_url=settings.aws_endpoint_url, config=config)  # type: ignore[call-overload]
    except BotoCoreError as error:
        raise translate_error(error) from error
    make_confidential(client)
    _check_region(client.meta.region_name, settings)
    return client


def _check_region(region: str, settings: "Settings") -> None:
    allowed = settings.allowed_regions
    if allowed and not any(fnmatch(region, pattern) for pattern in allowed):
        raise ConfigurationError(
            f"Texts may be sent to {', '.join(allowed)} (AWS_ALLOWED_REGIONS), and AWS_REGION is {region}."
        )


def aws_response_errors(source: str = "AWS") -> AbstractContextManager[None]:
    """Raise this project's errors for what botocore does not translate: a response that breaks off or cannot be parsed.

    botocore's own errors pass; :func:`translate_error` is for them.

    Args:
        source: Who sent the response, for the message.
    """
    return response_errors(
        source, passing=(BotoCoreError, ClientError), parser_errors=(ParserError, ResponseParserError)
    )


class AwsClient:
    """A boto3 client for every process, re-created when its credentials have expired and may have been rotated.

    botocore refreshes a role's credentials itself; those that a person or a cron job writes to a file or a profile it
    reads once. A forked child and an unpickled copy create a client with connections of their own, from their own chain
    of credentials.
    """

    def __init__(
        self,
        service: str,
        settings: "Settings",
        *,
        max_connections: int,
        read_timeout: float | None = None,
        session: boto3.Session | None = None,
    ) -> None:
        """Make the client; see :func:`create_client`."""
        self._read_timeout = read_timeout or _READ_TIMEOUT_SECONDS
        self._service = service
        self._settings = settings.without_secrets()
        self._max_connections = max_connections
        self._session = session
        self._attempts = _ATTEMPTS
        self._lock = Lock()
        self._handle = self._new_handle()
        self._handle.get()

    @property
    def region(self) -> str:
        """The region that is called."""
        return str(self._client.meta.region_name)

    @property
    def endpoint_url(self) -> str:
        """URL of the service that is called, which holds the region or is a local AWS."""
        return str(self._client.meta.endpoint_url)

    def disable_retries(self) -> None:
        """Send every request once from now on: someone else retries."""
        with self._lock:
            self._attempts = 1
            self._handle = self._new_handle()

    def call(self, operation: Callable[[Any], _Result]) -> _Result:
        """Run an operation; once more with fresh credentials if it was refused for expired ones.

        Raises:
            ClientError: AWS refused it.
            BotoCoreError: It did not reach AWS.
            EndpointUnavailable: The connection broke while the response was read.
            IntegrityError: The response cannot be read.
        """
        handle = self._handle
        with aws_response_errors():
            try:
                return operation(handle.get())
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") not in _EXPIRED:
                    raise
            with self._lock:
                if self._handle is handle:
                    self._handle = self._new_handle()
            return operation(self._client)

    @property
    def _client(self) -> Any:
        return self._handle.get()

    def _new_handle(self) -> PerProcess[Any]:
        create = partial(
            create_client,
            self._service,
            self._settings,
            max_connections=self._max_connections,
            attempts=self._attempts,
            read_timeout=self._read_timeout,
            session=self._session,
        )
        return PerProcess(create, discard=_discard_inherited)

    def __getstate__(self) -> dict[str, Any]:
        if self._session is not None:
            raise NotPicklable(
                f"A boto3 session was passed for {self._service}, and its credentials cannot be pickled or copied: "
                "build the object where it is used, for example with load_embedder(settings, session=session)."
            )
        state = {name: value for name, value in self.__dict__.items() if name != "_handle"}
        # The environment of another process may name another region, where an endpoint has the same name.
        return {**state, "_settings": self._settings.model_copy(update={"aws_region": self.region})}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._handle = self._new_handle()


def _discard_inherited(client: Any) -> None:
    """Prepare a client that a fork has inherited for being dropped; its sockets are closed here only."""
    session = getattr(getattr(client, "_endpoint", None), "http_session", None)
    for manager in (getattr(session, "_manager", None), *getattr(session, "_proxy_managers", {}).values()):
        if manager is not None:
            close_inherited_pools(manager)
    # A session of the caller's goes on with the same credentials, which another thread may have been refreshing.
    credentials = getattr(getattr(client, "_request_signer", None), "_credentials", None)
    refreshing = getattr(credentials, "_refresh_lock", None)
    if refreshing is not None:
        refreshing._at_fork_reinit()  # noqa: SLF001 - how the standard library frees its own locks after a fork


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
        case IncompleteReadError() | ResponseStreamingError() | ReadTimeoutError() | ConnectionClosedError():
            return EndpointUnavailable(f"AWS broke off the answer: {type(error).__name__}.")
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
    retry_after = retry_after_seconds(metadata.get("HTTPHeaders", {}).get("retry-after"))
    if code in _THROTTLED or (metadata.get("HTTPStatusCode") == 400 and message in ("", "None", "null")):
        return Throttled("The endpoint takes no more requests at once: send fewer, or raise its max_concurrency.",
                         request_id=request_id, retry_after=retry_after)  # fmt: skip
    if code in _EXPIRED:
        return ConfigurationError("The AWS credentials have expired: run `aws sso login` or renew them.",
                                  request_id=request_id)  # fmt: skip
    if code in _REFUSED:
        return ConfigurationError(f"AWS refuses these credentials: {message}", request_id=request_id)
    if code == "ModelError":
        return _translate_model_error(response, request_id)
    if code in _UNAVAILABLE or metadata.get("HTTPStatusCode", 0) >= 500:
        return EndpointUnavailable(f"AWS answered {code}: {message}", request_id=request_id, retry_after=retry_after)
    if "has no capacity" in message:
        return EndpointAsleep(f"Endpoint {endpoint} is scaled to zero and wakes in some minutes.",
                              request_id=request_id)  # fmt: skip
    if "Inference Component" in message:
        return _translate_component_error(message, endpoint, request_id)
    if "oversize body" in message:
        return PayloadTooLarge("The request is over the endpoint's payload limit: send fewer texts at once.",
                               request_id=request_id)  # fmt: skip
    if "not found" in message or "Could not find endpoint" in message:
        return EndpointNotFound(
            f"No endpoint {endpoint!r} is in service in region {region}: `aws sagemaker list-endpoints` shows "
            "those there are; check the name, the region, and that its status is InService.",
            request_id=request_id,
        )
    return EndpointUnavailable(f"AWS answered {code}: {message}", retryable=False, request_id=request_id)


def _translate_component_error(message: str, endpoint: str | None, request_id: str | None) -> EmbedStackError:
    if "header is required" in message:
        remedy = "serves inference components: name one, for example by SAGEMAKER_INFERENCE_COMPONENT."
    elif "header is not allowed" in message:
        remedy = "has no inference components: unset SAGEMAKER_INFERENCE_COMPONENT, or call another endpoint."
    elif "not found" in message:
        remedy = f"has no such inference component: `aws sagemaker list-inference-components` shows them. ({message})"
    else:
        remedy = f"refuses the inference component: {message}"
    return ConfigurationError(f"Endpoint {endpoint} {remedy}", request_id=request_id)


def _translate_model_error(response: dict[str, Any], request_id: str | None) -> EmbedStackError:
    status = response.get("OriginalStatusCode")
    said, index = _read_container_error(
        str(response.get("OriginalMessage") or response.get("Error", {}).get("Message") or "")
    )
    match status:
        case 413:
            return PayloadTooLarge(f"The container takes no such request: {said}", request_id=request_id, index=index)
        case 400 | 422:
            return InputError(f"The container refused the request: {said}", request_id=request_id, index=index)
        case 429:
            return Throttled(f"The container is overloaded: {said}", request_id=request_id)
        case 503:
            return EndpointUnavailable(f"The container is not ready: {said}", request_id=request_id)
        case _:
            return ModelFailed(
                f"The container failed ({status}): {said}. Its log is in /aws/sagemaker/Endpoints/<endpoint>.",
                original_status=status,
                retryable=status not in _PERMANENT,
                request_id=request_id,
            )


def _read_container_error(original: str) -> tuple[str, int | None]:
    """The sentence and the failing input's index of an error body such as ``{"error", "error_type", "index"}``."""
    try:
        document = parse_json(original.encode("utf-8", errors="replace"), "The container")
        said, index = str(document["error"]), document.get("index")
    except (EmbedStackError, KeyError, TypeError, AttributeError):
        said, index = original, None
    # type() and not isinstance(): true is no index.
    return said[:_QUOTED_CHARACTERS], index if type(index) is int and index >= 0 else None
