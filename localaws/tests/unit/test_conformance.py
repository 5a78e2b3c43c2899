"""The conformance check finds responses that break the service's model, in every protocol."""

import io
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pytest

from localaws.conformance import ConformanceCheck

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

MODEL_ARN = "arn:aws:sagemaker:us-east-1:123456789012:model/m"
DESCRIBED_TAGS = {"Tags": [{"Key": "Project", "Value": "alex"}]}
ENDPOINT = {
    "EndpointName": "e",
    "EndpointArn": "arn:aws:sagemaker:us-east-1:123456789012:endpoint/e",
    "EndpointStatus": "InService",
    "CreationTime": 1.7e9,
    "LastModifiedTime": 1.7e9,
}
ALARM_XML = """<DescribeAlarmsResponse xmlns="http://monitoring.amazonaws.com/doc/2010-08-01/"><DescribeAlarmsResult>
<MetricAlarms><member><AlarmName>a</AlarmName>{0}</member></MetricAlarms></DescribeAlarmsResult>
<ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></DescribeAlarmsResponse>"""


def asked(service: str, path: str = "/", body: str = "", **headers: str) -> dict[str, Any]:
    scope = f"AWS4-HMAC-SHA256 Credential=local/20261121/us-east-1/{service}/aws4_request, SignedHeaders=host"
    return {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": path,
        "HTTP_AUTHORIZATION": scope,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body.encode()),
        **headers,
    }


def sagemaker(operation: str) -> dict[str, Any]:
    return asked("sagemaker", HTTP_X_AMZ_TARGET=f"SageMaker.{operation}", CONTENT_TYPE="application/x-amz-json-1.1")


def query(service: str, action: str) -> dict[str, Any]:
    return asked(service, body=f"Action={action}", CONTENT_TYPE="application/x-www-form-urlencoded; charset=utf-8")


def invocation() -> dict[str, Any]:
    return asked("sagemaker", "/endpoints/e/invocations", CONTENT_TYPE="application/json")


def checked_response(
    request: dict[str, Any], body: bytes | str | dict[str, Any], status: str = "200 OK", **headers: str
) -> tuple[str, str]:
    """Status and body of a response after the check."""
    content = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()

    def application(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        start_response(status, [(name.replace("_", "-"), value) for name, value in headers.items()])
        return [content]

    started: list[str] = []

    def start_response(status: str, headers: list[tuple[str, str]], *_: Any) -> Any:
        started.append(status)

    text = b"".join(ConformanceCheck(application)(request, start_response)).decode(errors="replace")
    return started[0], text


@pytest.mark.parametrize(
    ("request_", "response"),
    [
        (sagemaker("DescribeEndpoint"), ENDPOINT),
        (sagemaker("ListTags"), DESCRIBED_TAGS),
        (sagemaker("DeleteModel"), ""),
        (query("monitoring", "DescribeAlarms"), ALARM_XML.format("<Threshold>1.5</Threshold>")),
        (asked("execute-api", "/anything"), "of no service of ours"),
    ],
)
def test_check_passes_valid_responses_unchanged(request_: dict[str, Any], response: Any) -> None:
    status, body = checked_response(request_, response)
    assert status == "200 OK"
    assert body == (response if isinstance(response, str) else json.dumps(response))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Status": "InService"}, "DescribeEndpoint.Status is not a member of DescribeEndpointOutput"),
        ({"EndpointArn": ...}, "DescribeEndpoint.EndpointArn is required, and missing"),
        ({"EndpointStatus": "Ready"}, "DescribeEndpoint.EndpointStatus must be one of "),
        ({"CreationTime": "2026-11-21T12:00:00Z"}, "DescribeEndpoint.CreationTime must be a timestamp (unixTimestamp)"),
        ({"FailureReason": None}, "DescribeEndpoint.FailureReason must be of type string, not None"),
        ({"ProductionVariants": {}}, "DescribeEndpoint.ProductionVariants is a list, not {}"),
        ({"ProductionVariants": [{}]}, "DescribeEndpoint.ProductionVariants[0].VariantName is required, and missing"),
        (
            {"ProductionVariants": [{"VariantName": "v", "CurrentInstanceCount": 1.5}]},
            "must be of type integer, not 1.5",
        ),
    ],
)
def test_check_reports_invalid_json(change: dict[str, Any], message: str) -> None:
    wrong = {key: value for key, value in (ENDPOINT | change).items() if value is not ...}
    status, body = checked_response(sagemaker("DescribeEndpoint"), wrong)
    assert status == "501 Not Implemented"
    assert message in json.loads(body)["message"]


