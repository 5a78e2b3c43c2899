"""Parses the signature of a request, in the Authorization header or in the query.

Signatures are not verified: any access key works locally, and the secret key is unknown. Formats: IAM user
guide, "Elements of an AWS API request signature"; S3 API reference, "Authenticating requests: using query parameters".
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

__all__ = ["MalformedSignature", "RequestSignature", "parse_signature"]

_ALGORITHM = "AWS4-HMAC-SHA256"
_SCOPE = re.compile(
    r"(?P<key>[^\s/,]+)/(?P<date>\d{8})/(?P<region>[a-z0-9-]+)/(?P<service>[A-Za-z0-9._-]+)/aws4_request"
)
_SIGV2_HEADER = re.compile(r"AWS (?P<key>[^\s:,]+):[A-Za-z0-9+/]+={0,2}")
_DATE = "%Y%m%dT%H%M%SZ"
#: "The maximum is 604800 (seven days)" (X-Amz-Expires).
_MAX_EXPIRES = 604_800


class MalformedSignature(ValueError):
    """A signature that AWS would reject, whatever the secret key."""

    def __init__(self, code: str, message: str, status: int) -> None:
        """Create it with AWS's error code and HTTP status."""
        super().__init__(message)
        self.code = code
        self.status = status


@dataclass(frozen=True, slots=True)
class RequestSignature:
    """The signature of a request.

    Attributes:
        access_key: The access key id.
        service: The service in its scope, such as ``lambda``; always ``s3`` in a query.
        is_in_query: Whether the request is a presigned URL.
    """

    access_key: str
    service: str
    is_in_query: bool


def parse_signature(environ: "WSGIEnvironment", now: datetime | None = None) -> RequestSignature | None:
    """Parse the signature of a request.

    Args:
        environ: The request.
        now: The time for checking a presigned URL's expiry; defaults to the machine's.

    Returns:
        The signature; None for an unsigned request.

    Raises:
        MalformedSignature: It cannot be parsed, is incomplete, or has expired.
    """
    header = environ.get("HTTP_AUTHORIZATION")
    pairs = parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    query = {name: value for name, value in pairs if name.startswith("X-Amz-")}
    names = {name for name, _ in pairs}
    is_sigv4_query = "X-Amz-Algorithm" in names or "X-Amz-Signature" in names
    is_sigv2_query = {"AWSAccessKeyId", "Signature"} <= names
    if header is None:
        if is_sigv4_query:
            return _parse_sigv4_query(query, len(pairs) - len(names), now or datetime.now(UTC))
        return _parse_sigv2_query(dict(pairs), now or datetime.now(UTC)) if is_sigv2_query else None
    if is_sigv4_query or is_sigv2_query:
        raise MalformedSignature("InvalidArgument", "Sign the request in the header or in the query, not in both.", 400)
    return _parse_header(header)


def _parse_header(header: str) -> RequestSignature:
    if sigv2 := _SIGV2_HEADER.fullmatch(header):
        return RequestSignature(sigv2["key"], "s3", is_in_query=False)
    algorithm, _, rest = header.partition(" ")
    if algorithm != _ALGORITHM:
        message = f"The Authorization header is not an {_ALGORITHM} signature. Sign the request with an AWS SDK."
        raise MalformedSignature("MissingAuthenticationToken", message, 403)
    pairs = [part.strip().partition("=")[::2] for part in rest.split(",")]
    parts = dict(pairs)
    scope = _SCOPE.fullmatch(parts.get("Credential", ""))
    # Exactly these three, once each: a comma may also separate a second Authorization header.
    if sorted(name for name, _ in pairs) != ["Credential", "Signature", "SignedHeaders"] or not scope:
        message = (
            "The Authorization header must have Credential=KEY/DATE/REGION/SERVICE/aws4_request, SignedHeaders and "
            "Signature, once each. Sign the request with an AWS SDK."
        )
        raise MalformedSignature("IncompleteSignature", message, 400)
    if not parts["SignedHeaders"] or not parts["Signature"]:
        message = "SignedHeaders or Signature of the Authorization header is empty. Sign the request with an AWS SDK."
        raise MalformedSignature("IncompleteSignature", message, 400)
    return RequestSignature(scope["key"], scope["service"].lower(), is_in_query=False)


def _parse_sigv4_query(query: dict[str, str], repeated: int, now: datetime) -> RequestSignature:
    scope = _SCOPE.fullmatch(query.get("X-Amz-Credential", ""))
    expires = query.get("X-Amz-Expires", "")
    try:
        signed_at = datetime.strptime(query.get("X-Amz-Date", ""), _DATE).replace(tzinfo=UTC)
    except ValueError:
        signed_at = None
    is_complete = query.get("X-Amz-Signature") and query.get("X-Amz-SignedHeaders") and not repeated
    if (
        query.get("X-Amz-Algorithm") != _ALGORITHM
        or scope is None
        or signed_at is None
        or not is_complete
        or not re.fullmatch(r"\d{1,6}", expires)
        or not 1 <= int(expires) <= _MAX_EXPIRES
    ):
        message = (
            "A presigned URL must have X-Amz-Algorithm, X-Amz-Credential, X-Amz-Date, X-Amz-Expires (1 to "
            f"{_MAX_EXPIRES} seconds), X-Amz-SignedHeaders and X-Amz-Signature, once each. Create it with an AWS SDK."
        )
        raise MalformedSignature("AuthorizationQueryParametersError", message, 400)
    if scope["service"] != "s3":
        message = f"Presigned URLs are supported for s3, not for {scope['service']}. Sign the header instead."
        raise MalformedSignature("AccessDenied", message, 403)
    if now > signed_at + timedelta(seconds=int(expires)):
        raise _expired()
    return RequestSignature(scope["key"], "s3", is_in_query=True)


def _parse_sigv2_query(query: dict[str, str], now: datetime) -> RequestSignature:
    if not (query["AWSAccessKeyId"] and query["Signature"] and re.fullmatch(r"\d{1,12}", query.get("Expires", ""))):
        message = "A presigned URL must have AWSAccessKeyId, Signature and Expires. Create it with an AWS SDK."
        raise MalformedSignature("AccessDenied", message, 403)
    if now.timestamp() > int(query["Expires"]):
        raise _expired()
    return RequestSignature(query["AWSAccessKeyId"], "s3", is_in_query=True)


def _expired() -> MalformedSignature:
    return MalformedSignature("AccessDenied", "Request has expired. Create a new presigned URL.", 403)
