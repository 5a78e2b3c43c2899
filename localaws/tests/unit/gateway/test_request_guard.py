"""The request guard: local programs, and signatures."""

import io
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from localaws.core.local_requests import local_request_refusal
from localaws.gateway.request_guard import RequestGuard
from localaws.gateway.request_signature import MalformedSignature, parse_signature

PORT = 4580
FORM = "application/x-www-form-urlencoded"
OWN = f"127.0.0.1:{PORT}"
SIGNED = "AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/{}/aws4_request, SignedHeaders=host, Signature=" + "0" * 64
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:60.0) Gecko/20100101 Firefox/60.0"
PRESIGNED = (
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=key%2F20260101%2Fus-east-1%2F{service}%2Faws4_request"
    "&X-Amz-Date={date}&X-Amz-Expires={expires}&X-Amz-SignedHeaders=host&X-Amz-Signature=00"
)


def ask(
    method: str = "GET",
    target: str = "/_embedstack/time",
    *,
    body: bytes = b"",
    host: str | None = OWN,
    **headers: str,
) -> tuple[str, dict[str, str], bytes]:
    """The response of a guard to a request, in front of an application that answers 200 and "passed"."""

    def application(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        return [b"passed"]

    path, _, query = target.partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query, "REQUEST_URI": target,
        "SERVER_PORT": str(PORT), "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body)),
    }  # fmt: skip
    if host is not None:
        environ["HTTP_HOST"] = host
    for name, value in headers.items():
        environ[name.upper() if name == "content_type" else f"HTTP_{name.upper()}"] = value
    answered: list[tuple[str, dict[str, str]]] = []

    def start_response(status: str, given: list[tuple[str, str]], *_: Any) -> Any:
        answered.append((status, dict(given)))

    content = b"".join(RequestGuard(application)(environ, start_response))
    return (*answered[0], content)


def passes(*args: Any, **options: Any) -> bool:
    status, _, content = ask(*args, **options)
    assert (content == b"passed") == (status == "200 OK")
    return content == b"passed"


@pytest.mark.parametrize(
    "host",
    [OWN, f"localhost:{PORT}", f"LocalHost:{PORT}", f"127.8.9.255:{PORT}", f"[::1]:{PORT}",
     f"bucket.localhost:{PORT}", f"my.bucket-1.s3.localhost:{PORT}"],
)  # fmt: skip
def test_guard_accepts_loopback_hosts(host: str) -> None:
    assert passes(host=host)


@pytest.mark.parametrize(
    "host",
    [
        None, "", f"evil.example:{PORT}", "127.0.0.1", "127.0.0.1:80", f"127.0.0.1:0{PORT}", f"127.0.0.1:{PORT}0",
        f"127.0.0.1:+{PORT}", f"127.0.0.1.:{PORT}", f"localhost.:{PORT}", f"localhost.evil.example:{PORT}",
        f"evillocalhost:{PORT}", f"a..localhost:{PORT}", f".localhost:{PORT}", f"user@127.0.0.1:{PORT}",
        f"2130706433:{PORT}", f"0x7f000001:{PORT}", f"0177.0.0.1:{PORT}", f"127.1:{PORT}", f"0.0.0.0:{PORT}",
        f"127.0.0.256:{PORT}", f"127.0.0.01:{PORT}", f"10.0.0.1:{PORT}", f"[::ffff:127.0.0.1]:{PORT}", f"::1:{PORT}",
        f"{OWN}, {OWN}", f"{OWN},evil.example", f" {OWN}", f"{OWN} ", f"{OWN}/", f"{OWN}\n", f"127.0.0.1:{PORT}:{PORT}",
        f"127.0.0.\uff11:{PORT}", f"s3.amazonaws.com:{PORT}", "s3.us-east-1.amazonaws.com",
    ],
)  # fmt: skip
@pytest.mark.parametrize("target", ["/_embedstack/health", "/bucket/key"])
def test_guard_rejects_other_hosts(host: str | None, target: str) -> None:
    status, _, content = ask(target=target, host=host, authorization=SIGNED.format("s3"))
    assert status == "403 Forbidden"
    assert b"AWS_ENDPOINT_URL" in content


@pytest.mark.parametrize(
    ("target", "is_own"),
    [(f"http://{OWN}/_embedstack/time", True), ("http://evil.example/_embedstack/time", False),
     (f"http://localhost:{PORT}/", False), (f"https://{OWN}/", False), (f"http://u@{OWN}/", False), (OWN, False)],
)  # fmt: skip
def test_guard_compares_absolute_target_with_host(target: str, is_own: bool) -> None:
    environ = {"HTTP_HOST": OWN, "SERVER_PORT": str(PORT), "REQUEST_URI": target, "REQUEST_METHOD": "GET"}
    assert (local_request_refusal(environ) is None) == is_own


