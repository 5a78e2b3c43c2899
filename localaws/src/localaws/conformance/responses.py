"""Checks a whole response against its operation: status, headers, body, and the code of an error."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET
from xml.etree.ElementTree import Element, ParseError

from botocore.model import OperationModel, Shape, StructureShape
from botocore.parsers import ResponseParserError, RpcV2CBORParser

from localaws.conformance.documents import check_document, check_element
from localaws.conformance.known_codes import is_undeclared_code
from localaws.conformance.known_deviations import undeclared_members
from localaws.conformance.operations import Call
from localaws.conformance.values import check_text

__all__ = ["ReceivedResponse", "find_violations", "is_streamed"]

#: Elements of the query protocol other than the result.
_METADATA = {"ResponseMetadata", "requestId", "RequestId"}


@dataclass(frozen=True, slots=True)
class ReceivedResponse:
    """A response as a client receives it.

    Attributes:
        status: HTTP status code.
        headers: The headers, by lower-case name.
        body: The body.
    """

    status: int
    headers: dict[str, str]
    body: bytes


def find_violations(call: Call, response: ReceivedResponse) -> list[str]:
    """How a response violates the service's model, as sentences; empty for a valid response."""
    try:
        if response.status >= 300:
            return list(_error_violations(call, response))
        return list(_output_violations(call, response))
    except (ValueError, ParseError, ResponseParserError, KeyError) as error:
        return [f"the body cannot be read as {call.protocol}: {type(error).__name__} {error}"]


def is_streamed(operation: OperationModel) -> bool:
    """Whether the body of a successful response has no shape or is an event stream."""
    shape = operation.output_shape
    payload = shape.serialization.get("payload") if shape is not None else None
    if shape is None or payload is None:
        return False
    member = shape.members[payload]
    return member.type_name in ("blob", "string") or bool(member.serialization.get("eventstream"))


def _output_violations(call: Call, response: ReceivedResponse) -> Iterator[str]:
    shape, name = call.operation.output_shape, call.operation.name
    if shape is None:
        return
    yield from _header_violations(shape, response.headers, name)
    if is_streamed(call.operation) or call.operation.http["method"] == "HEAD":
        return
    payload = shape.serialization.get("payload")
    yield from _body_violations(call, shape.members[payload] if payload else shape, response.body, name)


def _body_violations(call: Call, shape: Shape, body: bytes, name: str) -> Iterator[str]:
    match call.protocol:
        case "json" | "rest-json":
            yield from check_document(shape, json.loads(body) if body else {}, name)
        case "smithy-rpc-v2-cbor":
            yield from check_document(shape, _decode_cbor(body) if body else {}, name, "datetime")
        case "rest-xml":
            if body or getattr(shape, "required_members", None):
                yield from check_element(shape, ET.fromstring(body), name)  # noqa: S314 - our own response
        case _:
            root = ET.fromstring(body)  # noqa: S314 - our own response
            yield from check_element(shape, _result(shape, root), name)


def _result(shape: Shape, root: Element) -> Element:
    """The element with the members, in a response of the query protocol."""
    wrapper = shape.serialization.get("resultWrapper")
    tagged = {item.tag.rpartition("}")[2]: item for item in root}
    if wrapper:
        return tagged[wrapper]
    bare = Element(root.tag)
    bare.extend([item for tag, item in tagged.items() if tag not in _METADATA])
    return bare


def _header_violations(shape: StructureShape, headers: dict[str, str], name: str) -> Iterator[str]:
    for member_name, member in shape.members.items():
        if member.serialization.get("location") != "header":
            continue
        value = headers.get(str(member.serialization["name"]).lower())
        if value is not None and not member.serialization.get("jsonvalue"):
            yield from check_text(member, value, f"{name}.{member_name}", "rfc822")
        elif value is None and member_name in shape.required_members:
            yield f"{name}.{member_name} is required, and its header {member.serialization['name']} is missing"


def _error_violations(call: Call, response: ReceivedResponse) -> Iterator[str]:
    if call.operation.http["method"] == "HEAD" or response.status == 304:
        return
    code, document = _error(call.protocol, response)
    declared = {_code(shape): shape for shape in call.operation.error_shapes}
    if code in declared:
        yield from _modelled_error_violations(declared[code], response, document)
    elif code != "NotImplementedException" and not is_undeclared_code(call.service, code):
        yield f"{call.operation.name} responds with the error {code!r}; it declares {', '.join(declared) or 'none'}"


def _modelled_error_violations(shape: Shape, response: ReceivedResponse, document: Any) -> Iterator[str]:
    status = shape.metadata.get("error", {}).get("httpStatusCode")
    if status is not None and status != response.status:
        yield f"{shape.name} has the HTTP status {status}, not {response.status}"
    if not (isinstance(document, dict) and isinstance(shape, StructureShape)):
        return
    # SDKs accept message and code in upper and lower case, whether or not the model declares them; services send both.
    others = {"__type", "code", "message", *undeclared_members(shape.name)}
    message = {name: document[key] for name in shape.members for key in document if name.lower() == key.lower()}
    fields = {key: value for key, value in document.items() if key.lower() not in others and key not in others}
    yield from check_document(shape, {**fields, **message}, shape.name)


def _error(protocol: str, response: ReceivedResponse) -> tuple[str, Any]:
    """The error's code, and its document if that is JSON."""
    if protocol in ("query", "ec2", "rest-xml"):
        root = ET.fromstring(response.body)  # noqa: S314 - our own response
        return next((item.text or "" for item in root.iter() if item.tag.rpartition("}")[2] == "Code"), ""), None
    decode = _decode_cbor if protocol == "smithy-rpc-v2-cbor" else json.loads
    document = decode(response.body) if response.body else {}
    query_error = response.headers.get("x-amzn-query-error", "").partition(";")[0]
    code = response.headers.get("x-amzn-errortype") or document.get("__type") or document.get("code") or ""
    return query_error or str(code).partition(":")[0].rpartition("#")[2], document


def _code(shape: Shape) -> str:
    return str(shape.metadata.get("error", {}).get("code", shape.name))


def _decode_cbor(body: bytes) -> Any:
    parser = RpcV2CBORParser()
    return parser.parse_data_item(parser.get_peekable_stream_from_bytes(body))
