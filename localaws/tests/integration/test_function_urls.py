"""Function URLs."""

import pytest
import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from localaws import LocalAwsConfig
from tests.support.localaws.lambda_harness import Lambda, post


@pytest.fixture(scope="module")
def config() -> LocalAwsConfig:
    return LocalAwsConfig(port=0, stop_grace=5, clock_speed=0, function_processes=2)


def signed(url: str, body: bytes, service: str = "lambda") -> dict[str, str]:
    request = AWSRequest("POST", url, data=body, headers={"Content-Type": "application/json"})
    SigV4Auth(Credentials("local", "local"), service, "us-east-1").add_auth(request)
    return dict(request.headers)


def test_function_url_accepts_signed_requests(functions: Lambda) -> None:
    source = """
        import json
        def handler(event, context):
            if event["rawPath"] == "/plain":
                return {"path": event["rawPath"]}
            if event["rawPath"] == "/broken":
                raise ValueError
            return {"statusCode": 201, "headers": {"X-Own": "1"}, "cookies": ["a=1", "b=2"],
                    "body": json.dumps(event)}
    """
    functions.create("answering", source)
    created = functions.client.create_function_url_config(FunctionName="answering", AuthType="AWS_IAM")
    url = created["FunctionUrl"]
    assert functions.client.get_function_url_config(FunctionName="answering")["FunctionUrl"] == url
    unsigned = post(url, {"query": "text"})
    assert (unsigned.status, unsigned.json()) == (403, {"Message": "Forbidden"})
    body = b'{"query": "text"}'
    wrong = urllib3.request("POST", url, body=body, headers=signed(url, body, service="s3"))
    assert wrong.status == 403

    target = f"{url}some/path?k=5&k=6"
    response = urllib3.request("POST", target, body=body, headers={**signed(target, body), "Cookie": "c=3; d=4"})
    assert (response.status, response.headers["X-Own"]) == (201, "1")
    assert response.headers.getlist("Set-Cookie") == ["a=1", "b=2"]
    event = response.json()
    assert (event["version"], event["rawPath"], event["rawQueryString"]) == ("2.0", "/some/path", "k=5&k=6")
    assert (event["body"], event["isBase64Encoded"]) == (body.decode(), False)
    assert event["queryStringParameters"] == {"k": "5,6"}
    assert event["cookies"] == ["c=3", "d=4"]
    assert event["requestContext"]["http"]["method"] == "POST"
    assert event["requestContext"]["authorizer"]["iam"]["accountId"] == "123456789012"

    plain = urllib3.request("POST", f"{url}plain", body=body, headers=signed(f"{url}plain", body))
    assert (plain.status, plain.json()) == (200, {"path": "/plain"})
    broken = urllib3.request("POST", f"{url}broken", body=body, headers=signed(f"{url}broken", body))
    assert broken.status == 502
    functions.client.put_function_concurrency(FunctionName="answering", ReservedConcurrentExecutions=0)
    assert urllib3.request("POST", url, body=body, headers=signed(url, body)).status == 429


def test_function_url_without_authentication_needs_a_policy(functions: Lambda) -> None:
    functions.create("open", "def handler(event, context): return 'welcome'")
    url = functions.client.create_function_url_config(FunctionName="open", AuthType="NONE")["FunctionUrl"]
    assert urllib3.request("GET", url).status == 403
    functions.client.add_permission(
        FunctionName="open",
        StatementId="public",
        Action="lambda:InvokeFunctionUrl",
        Principal="*",
        FunctionUrlAuthType="NONE",
    )
    response = urllib3.request("GET", url)
    assert (response.status, response.data) == (200, b"welcome")