FOREIGN = [
    {"origin": "http://evil.example"},
    {"origin": "null"},
    {"origin": ""},
    {"origin": f"https://{OWN}"},
    {"origin": "http://127.0.0.1"},
    {"origin": f"http://127.0.0.1:{PORT + 1}"},
    {"origin": f"http://localhost:{PORT}"},
    {"origin": f"http://{OWN}, http://evil.example"},
    {"origin": f"http://{OWN}.evil.example"},
    {"sec_fetch_site": "cross-site"},
    {"sec_fetch_site": "same-site"},
    {"sec_fetch_site": "none, cross-site"},
    {"sec_fetch_site": ""},
    {"sec_fetch_site": "cross-site", "origin": f"http://{OWN}"},
    {"referer": "http://evil.example/page"},
    {"referer": f"http://{OWN}@evil.example/"},
    {"referer": "http://[malformed/"},
    {"x_forwarded_host": OWN},
    {"x_forwarded_for": "10.0.0.1"},
    {"forwarded": "host=evil.example"},
    {"upgrade": "websocket"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"])
def test_guard_rejects_web_pages(headers: dict[str, Any], method: str) -> None:
    status, _, content = ask(method, authorization=SIGNED.format("lambda"), **headers)
    assert status == "403 Forbidden"
    assert content != b"passed"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"user_agent": "curl/8.5.0"},
        {"upgrade": "h2c"},
        {"origin": f"http://{OWN}", "sec_fetch_site": "same-origin", "user_agent": FIREFOX},
        {"origin": f"http://{OWN.upper()}"},
    ],
    ids=str,
)
def test_guard_accepts_programs_and_its_own_origin(headers: dict[str, str]) -> None:
    assert passes("POST", **headers)


@pytest.mark.parametrize("headers", [{"sec_fetch_site": "none"}, {"user_agent": FIREFOX}], ids=str)
def test_guard_lets_address_bar_only_read(headers: dict[str, str]) -> None:
    assert passes("GET", **headers)
    assert passes("HEAD", **headers)
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        assert not passes(method, **headers)


def test_guard_quotes_a_long_host_in_part() -> None:
    _, _, content = ask(host="<evil>" * 1000)
    assert len(content) < 600
    assert "Its Host header is '<evil>" in json.loads(content)["message"]


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        ("/", {"x_amz_target": "SageMaker.ListEndpoints", "content_type": "application/x-amz-json-1.1"}),
        ("/2015-03-31/functions", {}),
        ("/endpoints/e/invocations", {"content_type": "text/plain"}),
        ("/model/m/invoke", {}),
        ("/CreateIndex", {}),
    ],
    ids=["json", "lambda", "sagemaker-runtime", "bedrock", "s3vectors"],
)
def test_guard_rejects_unsigned_json(target: str, headers: dict[str, str]) -> None:
    status, answered, content = ask("POST", target, body=b"{}", **headers)
    assert status == "403 Forbidden"
    assert answered["x-amzn-ErrorType"] == "MissingAuthenticationTokenException"
    assert json.loads(content)["__type"] == "MissingAuthenticationTokenException"


@pytest.mark.parametrize("in_query", [True, False])
def test_guard_rejects_unsigned_query_protocol(in_query: bool) -> None:
    action = "Action=CreateUser&UserName=u"
    target, body = (f"/?{action}", b"") if in_query else ("/", action.encode())
    status, _, content = ask("POST", target, body=body, content_type="" if in_query else FORM)
    assert status == "403 Forbidden"
    assert ET.fromstring(content).findtext("Error/Code") == "MissingAuthenticationToken"


def test_guard_rejects_unsigned_cbor() -> None:
    status, headers, content = ask("POST", "/service/x/operation/y", body=b"\xa0", smithy_protocol="rpc-v2-cbor")
    assert (status, headers["Content-Type"]) == ("403 Forbidden", "application/cbor")
    assert b"MissingAuthenticationToken" in content


