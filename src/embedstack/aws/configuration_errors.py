"""Explains errors of botocore that invalid AWS settings, profiles and credentials cause."""

import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import (
    BotoCoreError,
    ConfigNotFound,
    ConfigParseError,
    CredentialRetrievalError,
    HTTPClientError,
    InvalidConfigError,
    InvalidDefaultsMode,
    InvalidEndpointConfigurationError,
    InvalidIMDSEndpointError,
    InvalidIMDSEndpointModeError,
    InvalidProxiesConfigError,
    InvalidRegionError,
    InvalidRetryConfigurationError,
    InvalidSTSRegionalEndpointsConfigError,
    LoginError,
    MissingDependencyException,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
    UnknownCredentialError,
    UnknownEndpointError,
    UnknownRegionError,
)

from embedstack.errors import ConfigurationError

if TYPE_CHECKING:
    import boto3

__all__ = ["check_ca_bundle", "explain", "is_credential_server_down"]

_ADVICE = "Check the AWS_… variables and the files in ~/.aws."
_INVALID = (
    ConfigNotFound, ConfigParseError, InvalidConfigError, InvalidDefaultsMode, InvalidEndpointConfigurationError,
    InvalidIMDSEndpointError, InvalidIMDSEndpointModeError, InvalidProxiesConfigError, InvalidRegionError,
    InvalidRetryConfigurationError, InvalidSTSRegionalEndpointsConfigError, LoginError, MissingDependencyException,
    UnknownCredentialError, UnknownEndpointError, UnknownRegionError,
)  # fmt: skip
# Providers that fetch credentials over HTTP, from the container's or the instance's metadata.
_CREDENTIAL_SERVERS = {"container-role", "iam-role"}


def explain(error: Exception) -> ConfigurationError | None:
    """The error for an invalid setting, profile or credential; None for other errors.

    Args:
        error: Raised by botocore. It also lets errors of Python through: :class:`FileNotFoundError` for a missing token
            file, :class:`ValueError` for an address without scheme, :class:`EOFError` for a profile that asks for an
            MFA code without a terminal.
    """
    match error:
        case NoRegionError():
            message = "No AWS region is set. Set AWS_REGION, or run `aws configure set region REGION`."
        case TokenRetrievalError() | SSOError():
            message = f"The SSO login is missing or has expired. Run `aws sso login`. ({error})"
        case NoCredentialsError() | PartialCredentialsError():
            message = (
                f"No AWS credentials ({error}): run `aws configure` or `aws sso login`, or set AWS_PROFILE. "
                'For the local AWS: eval "$(make env)".'
            )
        case ProfileNotFound():
            message = f"{error}: `aws configure list-profiles` lists the profiles."
        case CredentialRetrievalError() if not is_credential_server_down(error):
            message = f"The AWS credentials cannot be read: {str(error).strip().rstrip(':')}. {_ADVICE}"
        case HTTPClientError() if isinstance(error.kwargs.get("error"), ValueError):
            # Not quoted: the message contains the header.
            message = "The AWS credentials contain a line break or another control character. Remove it."
        case _ if isinstance(error, _INVALID):
            message = f"The AWS configuration is not valid: {str(error).rstrip('.')}. {_ADVICE}"
        case BotoCoreError():
            return None
        case EOFError() | OSError() | ValueError():
            described = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            message = f"The AWS configuration cannot be used ({described}). {_ADVICE}"
        case _:
            return None
    return ConfigurationError(message)


def is_credential_server_down(error: Exception) -> bool:
    """Whether the server of a container's or an instance's credentials did not respond."""
    return isinstance(error, CredentialRetrievalError) and error.kwargs.get("provider") in _CREDENTIAL_SERVERS


def check_ca_bundle(session: "boto3.Session", url: str) -> None:
    """Check the file of certificates, which botocore reads with the first request and then reports as a broken network.

    Args:
        session: The session whose configuration names the file.
        url: The service's address.

    Raises:
        ConfigurationError: The file does not exist, or contains no certificates.
    """
    path = session._session.get_config_variable("ca_bundle")  # noqa: SLF001 - boto3 does not name it
    if not path or not url.startswith("https:"):
        return
    is_folder = Path(path).is_dir()
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(
            cafile=None if is_folder else path, capath=path if is_folder else None
        )
    except (OSError, ValueError) as error:
        problem = "contains no certificates" if Path(path).exists() else "does not exist"
        raise ConfigurationError(
            f"The CA bundle {path} {problem}. Correct AWS_CA_BUNDLE, or ca_bundle in the AWS profile."
        ) from error
