"""Bedrock's model ids: the regions that compute them, and the successors of retired models."""

from typing import TYPE_CHECKING

from embedstack.errors import ConfigurationError

if TYPE_CHECKING:
    from embedstack.settings.settings import Settings

__all__ = ["base_model_id", "check_residency", "describe_unknown_model"]

#: Geographies of cross-region inference profiles, and the regions that each of them computes in.
_GEOGRAPHIES = {"us": "us-*", "eu": "eu-*", "apac": "ap-*", "us-gov": "us-gov-*", "global": "*"}

#: Successors of models that Bedrock has retired, by the beginning of their ids.
_SUCCESSORS = {
    "meta.llama2": "us.meta.llama3-3-70b-instruct-v1:0",
    "meta.codellama": "us.meta.llama3-3-70b-instruct-v1:0 or a current Claude",
    "meta.llama3-1-405b": "us.meta.llama3-3-70b-instruct-v1:0",
    "meta.llama3-2": "us.meta.llama3-3-70b-instruct-v1:0",
    "anthropic.claude-v2": "a current Claude",
    "anthropic.claude-instant": "a current Claude",
    "amazon.titan-embed-text-v1": "amazon.titan-embed-text-v2:0 (another vector space: re-embed everything)",
}
_LIST = "`aws bedrock list-foundation-models` lists the models"


def base_model_id(model_id: str) -> str:
    """The model behind an id or the id of a cross-region inference profile such as ``us.meta.llama3-…``."""
    prefix, _, rest = model_id.partition(".")
    return rest if prefix in _GEOGRAPHIES else model_id


def check_residency(model_id: str, settings: "Settings") -> None:
    """Reject an inference profile that may compute outside the allowed regions.

    Raises:
        ConfigurationError: AWS_ALLOWED_REGIONS does not allow all of its geography.
    """
    prefix = model_id.partition(".")[0]
    allowed = settings.allowed_regions
    if not allowed or prefix not in _GEOGRAPHIES or "*" in allowed or _GEOGRAPHIES[prefix] in allowed:
        return
    raise ConfigurationError(
        f"The inference profile {model_id} may compute anywhere in {_GEOGRAPHIES[prefix]}, but AWS_ALLOWED_REGIONS "
        f"allows only {', '.join(allowed)}: use {base_model_id(model_id)}, or allow {_GEOGRAPHIES[prefix]}."
    )


def describe_unknown_model(model_id: str, region: str, message: str) -> str:
    """The message for a model that Bedrock does not have; names its successor, if known."""
    base = base_model_id(model_id)
    successor = next((new for old, new in _SUCCESSORS.items() if base.startswith(old)), None)
    instead = f"use {successor}; " if successor else ""
    return f"Bedrock has no model {model_id} in {region}: {instead}{_LIST}. ({message})"
