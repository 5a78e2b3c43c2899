"""The AWS Price List API: GetProducts, DescribeServices and GetAttributeValues."""

import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from localaws.core.wsgi import read_body

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    from localaws.services.pricing.price_list import PriceLists

__all__ = ["ACTIONS", "SERVICE", "SIMPLIFICATIONS", "PriceListApi", "is_pricing"]

SERVICE = "pricing"
ACTIONS = ("DescribeServices", "GetAttributeValues", "GetProducts")
SIMPLIFICATIONS = {
    "GetProducts": "The prices of the price book that are metered, or those that POST /_embedstack/prices has put in.",
}

#: "AWS Price List Query API" endpoints in the AWS General Reference.
_REGIONS = frozenset({"us-east-1", "eu-central-1", "ap-south-1"})
_FORMAT = "aws_v1"
_PAGE = 100
_MATCHES: Mapping[str, Callable[[str, str], bool]] = {
    "TERM_MATCH": lambda value, expected: value.lower() == expected.lower(),
    "EQUALS": lambda value, expected: value == expected,
    "CONTAINS": lambda value, expected: expected in value,
    "ANY_OF": lambda value, expected: value in expected.split(","),
    "NONE_OF": lambda value, expected: value not in expected.split(","),
}


class _PricingError(Exception):
    """An error of the API.

    Attributes:
        code: The error code.
        status: The HTTP status line.
    """

    def __init__(self, code: str, message: str, status: str = "400 Bad Request") -> None:
        super().__init__(message)
        self.code = code
        self.status = status


def is_pricing(environ: "WSGIEnvironment") -> bool:
    """Whether the request was signed for the Price List API."""
    return "/pricing/aws4_request" in environ.get("HTTP_AUTHORIZATION", "")


class PriceListApi:
    """A WSGI application."""

    def __init__(self, lists: "PriceLists") -> None:
        """Answer from price lists."""
        self._lists = lists

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Handle one request."""
        headers = [("Content-Type", "application/x-amz-json-1.1"), ("x-amzn-RequestId", str(uuid.uuid4()))]
        try:
            document, status = self._respond(environ), "200 OK"
        except _PricingError as error:
            document, status = {"__type": error.code, "Message": str(error)}, error.status
            headers.append(("x-amzn-errortype", error.code))
        body = json.dumps(document).encode()
        start_response(status, [*headers, ("Content-Length", str(len(body)))])
        return [body]

    def _respond(self, environ: "WSGIEnvironment") -> dict[str, Any]:
        region = environ["HTTP_AUTHORIZATION"].partition("/pricing/")[0].rpartition("/")[2]
        if region not in _REGIONS:
            message = f"The Price List API has no endpoint in {region}. Use {', '.join(sorted(_REGIONS))}."
            raise _PricingError("NotImplementedException", message, "501 Not Implemented")
        request = json.loads(read_body(environ) or b"{}")
        operation = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
        entries = self._lists.entries
        match operation:
            case "GetProducts":
                found = [entry for entry in _of_service(entries, request) if _is_match(entry, request)]
                page, more = _page(found, request)
                return {"FormatVersion": _FORMAT, "PriceList": [json.dumps(entry) for entry in page], **more}
            case "DescribeServices":
                page, more = _page(_describe_services(entries, request.get("ServiceCode")), request)
                return {"FormatVersion": _FORMAT, "Services": page, **more}
            case "GetAttributeValues":
                name = request["AttributeName"]
                values = {_attributes(entry).get(name) for entry in _of_service(entries, request)} - {None, ""}
                page, more = _page([{"Value": value} for value in sorted(map(str, values))], request)
                return {"AttributeValues": page, **more}
            case _:
                message = f"The local AWS does not implement pricing: {operation}."
                raise _PricingError("NotImplementedException", message, "501 Not Implemented")


def _attributes(entry: Mapping[str, Any]) -> dict[str, Any]:
    product = entry["product"]
    return {"productFamily": product.get("productFamily", ""), **product["attributes"]}


def _of_service(entries: list[dict[str, Any]], request: Mapping[str, Any]) -> list[dict[str, Any]]:
    code = request.get("ServiceCode")
    found = [entry for entry in entries if entry["serviceCode"] == code]
    if not found:
        raise _PricingError("InvalidParameterException", f"The service code {code} is invalid.")
    return found


def _is_match(entry: Mapping[str, Any], request: Mapping[str, Any]) -> bool:
    attributes = {name.lower(): str(value) for name, value in _attributes(entry).items()}
    return all(
        _MATCHES[each["Type"]](attributes.get(each["Field"].lower(), ""), each["Value"])
        for each in request.get("Filters") or ()
    )


def _describe_services(entries: list[dict[str, Any]], code: str | None) -> list[dict[str, Any]]:
    names: dict[str, set[str]] = {}
    for entry in entries:
        if code in (None, entry["serviceCode"]):
            names.setdefault(entry["serviceCode"], set()).update(_attributes(entry))
    if not names:
        raise _PricingError("InvalidParameterException", f"The service code {code} is invalid.")
    return [{"ServiceCode": each, "AttributeNames": sorted(names[each])} for each in sorted(names)]


def _page(items: list[Any], request: Mapping[str, Any]) -> tuple[list[Any], dict[str, str]]:
    token = request.get("NextToken") or "0"
    if not token.isdecimal() or int(token) > len(items):
        raise _PricingError("InvalidNextTokenException", "The NextToken is invalid.")
    start = int(token)
    end = start + min(request.get("MaxResults") or _PAGE, _PAGE)
    return items[start:end], ({"NextToken": str(end)} if end < len(items) else {})
