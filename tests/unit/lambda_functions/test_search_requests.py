"""Search requests in each event format, and HTTP responses."""

import base64
import json

import pytest

from embedstack.errors import (
    CollectionNotFound,
    ConfigurationError,
    EndpointAsleep,
    FilterRefused,
    InputError,
    StoreUnavailable,
    TextTooLong,
    Throttled,
)
from pipeline_functions.http_responses import (
    MAX_RESPONSE_BYTES,
    error_response,
    is_client_error,
    success_response,
)
from pipeline_functions.search_requests import MAX_QUERY_CHARACTERS, MethodRefused, is_http, read_request


def function_url(method="POST", body=None, parameters=None, *, encoded=False):
    """Payload format 2.0 of function URLs and HTTP APIs."""
    event = {"version": "2.0", "rawPath": "/", "requestContext": {"http": {"method": method, "path": "/"}}}
    event["isBase64Encoded"] = encoded
    if body is not None:
        event["body"] = base64.b64encode(body.encode()).decode() if encoded else body
    if parameters is not None:
        event["queryStringParameters"] = parameters
    return event


def rest_api(method="POST", body=None, parameters=None):
    """Payload format 1.0 of REST APIs, in which missing values are null."""
    return {
        "version": "1.0",
        "httpMethod": method,
        "body": body,
        "queryStringParameters": parameters,
        "requestContext": {"httpMethod": method},
        "isBase64Encoded": False,
    }


SEARCH = {
    "query": "Wann zahle ich?",
    "k": 3,
    "filter": {"page": {"$gt": 1}},
    "threshold": 0.5,
    "mode": "hybrid",
    "rerank": True,
    "candidates": 40,
}
PARAMETERS = {
    "q": "Wann zahle ich?",
    "k": "3",
    "filter": '{"page": {"$gt": 1}}',
    "threshold": "0.5",
    "mode": "hybrid",
    "rerank": "true",
    "candidates": "40",
}


@pytest.mark.parametrize(
    "event",
    [
        SEARCH,
        function_url(body=json.dumps(SEARCH)),
        function_url(body=json.dumps(SEARCH), encoded=True),
        function_url("GET", parameters=PARAMETERS),
        rest_api(body=json.dumps(SEARCH)),
        rest_api("GET", parameters=PARAMETERS),
    ],
    ids=["direct", "url", "base64", "url-get", "rest", "rest-get"],
)
def test_read_request_reads_every_event_format(event):
    assert read_request(event).model_dump() == SEARCH
    assert is_http(event) == (event is not SEARCH)


def test_read_request_has_defaults_for_all_but_query():
    assert read_request({"query": "x"}).model_dump() == {
        "query": "x", "k": 10, "filter": None, "threshold": None, "mode": "approximate", "rerank": False,
        "candidates": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({}, "query: Field required"),
        (None, "JSON object"),
        ([], "JSON object"),
        ({"query": ""}, "query: "),
        ({"query": " \n"}, "blank"),
        ({"query": 1}, "query: "),
        ({"query": "\ud800"}, "query: "),
        ({"query": "x" * (MAX_QUERY_CHARACTERS + 1)}, "query: "),
        ({"query": "x", "k": 0}, "k: "),
        ({"query": "x", "k": 101}, "k: .* 100"),
        ({"query": "x", "k": True}, "k: "),
        ({"query": "x", "k": "3"}, "k: "),
        ({"query": "x", "threshold": float("nan")}, "threshold: "),
        ({"query": "x", "threshold": 2}, "threshold: "),
        ({"query": "x", "mode": "quick"}, "mode: .*'exact'"),
        ({"query": "x", "filter": []}, "filter: "),
        ({"query": "x", "limit": 3}, "limit: "),
        (function_url(), "not JSON"),
        (function_url(body="{"), "not JSON"),
        (function_url(body="[" * 100_000), "not JSON"),
        (function_url(body='{"query": "x"}') | {"isBase64Encoded": True}, "base64"),
        (function_url("GET"), "query: Field required"),
        (function_url("GET", parameters={"q": "x", "k": "many"}), "k: "),
        (function_url("GET", parameters={"q": "x", "filter": "{"}), "filter is not JSON"),
    ],
)
def test_read_request_rejects_invalid_requests(event, message):
    with pytest.raises(InputError, match=message):
        read_request(event)


def test_read_request_errors_quote_no_values():
    with pytest.raises(InputError) as caught:
        read_request({"query": ["Rumpelstiltskin"], "k": "Rumpelstiltskin", "mode": "Rumpelstiltskin"})
    assert "Rumpelstiltskin" not in str(caught.value)


@pytest.mark.parametrize("method", ["DELETE", "PUT"])
def test_read_request_rejects_other_methods(method):
    with pytest.raises(MethodRefused) as caught:
        read_request(function_url(method, body=json.dumps(SEARCH)))
    assert error_response(caught.value)["statusCode"] == 405
    assert error_response(caught.value)["headers"]["Allow"] == "GET, POST"


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (InputError("a"), 400, None),
        (TextTooLong("a"), 400, None),
        (FilterRefused("a"), 400, None),
        (CollectionNotFound("a"), 404, None),
        (EndpointAsleep("a"), 503, "5"),
        (StoreUnavailable("a"), 503, "5"),
    ],
)
def test_error_response_status_by_error_type(error, status, retry_after):
    assert is_client_error(status) == (status < 500)
    response = error_response(error)
    assert (response["statusCode"], response["headers"].get("Retry-After")) == (status, retry_after)
    assert json.loads(response["body"]) == {"error": "a", "error_type": type(error).__name__}


def test_error_response_to_throttling_has_retry_after():
    response = error_response(Throttled("a", retry_after=2.2))
    assert (response["statusCode"], response["headers"]["Retry-After"]) == (429, "3")
    assert json.loads(response["body"])["error"].startswith("The endpoint throttled the request")
    assert not is_client_error(429)


@pytest.mark.parametrize("error", [ConfigurationError("secret"), KeyError("secret")])
def test_error_response_hides_internal_errors(error):
    response = error_response(error)
    assert response["statusCode"] == 500
    assert "secret" not in response["body"]


def test_success_response_rejects_bodies_over_the_limit():
    assert json.loads(success_response({"hits": ["ü"]})["body"]) == {"hits": ["ü"]}
    with pytest.raises(InputError, match="fewer"):
        success_response({"hits": ["ü" * (MAX_RESPONSE_BYTES // 2)]})
