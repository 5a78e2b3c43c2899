"""Translates botocore's errors into this project's errors, by one table for each AWS service.

A rule maps error codes to an error class and a message in that service's terms. The rules of a service come first,
then :data:`_COMMON_RULES`, which apply to every service.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectionError as BotoConnectionError,
    HTTPClientError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from embedstack.aws.bedrock import describe_unknown_model
from embedstack.aws.configuration_errors import explain, is_credential_server_down
from embedstack.calls.http_responses import parse_json, retry_after_seconds
from embedstack.errors import (
    CollectionNotFound,
    ConfigurationError,
    EmbedStackError,
    EndpointAsleep,
    EndpointNotFound,
    EndpointUnavailable,
    InputError,
    ModelFailed,
    PayloadTooLarge,
    ServiceUnavailable,
    StoreError,
    StoreUnavailable,
    TextTooLong,
    Throttled,
)

__all__ = ["error_code", "is_expired_credentials", "translate_error"]

# Maximum characters quoted of a container's message, which may repeat the input.
_QUOTED_CHARACTERS = 300
# HTTP statuses of a container that a retry does not change.
_PERMANENT_STATUSES = {401, 403, 404, 405, 406, 410, 411, 415, 501, 505}

_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
_INVALID_CREDENTIALS = frozenset(
    {"InvalidClientTokenId", "InvalidSignatureException", "SignatureDoesNotMatch", "UnrecognizedClientException"}
)
_ACCESS_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "403"})
_THROTTLED = frozenset(
    {
        "RequestLimitExceeded", "RequestThrottled", "RequestThrottledException", "SlowDown", "ThrottledException",
        "Throttling", "ThrottlingException", "TooManyRequestsException",
    }
)  # fmt: skip
# How Text Embeddings Inference rejects too long a text and too many texts: up to 1.8 with 413, later with 422.
_TOO_LONG = re.compile(r"must have less than \d+ (tokens|characters)")
_TOO_MANY = re.compile(r"^batch size \d+ > maximum allowed batch size")
_UNAVAILABLE = frozenset(
    {
        "InternalDependencyException", "InternalError", "InternalFailure", "InternalServerException",
        "InternalServiceError", "ModelNotReadyException", "RequestTimeout", "RequestTimeoutException",
        "ServiceUnavailable", "ServiceUnavailableException",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Failure:
    """A response of an AWS service that reports an error.

    Attributes:
        service: The service, as messages name it.
        resource: The endpoint, queue, key or model that was called.
        region: The region that was called.
        code: The service's error code.
        message: The service's message.
        status: HTTP status; 0 if unknown.
        request_id: The service's request id.
        retry_after: Seconds to wait, if the service names them.
        response: The whole response.
        details: Further fields of message templates.
    """

    service: str
    resource: str
    region: str
    code: str
    message: str
    status: int
    request_id: str | None
    retry_after: float | None
    response: Mapping[str, Any]
    details: Mapping[str, str]

    def format(self, template: str) -> str:
        """Fill a message template."""
        return template.format(
            service=self.service, resource=self.resource, region=self.region, code=self.code, message=self.message,
            **self.details,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Rule:
    """Maps an error to a class and a message. Conditions that are empty always hold.

    Attributes:
        error: The class; None if ``build`` makes the error.
        template: The message; its fields are those of :meth:`_Failure.format`.
        codes: Error codes that the rule applies to.
        pattern: Regular expression that the service's message must match, in any case.
        status: HTTP status that the response must have.
        retryable: Overrides the class's default.
        build: Makes the error of rules that need more than a message.
    """

    error: type[EmbedStackError] | None
    template: str = ""
    codes: frozenset[str] = frozenset()
    pattern: str = ""
    status: int | None = None
    retryable: bool | None = None
    build: Callable[[_Failure], EmbedStackError] | None = None

    def applies(self, failure: _Failure) -> bool:
        """Whether the rule is for this failure."""
        return (
            (not self.codes or failure.code in self.codes)
            and (self.status is None or failure.status == self.status)
            and re.search(self.pattern, failure.message, re.IGNORECASE) is not None
        )

    def translate(self, failure: _Failure) -> EmbedStackError:
        """The error for a failure."""
        if self.build is not None:
            return self.build(failure)
        assert self.error is not None  # noqa: S101 - either of the two is given
        message = failure.format(self.template)
        error = self.error(message, retryable=self.retryable, request_id=failure.request_id)
        if error.retryable:
            error.retry_after = failure.retry_after
        return error


@dataclass(frozen=True, slots=True)
class _Service:
    """How the errors of one AWS service are translated.

    Attributes:
        name: The service, as messages name it.
        rules: Rules for this service alone.
        throttled: Class of an error for too many requests.
        unavailable: Class of an error of the service or of the network.
        rejected: Class of an error for a request that no rule describes.
        remedy: What to do when the service throttles.
    """

    name: str
    rules: tuple[_Rule, ...] = ()
    throttled: type[EmbedStackError] = ServiceUnavailable
    unavailable: type[EmbedStackError] = ServiceUnavailable
    rejected: type[EmbedStackError] = ServiceUnavailable
    remedy: str = "Send fewer requests, or request a higher quota in Service Quotas."
    all_rules: tuple[_Rule, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "all_rules", (*self.rules, *_common_rules(self)))


def _common_rules(service: _Service) -> tuple[_Rule, ...]:
    """Rules for every service, applied after its own rules."""
    return (
        _Rule(service.throttled, "{service} throttled the request. " + service.remedy, codes=_THROTTLED),
        _Rule(
            ConfigurationError,
            "The AWS credentials have expired. Run `aws sso login`, or renew them.",
            codes=_EXPIRED,
        ),
        _Rule(
            ConfigurationError,
            "AWS rejects these credentials. Renew them, or check AWS_PROFILE. ({message})",
            codes=_INVALID_CREDENTIALS,
        ),
        _Rule(ConfigurationError, "{service} denies access to these credentials: {message}", codes=_ACCESS_DENIED),
        _Rule(service.unavailable, "{service} failed with {code}: {message}", codes=_UNAVAILABLE),
    )


def _container_error(failure: _Failure) -> EmbedStackError:
    """The error of a container that SageMaker reports as ModelError."""
    status = failure.response.get("OriginalStatusCode")
    original = str(failure.response.get("OriginalMessage") or failure.message)
    message, error_type, index = _read_container_error(original)
    request_id = failure.request_id
    if status in (413, 422) and (error_type == "text_too_long" or _TOO_LONG.search(message)):
        return TextTooLong(
            f"The text is too long for the model ({message.rstrip('.')}). Split it, or set EMBEDDING_TRUNCATE=true.",
            request_id=request_id,
            index=index,
        )
    if status == 413 or (status == 422 and _TOO_MANY.search(message)):
        return PayloadTooLarge(
            f"The request is too large for the container: {message.rstrip('.')}. Reduce SAGEMAKER_BATCH_SIZE, or split "
            "the text.",
            request_id=request_id,
            index=index,
        )
    match status:
        case 400 | 422:
            return InputError(f"The container rejected the request: {message}", request_id=request_id, index=index)
        case 429:
            return Throttled(f"The container is overloaded: {message}", request_id=request_id)
        case 503:
            return EndpointUnavailable(f"The container is not ready: {message}", request_id=request_id)
        case _:
            return ModelFailed(
                f"The container failed ({status}): {message}. Its log is in /aws/sagemaker/Endpoints/<endpoint>.",
                original_status=status,
                retryable=status not in _PERMANENT_STATUSES,
                request_id=request_id,
            )


def _read_container_error(original: str) -> tuple[str, str | None, int | None]:
    """Message, type and index of the failing input in an error body such as ``{"error", "error_type", "index"}``."""
    try:
        document = parse_json(original.encode("utf-8", errors="replace"), "The container")
        message, error_type, index = str(document["error"]), document.get("error_type"), document.get("index")
    except (EmbedStackError, KeyError, TypeError, AttributeError):
        message, error_type, index = original, None, None
    # type() and not isinstance(): true is not an index.
    return message[:_QUOTED_CHARACTERS], error_type, index if type(index) is int and index >= 0 else None


def _unknown_bedrock_model(failure: _Failure) -> EmbedStackError:
    message = describe_unknown_model(failure.resource, failure.region, failure.message)
    return ConfigurationError(message, request_id=failure.request_id)


def _bedrock_model_error(failure: _Failure) -> EmbedStackError:
    original: Any = failure.response.get("originalStatusCode")
    return ModelFailed(
        f"The model failed: {failure.message}", original_status=original, retryable=True, request_id=failure.request_id
    )


_VALIDATION = frozenset({"ValidationError", "ValidationException"})
_NOT_FOUND = frozenset({"ResourceNotFound", "ResourceNotFoundException"})
_INVALID = _VALIDATION | _NOT_FOUND

_ENDPOINT_RULES = (
    _Rule(
        ConfigurationError,
        "Endpoint {resource} is asynchronous. Set EMBEDDING_BACKEND=sagemaker-async. ({message})",
        codes=_INVALID,
        pattern="only receive asynchronous|InvokeEndpointAsync",
    ),
    _Rule(
        EndpointAsleep,
        "Endpoint {resource} is scaled to zero. It wakes up within minutes.",
        codes=_INVALID,
        pattern="has no capacity",
    ),
    _Rule(
        ConfigurationError,
        "Endpoint {resource} serves inference components. Name one, for example with SAGEMAKER_INFERENCE_COMPONENT.",
        codes=_INVALID,
        pattern="inference component.*header is required",
    ),
    _Rule(
        ConfigurationError,
        "Endpoint {resource} has no inference components. Unset SAGEMAKER_INFERENCE_COMPONENT, or call another "
        "endpoint.",
        codes=_INVALID,
        pattern="inference component.*header is not allowed",
    ),
    _Rule(
        ConfigurationError,
        "Endpoint {resource} has no such inference component. `aws sagemaker list-inference-components` lists them. "
        "({message})",
        codes=_INVALID,
        pattern="inference component.*not found",
    ),
    _Rule(
        ConfigurationError,
        "Endpoint {resource} rejects the inference component: {message}",
        codes=_INVALID,
        pattern="inference component",
    ),
    _Rule(
        PayloadTooLarge,
        "The request is over the endpoint's payload limit. Reduce SAGEMAKER_BATCH_SIZE, or split the text.",
        codes=_INVALID,
        pattern="oversize body",
    ),
    _Rule(
        EndpointNotFound,
        "Endpoint {resource!r} is not in service in region {region}. `aws sagemaker list-endpoints` lists the "
        "endpoints; check the name, the region, and that its status is InService.",
        codes=_INVALID,
        pattern="not found|could not find endpoint",
    ),
)

_RUNTIME_THROTTLED = (
    "Endpoint {resource} throttled the request. Send fewer concurrent requests, or raise its max_concurrency."
)

_RUNTIME_RULES = (
    _Rule(Throttled, _RUNTIME_THROTTLED, codes=_THROTTLED),
    # A serverless endpoint over its concurrency may reply with 400 and no message.
    _Rule(Throttled, _RUNTIME_THROTTLED, status=400, pattern="^(none|null)?$"),
    _Rule(None, codes=frozenset({"ModelError"}), build=_container_error),
    *_ENDPOINT_RULES,
)

_BEDROCK_RULES = (
    _Rule(None, codes=_NOT_FOUND, build=_unknown_bedrock_model),
    _Rule(None, pattern="model identifier|end of its life", build=_unknown_bedrock_model),
    _Rule(
        ConfigurationError,
        "In {region}, {resource} is available through inference profiles only. Use us.{resource}, eu.{resource} or the "
        "profile of another geography.",
        pattern="on-demand throughput",
    ),
    _Rule(
        TextTooLong,
        "Bedrock rejected the text: {message}",
        codes=frozenset({"ValidationException"}),
        pattern="too many input tokens|too long",
    ),
    _Rule(InputError, "Bedrock rejected the request: {message}", codes=frozenset({"ValidationException"})),
    _Rule(
        Throttled,
        "Bedrock throttled the request: this account's requests or tokens per minute are used up. Send fewer, or "
        "request a higher quota in Service Quotas.",
        codes=_THROTTLED | {"ServiceQuotaExceededException"},
    ),
    _Rule(None, codes=frozenset({"ModelErrorException"}), build=_bedrock_model_error),
    _Rule(EndpointUnavailable, "Bedrock failed with {code}: {message}", codes=frozenset({"ModelTimeoutException"})),
)

_SQS_RULES = (
    _Rule(
        ConfigurationError,
        "The queue {resource} does not exist in region {region}. Check its URL and AWS_REGION.",
        codes=frozenset({"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"}),
    ),
    _Rule(
        ServiceUnavailable,
        "SQS throttled the request ({code}). Send fewer requests.",
        codes=_THROTTLED | {"AWS.SimpleQueueService.OverLimit", "KMS.ThrottlingException", "KmsThrottled", "OverLimit"},
    ),
    _Rule(
        ConfigurationError,
        "The KMS key of the queue {resource} cannot be used ({code}): {message}",
        codes=frozenset(
            {
                "KMS.AccessDeniedException", "KMS.DisabledException", "KMS.InvalidStateException",
                "KMS.NotFoundException", "KmsAccessDenied", "KmsDisabled", "KmsInvalidState", "KmsNotFound",
            }
        ),
    ),
)  # fmt: skip

_S3_RULES = (
    _Rule(
        ConfigurationError,
        "The S3 bucket {resource} does not exist. Check its name, AWS_REGION ({region}) and the account.",
        codes=frozenset({"NoSuchBucket"}),
    ),
    _Rule(
        ServiceUnavailable,
        "S3 throttled the request. Send fewer requests per second and key prefix.",
        codes=_THROTTLED,
    ),
    _Rule(
        ConfigurationError,
        "S3 denies access to the object. These credentials need s3:GetObject on it, kms:Decrypt on its key, and "
        "s3:ListBucket on the bucket {resource}, without which a missing object is denied too. ({code})",
        codes=_ACCESS_DENIED,
    ),
)

_S3_VECTORS_RULES = (
    _Rule(
        CollectionNotFound,
        "S3 Vectors cannot find {resource}: {message} Check VECTOR_BUCKET and AWS_REGION.",
        codes=frozenset({"NotFoundException"}),
    ),
)

_KMS_RULES = (
    _Rule(
        ConfigurationError,
        "The cache {cache} was encrypted with a different KMS key, not {resource}. Set EMBEDSTACK_CACHE_KMS_KEY to "
        "that key, or delete the file.",
        codes=frozenset({"IncorrectKeyException", "InvalidCiphertextException"}),
    ),
    _Rule(
        ConfigurationError,
        "The KMS key {resource} cannot be used in {region} ({code}). EMBEDSTACK_CACHE_KMS_KEY must name an enabled, "
        "symmetric key for encryption there.",
        codes=frozenset(
            {"DisabledException", "InvalidKeyUsageException", "KMSInvalidStateException", "NotFoundException"}
        ),
    ),
    _Rule(
        ConfigurationError,
        "The KMS key {resource} needs kms:GenerateDataKey and kms:Decrypt for these credentials: {message}",
        codes=_ACCESS_DENIED,
    ),
    _Rule(
        ServiceUnavailable,
        "KMS failed with {code}: {message}",
        codes=frozenset({"DependencyTimeoutException", "KMSInternalException", "KeyUnavailableException"}),
    ),
)

_SECRETS_MANAGER_RULES = (
    _Rule(
        ConfigurationError,
        "The database's secret cannot be used ({code}). Check that the secret of DATABASE_SECRET_ARN exists, and that "
        "this role may call secretsmanager:GetSecretValue on it and use its key. To create a reader, it needs "
        "secretsmanager:PutSecretValue on the secret of DATABASE_READER_SECRET_ARN, too.",
        codes=_ACCESS_DENIED
        | _NOT_FOUND
        | {"DecryptionFailure", "InvalidParameterException", "InvalidRequestException"},
    ),
)


def _endpoint_service(name: str, rules: tuple[_Rule, ...], **options: str) -> _Service:
    return _Service(
        name,
        rules,
        throttled=Throttled,
        unavailable=EndpointUnavailable,
        rejected=EndpointUnavailable,
        **options,
    )


_SERVICES = {
    "bedrock-runtime": _endpoint_service("Bedrock", _BEDROCK_RULES),
    "kms": _Service("KMS", _KMS_RULES),
    "lambda": _Service("Lambda", remedy="Invoke fewer functions concurrently, or raise the reserved concurrency."),
    "s3": _Service("S3", _S3_RULES),
    "s3vectors": _Service(
        "S3 Vectors",
        _S3_VECTORS_RULES,
        throttled=StoreUnavailable,
        unavailable=StoreUnavailable,
        rejected=StoreError,
        remedy="Write or search with fewer concurrent requests.",
    ),
    "sagemaker": _endpoint_service("SageMaker", _ENDPOINT_RULES, remedy="Call its API less often."),
    "sagemaker-runtime": _endpoint_service("SageMaker", _RUNTIME_RULES),
    "secretsmanager": _Service(
        "Secrets Manager",
        _SECRETS_MANAGER_RULES,
        throttled=StoreUnavailable,
        unavailable=StoreUnavailable,
        rejected=ConfigurationError,
        remedy="Read the secret less often.",
    ),
    "sqs": _Service("SQS", _SQS_RULES),
    "sts": _Service("STS", remedy="Call it less often."),
}


def translate_error(
    error: Exception, service: str, *, resource: str | None = None, region: str | None = None, **details: str
) -> EmbedStackError:
    """An error of botocore as one of this project.

    Args:
        error: What botocore raised, or this project's error for a response that cannot be read.
        service: boto3's name of the service that was called.
        resource: The endpoint, queue, key or model that was called, for the message.
        region: The region that was called, for the message.
        details: Further fields of the service's messages: ``cache`` for KMS.
    """
    definition = _SERVICES.get(service) or _Service(service)
    explained = explain(error)
    if explained is not None:
        return explained
    match error:
        case ClientError():
            return _translate_response(error, definition, resource, region, details)
        case IncompleteReadError() | ResponseStreamingError() | ReadTimeoutError() | ConnectionClosedError():
            return definition.unavailable(f"{definition.name} did not complete its response: {type(error).__name__}.")
        case BotoConnectionError() | HTTPClientError():
            return definition.unavailable(_unreachable(error, definition.name))
        case _ if is_credential_server_down(error):
            return definition.unavailable(f"The server of AWS credentials does not respond: {error}")
        case EndpointUnavailable() if definition.unavailable is not EndpointUnavailable:
            return definition.unavailable(f"{definition.name} cannot be reached. {error}")
        case EmbedStackError():
            return error
        case _:
            return definition.unavailable(f"The AWS SDK failed: {error}", retryable=False)


def error_code(error: Exception) -> str:
    """The AWS error code of an error; empty if it has none."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def is_expired_credentials(error: Exception) -> bool:
    """Whether AWS rejected a request because its credentials have expired."""
    return error_code(error) in _EXPIRED