@pytest.mark.parametrize(
    ("element", "message"),
    [
        ("<Colour>red</Colour>", "Colour is not a member of MetricAlarm"),
        ("<Threshold>high</Threshold>", "Threshold must be of type double, not 'high'"),
        ("<ActionsEnabled>True</ActionsEnabled>", "ActionsEnabled must be of type boolean, not 'True'"),
        ("<StateValue>FINE</StateValue>", "StateValue must be one of OK, ALARM, INSUFFICIENT_DATA, not 'FINE'"),
        ("<StateUpdatedTimestamp>now</StateUpdatedTimestamp>", "StateUpdatedTimestamp must be a timestamp (iso8601)"),
        ("<Dimensions><Dimension/></Dimensions>", "Dimensions has &lt;Dimension&gt; instead of &lt;member&gt;"),
    ],
)
def test_check_reports_invalid_xml(element: str, message: str) -> None:
    status, body = checked_response(query("monitoring", "DescribeAlarms"), ALARM_XML.format(element))
    assert status == "501 Not Implemented"
    assert "<Code>NotImplementedException</Code>" in body
    assert message in body


def test_check_reports_invalid_cbor() -> None:
    request = asked(
        "monitoring",
        "/service/GraniteServiceVersion20100801/operation/ListDashboards",
        HTTP_SMITHY_PROTOCOL="rpc-v2-cbor",
    )
    status, body = checked_response(request, b"\xa1\x66Colour\x63red")
    assert status == "501 Not Implemented"
    assert "ListDashboards.Colour is not a member of ListDashboardsOutput" in body


@pytest.mark.parametrize(
    ("code", "status", "document", "message"),
    [
        ("ModelError", "424 Failed", {"Message": "no", "OriginalStatusCode": 400, "ErrorCode": "C"}, None),
        (
            "ModelError",
            "424 Failed",
            {"Message": "no", "OriginalStatusCode": "400"},
            "OriginalStatusCode must be of type integer",
        ),
        ("ModelError", "400 Bad Request", {"Message": "no"}, "ModelError has the HTTP status 424, not 400"),
        ("ModelNotReadyException", "429 Too Many", {"Message": "wait"}, None),
        ("ThrottlingException", "400 Bad Request", {"message": None}, None),
        (
            "EndpointGone",
            "400 Bad Request",
            {"message": "gone"},
            "responds with the error 'EndpointGone'; it declares ",
        ),
    ],
)
def test_check_reports_undeclared_errors(code: str, status: str, document: dict[str, Any], message: str | None) -> None:
    got, body = checked_response(invocation(), document, status, x_amzn_errortype=code)
    if message is None:
        assert (got, json.loads(body)) == (status, document)
    else:
        assert message in json.loads(body)["message"]


def test_check_ignores_bodies_of_containers() -> None:
    status, body = checked_response(invocation(), "[[0.1, NaN]]", Content_Type="application/json")
    assert (status, body) == ("200 OK", "[[0.1, NaN]]")


def test_operations_with_one_path_are_distinguished_by_query() -> None:
    listing = '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name>{0}</ListBucketResult>'
    request = asked("s3", "/b", REQUEST_METHOD="GET", QUERY_STRING="list-type=2")
    assert checked_response(dict(request), listing.format("<KeyCount>0</KeyCount>"))[0] == "200 OK"
    assert "Marker" in checked_response(dict(request), listing.format("<Marker>m</Marker>"))[1]
