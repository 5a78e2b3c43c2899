"""What the search function takes for a search, in each of the forms that Lambda gives it, and what it answers."""

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
from handling.answers import MAX_ANSWER_BYTES, answer, failed, is_callers_fault
from handling.requests import MAX_QUERY_CHARACTERS, MethodRefused, is_http, read_request


def function_url(method="POST", body=None, parameters=None, *, encoded=False):
    """Payload format 2.0, of function URLs and HTTP APIs."""
    event = {"version": "2.0", "rawPath": "/", "requestContext": {"http": {"method": method, "path": "/"}}}
    event["isBase64Encoded"] = encoded
    if body is not None:
        event["body"] = base64.b64encode(body.encode()).decode() if encoded else body
    if parameters is not None:
        event["queryStringParameters"] = parameters
    return event


def rest_api(method="POST", body=None, parameters=None):
    """Payload format 1.0, of REST APIs: what is not there is null."""
    return {
        "version": "1.0",
        "httpMethod": method,
        "body": body,
        "queryStringParameters": parameters,
        "requestContext": {"httpMethod": method},
        "isBase64Encoded": False,
    }


SEARCH = {"query": "Wann zahle ich?", "k": 3, "filter": {"page": {"$gt": 1}}, "threshold": 0.5, "mode": "hybrid"}
PARAMETERS = {
    "q": "Wann zahle ich?",
    "k": "3",
    "filter": '{"page": {"$gt": 1}}',
    "threshold": "0.5",
    "mode": "hybrid",
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
def test_every_way_asks_for_the_same(event):
    assert read_request(event).model_dump() == SEARCH
    assert is_http(event) == (event is not SEARCH)


def test_only_the_query_has_to_be_given():
    assert read_request({"query": "x"}).model_dump() == {
        "query": "x", "k": 10, "filter": None, "threshold": None, "mode": "approximate",
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
def test_what_is_no_search_is_refused(event, message):
    with pytest.raises(InputError, match=message):
        read_request(event)


def test_a_refusal_quotes_nothing():
    with pytest.raises(InputError) as caught:
        read_request({"query": ["Rumpelstiltskin"], "k": "Rumpelstiltskin", "mode": "Rumpelstiltskin"})
    assert "Rumpelstiltskin" not in str(caught.value)


@pytest.mark.parametrize("method", ["DELETE", "PUT"])
def test_other_methods_are_refused(method):
    with pytest.raises(MethodRefused) as caught:
        read_request(function_url(method, body=json.dumps(SEARCH)))
    assert failed(caught.value)["statusCode"] == 405
    assert failed(caught.value)["headers"]["Allow"] == "GET, POST"


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
def test_the_status_says_whose_turn_it_is(error, status, retry_after):
    assert is_callers_fault(status) == (status < 500)
    said = failed(error)
    assert (said["statusCode"], said["headers"].get("Retry-After")) == (status, retry_after)
    assert json.loads(said["body"]) == {"error": "a", "error_type": type(error).__name__}


def test_a_throttled_search_is_the_endpoints_shortage():
    said = failed(Throttled("a", retry_after=2.2))
    assert (said["statusCode"], said["headers"]["Retry-After"]) == (429, "3")
    assert json.loads(said["body"])["error"].startswith("The endpoint takes no more requests at once")
    assert not is_callers_fault(429)


@pytest.mark.parametrize("error", [ConfigurationError("secret"), KeyError("secret")])
def test_a_failure_of_ours_tells_a_caller_nothing(error):
    said = failed(error)
    assert said["statusCode"] == 500
    assert "secret" not in said["body"]


def test_an_answer_that_lambda_would_not_give_is_refused():
    assert json.loads(answer({"hits": ["ü"]})["body"]) == {"hits": ["ü"]}
    with pytest.raises(InputError, match="fewer"):
        answer({"hits": ["ü" * (MAX_ANSWER_BYTES // 2)]})