def _unreachable(error: Exception, name: str) -> str:
    url = str(getattr(error, "kwargs", {}).get("endpoint_url", ""))
    if urlsplit(url).hostname in ("127.0.0.1", "localhost"):
        address = url.partition("/endpoints")[0]
        return f"{name} cannot be reached at {address}. If this is the local AWS, start it with `make up`."
    return f"{name} cannot be reached: {error}"


def _translate_response(
    error: ClientError, service: _Service, resource: str | None, region: str | None, details: Mapping[str, str]
) -> EmbedStackError:
    response: dict[str, Any] = dict(error.response)
    metadata = response.get("ResponseMetadata", {})
    failure = _Failure(
        service=service.name,
        resource=str(resource),
        region=str(region),
        code=error_code(error),
        message=str(response.get("Error", {}).get("Message") or ""),
        status=metadata.get("HTTPStatusCode", 0),
        request_id=metadata.get("RequestId"),
        retry_after=retry_after_seconds(metadata.get("HTTPHeaders", {}).get("retry-after")),
        response=response,
        details=details,
    )
    for rule in service.all_rules:
        if rule.applies(failure):
            return rule.translate(failure)
    if failure.status >= 500:
        return _Rule(service.unavailable, "{service} failed with {code}: {message}").translate(failure)
    rejected = "{service} rejected the request with {code}: {message}"
    return _Rule(service.rejected, rejected, retryable=False).translate(failure)
