"""Bedrock's model ids, where a request for one may be computed, and its errors in the product's words."""

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from embedstack.aws.clients import translate_error
from embedstack.calls.http_responses import retry_after_seconds
from embedstack.errors import (
    ConfigurationError,
    EmbedStackError,
    EndpointUnavailable,
    InputError,
    ModelFailed,
    TextTooLong,
    Throttled,
)

if TYPE_CHECKING:
    from embedstack.settings.settings import Settings

__all__ = ["base_model_id", "check_residency", "translate_bedrock_error"]

#: Geographies of cross-region inference profiles, and the regions that each computes in.
_GEOGRAPHIES = {"us": "us-*", "eu": "eu-*", "apac": "ap-*", "us-gov": "us-gov-*", "global": "*"}

#: What to use in place of models that Bedrock no longer has, by how their ids begin.
_SUCCESSORS = {
    "meta.llama2": "us.meta.llama3-3-70b-instruct-v1:0",
    "meta.codellama": "us.meta.llama3-3-70b-instruct-v1:0 or a current Claude",
    "meta.llama3-1-405b": "us.meta.llama3-3-70b-instruct-v1:0",
    "meta.llama3-2": "us.meta.llama3-3-70b-instruct-v1:0",
    "anthropic.claude-v2": "a current Claude",
    "anthropic.claude-instant": "a current Claude",
    "amazon.titan-embed-text-v1": "amazon.titan-embed-text-v2:0 (another vector space: embed everything anew)",
}
_LIST = "`aws bedrock list-foundation-models` shows those there are"


def base_model_id(model_id: str) -> str:
    """The model behind an id or the id of a cross-region inference profile such as ``us.meta.llama3-…``."""
    prefix, _, rest = model_id.partition(".")
    return rest if prefix in _GEOGRAPHIES else model_id


def check_residency(model_id: str, settings: "Settings") -> None:
    """Refuse an inference profile that may compute outside the allowed regions.

    Raises:
        ConfigurationError: It may; AWS_ALLOWED_REGIONS does not allow all of its geography.
    """
    prefix = model_id.partition(".")[0]
    allowed = settings.allowed_regions
    if not allowed or prefix not in _GEOGRAPHIES or "*" in allowed or _GEOGRAPHIES[prefix] in allowed:
        return
    raise ConfigurationError(
        f"The inference profile {model_id} may compute anywhere in {_GEOGRAPHIES[prefix]}, and AWS_ALLOWED_REGIONS "
        f"allows {', '.join(allowed)}: use {base_model_id(model_id)}, or allow {_GEOGRAPHIES[prefix]}."
    )


def translate_bedrock_error(error: Exception, model_id: str, region: str) -> EmbedStackError:
    """An error of botocore's for a call of Bedrock as one of this product's."""
    if not isinstance(error, ClientError):
        return translate_error(error, region=region)
    details = error.response.get("Error", {})
    code, message = str(details.get("Code", "")), str(details.get("Message") or "")
    metadata = error.response.get("ResponseMetadata", {})
    request_id, status = metadata.get("RequestId"), metadata.get("HTTPStatusCode", 0)
    retry_after = retry_after_seconds(metadata.get("HTTPHeaders", {}).get("retry-after"))
    said = message.lower()
    if code == "ResourceNotFoundException" or "model identifier" in said or "end of its life" in said:
        return ConfigurationError(_unknown_model(model_id, region, message), request_id=request_id)
    if "on-demand throughput" in said:
        return ConfigurationError(
            f"{model_id} is called through an inference profile in {region}: us.{model_id}, eu.{model_id} or another "
            "geography's.",
            request_id=request_id,
        )
    if code == "ValidationException" and ("too many input tokens" in said or "too long" in said):
        return TextTooLong(f"Bedrock refused the text: {message}", request_id=request_id)
    if code == "ValidationException":
        return InputError(f"Bedrock refused the request: {message}", request_id=request_id)
    if code in ("ThrottlingException", "ServiceQuotaExceededException"):
        return Throttled("Bedrock takes no more requests or tokens a minute from this account: send fewer, or ask for "
                         "more in Service Quotas.", request_id=request_id, retry_after=retry_after)  # fmt: skip
    if code == "ModelErrorException":
        original: Any = error.response.get("originalStatusCode")
        return ModelFailed(f"The model failed: {message}", original_status=original, retryable=True,
                           request_id=request_id)  # fmt: skip
    if code in ("ModelTimeoutException", "ModelNotReadyException", "ServiceUnavailableException") or status >= 500:
        return EndpointUnavailable(
            f"Bedrock answered {code}: {message}", request_id=request_id, retry_after=retry_after
        )
    return translate_error(error, endpoint=model_id, region=region)


def _unknown_model(model_id: str, region: str, message: str) -> str:
    base = base_model_id(model_id)
    successor = next((new for old, new in _SUCCESSORS.items() if base.startswith(old)), None)
    instead = f"use {successor}; " if successor else ""
    return f"Bedrock has no model {model_id} in {region}: {instead}{_LIST}. ({message})"
