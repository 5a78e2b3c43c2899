"""Function URLs, which turn HTTP requests into invocations.

Events and responses: "Invoking Lambda function URLs" in the Lambda developer guide (payload format version 2.0). On AWS
a URL is ``https://<id>.lambda-url.<region>.on.aws/``; here it is a path of the local AWS.
"""

import base64
import binascii
import json
import re
import time
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote

from moto.awslambda.models import lambda_backends

from localaws.services.lambda_.invocations import SYNCHRONOUS_BYTES
from localaws.services.lambda_.pool import Throttled
from localaws.services.lambda_.records import FunctionRecord

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from localaws.services.lambda_.service import FunctionHost

__all__ = ["FUNCTION_URLS_PATH", "FunctionUrls"]

FUNCTION_URLS_PATH = "/_embedstack/function-urls/"

#: Headers of the connection, which a function cannot set.
_CONNECTION_HEADERS = frozenset({
    "connection", "content-length", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailers",
    "transfer-encoding", "upgrade",
})  # fmt: skip

_CREDENTIAL = re.compile(r"AWS4-HMAC-SHA256 .*Credential=([^/]+)/\d{8}/[^/]+/lambda/aws4_request")
_TEXT = re.compile(r"(text/.*|application/(json|javascript|xml|x-www-form-urlencoded|.*\+json|.*\+xml))(;.*)?")


class FunctionUrls:
    """Serves function URLs."""

    def __init__(self, application: "WSGIApplication", host: "FunctionHost") -> None:
        """Wrap an application.

        Args:
            application: Handles all other requests.
            host: Runs the functions.
        """
        self._application = application
        self._host = host

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Handle one request."""
        if not environ.get("PATH_INFO", "").startswith(FUNCTION_URLS_PATH):
            return self._application(environ, start_response)
        url_id, _, path = environ["PATH_INFO"].removeprefix(FUNCTION_URLS_PATH).partition("/")
        function = _find(url_id)
        if function is None or not _may_invoke(function, environ):
            return _send(start_response, 403, {"Message": "Forbidden"})
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        event = json.dumps(_event(environ, function, url_id, f"/{path}", body)).encode()
        if len(event) > SYNCHRONOUS_BYTES:
            return _send(start_response, 413, {"Message": "Request Entity Too Large"})
        try:
            result = self._host.invoke(function, event)
        except Throttled as error:
            return _send(start_response, 429, {"Message": str(error)})
        except InterruptedError:
            return _send(start_response, 503, {"Message": "Service Unavailable"})
        if result.failed:
            return _send(start_response, 502, {"Message": "Internal Server Error"})
        response = _parse_response(result.payload)
        if response is None:
            return _send(start_response, 502, {"Message": "Internal Server Error"})
        status, headers, content = response
        end_to_end = [(name, value) for name, value in headers if name.lower() not in _CONNECTION_HEADERS]
        start_response(_line(status), [*end_to_end, ("Content-Length", str(len(content)))])
        return [content]


def _find(url_id: str) -> FunctionRecord | None:
    """The function with a URL."""
    for regions in list(lambda_backends.values()):
        for backend in list(regions.values()):
            for function in backend.list_functions():
                config = function.url_config
                if isinstance(function, FunctionRecord) and config is not None and f"/{url_id}/" in config.url:
                    return function
    return None


def _access_key(environ: "WSGIEnvironment") -> str | None:
    """The access key that signed the request; None without a signature for Lambda."""
    signed = _CREDENTIAL.match(environ.get("HTTP_AUTHORIZATION", ""))
    return signed[1] if signed else None


def _may_invoke(function: FunctionRecord, environ: "WSGIEnvironment") -> bool:
    if function.url_config.config.get("AuthType") == "AWS_IAM":
        return _access_key(environ) is not None
    # Without authentication, the function's policy must allow everyone.
    return any(
        statement.get("Action") in ("lambda:InvokeFunctionUrl", "lambda:*")
        and statement.get("Principal") in ("*", {"AWS": "*"})
        and statement.get("Effect") == "Allow"
        for statement in function.policy.statements
    )


def _event(environ: "WSGIEnvironment", function: FunctionRecord, url_id: str, path: str, body: bytes) -> dict[str, Any]:
    headers = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            headers[name.replace("_", "-").lower()] = environ[name]
    cookies = [cookie.strip() for cookie in headers.pop("cookie", "").split(";") if cookie.strip()]
    parameters: dict[str, str] = {}
    for name, value in parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True):
        parameters[name] = f"{parameters[name]},{value}" if name in parameters else value
    is_text = bool(_TEXT.fullmatch(headers.get("content-type", "")))
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": quote(path),
        "rawQueryString": environ.get("QUERY_STRING", ""),
        "headers": headers,
        "requestContext": _context(environ, function, url_id, path),
        "isBase64Encoded": bool(body) and not is_text,
    }
    if cookies:
        event["cookies"] = cookies
    if parameters:
        event["queryStringParameters"] = parameters
    if body:
        event["body"] = body.decode("utf-8", errors="replace") if is_text else base64.b64encode(body).decode()
    return event


def _context(environ: "WSGIEnvironment", function: FunctionRecord, url_id: str, path: str) -> dict[str, Any]:
    now, access_key = datetime.now(UTC), _access_key(environ)
    context: dict[str, Any] = {
        "accountId": function.account_id if access_key else "anonymous",
        "apiId": url_id,
        "domainName": f"{url_id}.lambda-url.{function.region}.on.aws",
        "domainPrefix": url_id,
        "http": {
            "method": environ["REQUEST_METHOD"],
            "path": path,
            "protocol": environ.get("SERVER_PROTOCOL", "HTTP/1.1"),
            "sourceIp": environ.get("REMOTE_ADDR", "127.0.0.1"),
            "userAgent": environ.get("HTTP_USER_AGENT", ""),
        },
        "requestId": str(uuid.uuid4()),
        "routeKey": "$default",
        "stage": "$default",
        "time": f"{now:%d/%b/%Y:%H:%M:%S +0000}",
        "timeEpoch": int(time.time() * 1000),
    }
    if access_key:
        user = f"arn:{function.partition}:iam::{function.account_id}:root"
        identity = {"accessKey": access_key, "accountId": function.account_id, "callerId": function.account_id}
        context["authorizer"] = {"iam": {**identity, "userArn": user, "userId": function.account_id}}
    return context


def _parse_response(payload: bytes) -> tuple[int, list[tuple[str, str]], bytes] | None:
    """Status, headers and body of a function's return value; None for an invalid response."""
    returned = json.loads(payload or b"null")
    if not (isinstance(returned, dict) and "statusCode" in returned):
        content = returned.encode() if isinstance(returned, str) else payload
        return 200, [("Content-Type", "application/json")], content
    body = returned.get("body", "")
    try:
        status = int(returned["statusCode"])
        content = base64.b64decode(body) if returned.get("isBase64Encoded") else (body or "").encode()
        headers = {str(name): str(value) for name, value in (returned.get("headers") or {}).items()}
    except (ValueError, TypeError, AttributeError, binascii.Error):
        return None
    if not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = "application/json"
    cookies = [("Set-Cookie", str(cookie)) for cookie in returned.get("cookies") or []]
    return status, [*headers.items(), *cookies], content


def _line(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"{status} -"


def _send(start_response: "StartResponse", status: int, document: dict[str, str]) -> Iterable[bytes]:
    body = json.dumps(document).encode()
    start_response(_line(status), [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
