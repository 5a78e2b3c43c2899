"""Requests about functions that Lambda rejects and moto accepts, or rejects with other words."""

import json
import re
from typing import Any

from moto.awslambda.exceptions import InvalidParameterValueException, LambdaClientError
from moto.core.utils import get_service_model
from moto.s3.exceptions import S3ClientError
from moto.s3.models import s3_backends

__all__ = ["check_new_function", "missing_layer"]

#: Runtimes that Lambda blocks for new functions (snapshots of localstack/localstack, 2026-01), and older ones.
_BLOCKED_RUNTIMES = frozenset({
    "dotnet5.0", "dotnetcore1.0", "dotnetcore2.0", "dotnetcore2.1", "dotnetcore3.1", "go1.x", "java8", "nodejs",
    "nodejs10.x", "nodejs12.x", "nodejs14.x", "nodejs4.3", "nodejs4.3-edge", "nodejs6.10", "nodejs8.10", "provided",
    "python2.7", "python3.6", "python3.7", "ruby2.5", "ruby2.7",
})  # fmt: skip
_ENVIRONMENT_BYTES = 4096


class _Invalid(LambdaClientError):  # type: ignore[misc]  # moto is untyped
    """A violation of the API's model."""

    code = 400

    def __init__(self, message: str) -> None:
        super().__init__("ValidationException", message)


def check_new_function(request: dict[str, Any], account_id: str) -> None:
    """Check CreateFunction.

    Raises:
        LambdaClientError: A member is invalid; with Lambda's message.
    """
    shape = get_service_model("lambda").operation_model("CreateFunction").input_shape
    pattern = shape.members["Role"].metadata["pattern"]
    role = str(request.get("Role"))
    if not re.fullmatch(pattern, role):
        raise _Invalid(
            f"1 validation error detected: Value '{role}' at 'role' failed to satisfy constraint: Member must satisfy "
            f"regular expression pattern: {pattern}"
        )
    _check_runtime(request.get("Runtime"), shape.members["Runtime"].enum)
    variables = (request.get("Environment") or {}).get("Variables") or {}
    measured = json.dumps(variables, separators=(",", ":"))
    if len(measured.encode()) > _ENVIRONMENT_BYTES:
        raise InvalidParameterValueException(
            "Lambda was unable to configure your environment variables because the environment variables you have "
            f"provided exceeded the 4KB limit. String measured: {measured}"
        )
    _check_code_location(request.get("Code") or {}, account_id)


def missing_layer(arns: list[str]) -> LambdaClientError:
    """The error for layers, which the local AWS does not have."""
    return InvalidParameterValueException(f"Layer version {arns[0]} does not exist.")


def _check_runtime(runtime: str | None, runtimes: list[str]) -> None:
    if runtime is None:
        return
    if runtime in _BLOCKED_RUNTIMES:
        raise InvalidParameterValueException(
            f"The runtime parameter of {runtime} is no longer supported for creating or updating AWS Lambda functions. "
            "We recommend you use a supported runtime while creating or updating functions."
        )
    if runtime not in runtimes:
        supported = ", ".join(name for name in runtimes if name not in _BLOCKED_RUNTIMES)
        raise InvalidParameterValueException(
            f"Value {runtime} at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: "
            f"[{supported}] or be a valid ARN"
        )


def _check_code_location(code: dict[str, Any], account_id: str) -> None:
    """Check that a package in S3 exists; moto rejects a missing bucket with Lambda's message."""
    bucket, key = code.get("S3Bucket"), code.get("S3Key")
    backend = s3_backends[account_id]["aws"]
    if not bucket or not key or bucket not in backend.buckets:
        return
    try:
        package = backend.get_object(bucket, key, version_id=code.get("S3ObjectVersion"))
    except S3ClientError:
        package = None
    if package is None:
        raise InvalidParameterValueException(
            "Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: The specified key does not "
            "exist."
        )