@pytest.mark.parametrize(
    ("method", "target", "content_type"),
    [
        ("PUT", "/bucket/key", "text/plain"), ("DELETE", "/bucket/key", ""), ("POST", "/bucket?delete", "text/plain"),
        ("POST", "/bucket/key?uploads", ""), ("OPTIONS", "/bucket/key", ""),
        ("POST", "/lambda_us-east-1/functions", "text/plain"),
    ],
)  # fmt: skip
def test_guard_rejects_anonymous_writes(method: str, target: str, content_type: str) -> None:
    status, _, content = ask(method, target, content_type=content_type)
    assert status == "403 Forbidden"
    assert ET.fromstring(content).findtext("Code") == "AccessDenied"


def test_guard_leaves_anonymous_reads_and_forms_to_s3() -> None:
    assert passes("GET", "/bucket/key")
    assert passes("POST", "/bucket", content_type="multipart/form-data; boundary=b")


@pytest.mark.parametrize("action", ["AssumeRoleWithWebIdentity", "AssumeRoleWithSAML"])
def test_guard_accepts_unsigned_actions_of_sts(action: str) -> None:
    body = f"Action={action}&Version=2011-06-15".encode()
    assert passes("POST", "/", body=body, content_type=FORM)
    assert not passes("POST", "/", body=body + b"&Action=CreateUser", content_type=FORM)
    assert not passes("POST", "/other", body=body, content_type=FORM)
    assert not passes("POST", "/", body=b"Action=GetSessionToken", content_type=FORM)


NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def parse(query: str = "", **environ: str) -> Any:
    return parse_signature({"QUERY_STRING": query, **environ}, NOW)


def presigned(service: str = "s3", date: str = "20260101T115900Z", expires: str = "300") -> str:
    return PRESIGNED.format(service=service, date=date, expires=expires)


def test_signature_is_found_in_header_and_query() -> None:
    assert parse(HTTP_AUTHORIZATION=SIGNED.format("Lambda")).service == "lambda"
    assert parse(HTTP_AUTHORIZATION="AWS key:c2lnbmF0dXJl").service == "s3"
    assert parse(presigned()).is_in_query
    assert parse(f"AWSAccessKeyId=key&Signature=c2ln&Expires={int(NOW.timestamp()) + 1}").is_in_query
    assert parse("prefix=Signature%3D") is None


@pytest.mark.parametrize(
    ("environ", "code"),
    [
        ({"HTTP_AUTHORIZATION": ""}, "MissingAuthenticationToken"),
        ({"HTTP_AUTHORIZATION": "Basic dXNlcjpwYXNz"}, "MissingAuthenticationToken"),
        ({"HTTP_AUTHORIZATION": "Bearer token"}, "MissingAuthenticationToken"),
        ({"HTTP_AUTHORIZATION": "AWS4-HMAC-SHA256 Credential=key"}, "IncompleteSignature"),
        ({"HTTP_AUTHORIZATION": SIGNED.format("s3").replace("/aws4_request", "")}, "IncompleteSignature"),
        ({"HTTP_AUTHORIZATION": SIGNED.format("s3").replace("20260101", "2026")}, "IncompleteSignature"),
        ({"HTTP_AUTHORIZATION": SIGNED.format("")}, "IncompleteSignature"),
        ({"HTTP_AUTHORIZATION": SIGNED.format("s3").partition(", Signature")[0]}, "IncompleteSignature"),
        ({"HTTP_AUTHORIZATION": f"{SIGNED.format('s3')}, {SIGNED.format('lambda')}"}, "IncompleteSignature"),
        ({"QUERY_STRING": presigned(), "HTTP_AUTHORIZATION": SIGNED.format("s3")}, "InvalidArgument"),
        ({"QUERY_STRING": presigned("lambda")}, "AccessDenied"),
        ({"QUERY_STRING": presigned(date="20260101T115000Z")}, "AccessDenied"),
        ({"QUERY_STRING": presigned(expires="604801")}, "AuthorizationQueryParametersError"),
        ({"QUERY_STRING": presigned(date="yesterday")}, "AuthorizationQueryParametersError"),
        ({"QUERY_STRING": presigned() + "&X-Amz-Credential=x"}, "AuthorizationQueryParametersError"),
        ({"QUERY_STRING": "X-Amz-Signature=00"}, "AuthorizationQueryParametersError"),
        ({"QUERY_STRING": "AWSAccessKeyId=key&Signature=c2ln&Expires=1"}, "AccessDenied"),
        ({"QUERY_STRING": "AWSAccessKeyId=key&Signature=c2ln"}, "AccessDenied"),
    ],
)
def test_signature_that_aws_would_reject_is_rejected(environ: dict[str, str], code: str) -> None:
    with pytest.raises(MalformedSignature) as caught:
        parse_signature(environ, NOW)
    assert caught.value.code == code
    assert "key/2026" not in str(caught.value)
