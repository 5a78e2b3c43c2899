"""Which requests the local AWS accepts: from programs on this machine, and signed where AWS requires it."""

import base64
import http.client
import io
import json
import re
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
import urllib3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.support.localaws.harness import Aws, signed_headers
from tests.support.localaws.lambda_harness import Lambda

UNSIGNED_CALLS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "sagemaker": ("MissingAuthenticationTokenException", lambda c: c.list_endpoints()),
    "sagemaker-runtime": (
        "MissingAuthenticationTokenException",
        lambda c: c.invoke_endpoint(EndpointName="e", Body=b""),
    ),
    "lambda": ("MissingAuthenticationTokenException", lambda c: c.list_functions()),
    "logs": ("MissingAuthenticationTokenException", lambda c: c.describe_log_groups()),
    "sqs": ("MissingAuthenticationTokenException", lambda c: c.create_queue(QueueName="unsigned")),
    "s3vectors": ("MissingAuthenticationTokenException", lambda c: c.list_vector_buckets()),
    "bedrock-runtime": ("MissingAuthenticationTokenException", lambda c: c.invoke_model(modelId="m", body=b"{}")),
    "iam": ("MissingAuthenticationToken", lambda c: c.create_user(UserName="unsigned")),
    "sts": ("MissingAuthenticationToken", lambda c: c.get_caller_identity()),
    "cloudformation": ("MissingAuthenticationToken", lambda c: c.list_stacks()),
    "cloudwatch": ("MissingAuthenticationToken", lambda c: c.list_metrics()),
    "s3": ("AccessDenied", lambda c: c.create_bucket(Bucket="unsigned")),
}
EVERYONE_READS = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::{}/*"}


def unsigned(aws: Aws, service: str) -> Any:
    config = Config(signature_version=UNSIGNED, retries={"total_max_attempts": 1})
    return boto3.client(  # type: ignore[call-overload]
        service, endpoint_url=aws.server.url, region_name="us-east-1", config=config
    )


@pytest.fixture(scope="module")
def bucket(aws: Aws) -> str:
    aws.s3.create_bucket(Bucket="access")
    aws.s3.put_object(Bucket="access", Key="private", Body=b"private")
    aws.s3.put_object(Bucket="access", Key="public", Body=b"public", ACL="public-read")
    return f"{aws.server.url}/access"


@pytest.mark.parametrize("service", UNSIGNED_CALLS)
def test_unsigned_request_is_rejected_in_the_services_protocol(aws: Aws, service: str) -> None:
    code, call = UNSIGNED_CALLS[service]
    with pytest.raises(ClientError) as caught:
        call(unsigned(aws, service))
    assert caught.value.response["Error"]["Code"].startswith(code)
    assert caught.value.response["Error"]["Message"]
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_sts_accepts_an_unsigned_web_identity(aws: Aws) -> None:
    assumed = unsigned(aws, "sts").assume_role_with_web_identity(
        RoleArn="arn:aws:iam::123456789012:role/r", RoleSessionName="session", WebIdentityToken="token"
    )
    assert assumed["Credentials"]["AccessKeyId"]


def test_path_does_not_select_the_service(aws: Aws, functions: Lambda) -> None:
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("function.py", "def handler(event, context): pass")
    document = {
        "FunctionName": "planted", "Runtime": "python3.12", "Handler": "function.handler",
        "Role": "arn:aws:iam::123456789012:role/r", "Code": {"ZipFile": base64.b64encode(package.getvalue()).decode()},
    }  # fmt: skip
    paths = ("/lambda_us-east-1/functions?Action=CreateFunction", "/2015-03-31/functions")
    for path in paths:
        body, headers = json.dumps(document).encode(), {"Content-Type": "text/plain"}
        assert urllib3.request("POST", aws.server.url + path, body=body, headers=headers).status == 403
    presigned = aws.s3.generate_presigned_url("put_object", Params={"Bucket": "b", "Key": "k"}).partition("?")[2]
    for path in paths:
        joint = "&" if "?" in path else "?"
        response = urllib3.request(
            "POST", f"{aws.server.url}{path}{joint}{presigned}", body=json.dumps(document).encode()
        )
        assert response.status >= 400
    assert "planted" not in [one["FunctionName"] for one in functions.client.list_functions()["Functions"]]


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}], ids=str)
def test_web_pages_change_nothing(aws: Aws, headers: dict[str, str]) -> None:
    before = aws.now()
    for method, path in [("POST", "/_embedstack/time"), ("POST", "/_embedstack/faults"), ("PUT", "/planted")]:
        body = b'{"advance": 86400, "service": "s3", "kind": "internal", "rate": 1}'
        sent = {**signed_headers("s3"), **headers}
        response = urllib3.request(method, aws.server.url + path, body=body, headers=sent)
        assert response.status == 403
        assert not [name for name in response.headers if name.lower().startswith("access-control-")]
    assert (aws.now() - before).total_seconds() < 3600
    assert "planted" not in [one["Name"] for one in aws.s3.list_buckets()["Buckets"]]


def test_duplicate_host_is_rejected(aws: Aws) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", aws.server.port, timeout=10)
    connection.putrequest("GET", "/_embedstack/health", skip_host=True)
    connection.putheader("Host", f"127.0.0.1:{aws.server.port}")
    connection.putheader("Host", f"127.0.0.1:{aws.server.port}")
    connection.endheaders()
    assert connection.getresponse().status == 403
    connection.close()


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_presigned_urls_work_until_they_expire(aws: Aws, bucket: str, version: str) -> None:
    client = aws.client("s3", signature_version=version)
    target = {"Bucket": "access", "Key": f"presigned-{version}"}
    put = client.generate_presigned_url("put_object", Params=target)
    assert urllib3.request("PUT", put, body=b"uploaded").status == 200
    got = urllib3.request("GET", client.generate_presigned_url("get_object", Params=target))
    assert (got.status, got.data) == (200, b"uploaded")
    expired = client.generate_presigned_url("get_object", Params=target)
    for name, past in (("X-Amz-Date", "20250101T000000Z"), ("Expires", "1735689600")):
        query = re.sub(rf"([?&]{name})=\w+", rf"\1={past}", expired)
        expired = query if version == ("s3v4" if name == "X-Amz-Date" else "s3") else expired
    assert urllib3.request("GET", expired).status == 403


def test_everyone_can_read_what_an_acl_makes_public(aws: Aws, bucket: str) -> None:
    assert urllib3.request("GET", f"{bucket}/public").data == b"public"
    assert urllib3.request("HEAD", f"{bucket}/public").status == 200
    for path in ("/private", "/public?acl", "/public?tagging", "/absent", "", "?acl", "?versions", "?policy"):
        assert urllib3.request("GET", bucket + path).status == 403, path
    assert urllib3.request("GET", aws.server.url).status == 403
    for method, path in [("PUT", "/public"), ("DELETE", "/public"), ("POST", "?delete"), ("DELETE", "")]:
        assert urllib3.request(method, bucket + path, body=b"").status == 403, path
    assert aws.s3.get_object(Bucket="access", Key="public")["Body"].read() == b"public"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, 200),
        ({"Principal": {"AWS": "*"}}, 200),
        ({"Principal": {"AWS": "arn:aws:iam::123456789012:role/r"}}, 403),
        ({"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}, 403),
        ({"Effect": "Deny"}, 403),
    ],
    ids=str,
)
def test_everyone_can_read_what_a_policy_makes_public(aws: Aws, change: dict[str, Any], status: int) -> None:
    name = "by-policy"
    aws.s3.create_bucket(Bucket=name)
    aws.s3.put_object(Bucket=name, Key="k", Body=b"x")
    statement = {**EVERYONE_READS, "Resource": f"arn:aws:s3:::{name}/*", **change}
    aws.s3.put_bucket_policy(Bucket=name, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    assert urllib3.request("GET", f"{aws.server.url}/{name}/k").status == status
    assert urllib3.request("GET", f"{aws.server.url}/{name}").status == 403
    block = {"RestrictPublicBuckets": True, "IgnorePublicAcls": True}
    aws.s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=block)
    assert urllib3.request("GET", f"{aws.server.url}/{name}/k").status == 403
    aws.s3.delete_bucket_policy(Bucket=name)
    aws.s3.delete_object(Bucket=name, Key="k")
    aws.s3.delete_bucket(Bucket=name)


def test_form_needs_a_signed_policy(aws: Aws, bucket: str) -> None:
    plain = urllib3.request("POST", bucket, fields={"key": "form", "file": ("f.txt", b"planted")})
    assert plain.status == 403
    form = aws.s3.generate_presigned_post("access", "form")
    incomplete = {name: value for name, value in form["fields"].items() if "signature" not in name}
    assert urllib3.request("POST", bucket, fields={**incomplete, "file": ("f.txt", b"planted")}).status == 403
    old = json.dumps({"expiration": (datetime.now(UTC) - timedelta(minutes=1)).isoformat(), "conditions": []})
    expired = {**form["fields"], "policy": base64.b64encode(old.encode()).decode()}
    assert urllib3.request("POST", bucket, fields={**expired, "file": ("f.txt", b"planted")}).status == 403
    with pytest.raises(ClientError):
        aws.s3.head_object(Bucket="access", Key="form")
    assert urllib3.request("POST", bucket, fields={**form["fields"], "file": ("f.txt", b"signed")}).status == 204
    assert aws.s3.get_object(Bucket="access", Key="form")["Body"].read() == b"signed"


def test_virtual_hosted_buckets_are_accepted(aws: Aws, bucket: str) -> None:
    host = f"access.localhost:{aws.server.port}"
    response = urllib3.request("GET", f"{aws.server.url}/public", headers={"Host": host})
    assert (response.status, response.data) == (200, b"public")
    foreign = urllib3.request("GET", f"{aws.server.url}/public", headers={"Host": f"access.example:{aws.server.port}"})
    assert foreign.status == 403


def test_runtime_api_rejects_web_pages(aws: Aws, functions: Lambda) -> None:
    functions.create("telling", "import os\ndef handler(event, context): return os.environ['AWS_LAMBDA_RUNTIME_API']")
    address = functions.invoke("telling", {})["Payload"]
    url = f"http://{address}/2018-06-01/runtime/init/error"
    for headers in ({"Host": f"evil.example:{address.partition(':')[2]}"}, {"Origin": "null"}):
        response = urllib3.request("POST", url, body=b"{}", headers=headers)
        assert (response.status, response.headers["Connection"]) == (403, "close")
    assert functions.invoke("telling", {})["Payload"] == address
