"""Determines which operation of which service a request calls, and the protocol of the response."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, parse_qsl

from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

__all__ = ["Call", "called_operations"]

_SERVICES = {
    "bedrock": ("bedrock-runtime",),
    "monitoring": ("cloudwatch",),
    "sagemaker": ("sagemaker", "sagemaker-runtime"),
}
_LABEL = re.compile(r"\\{[^}]+?(\\\+)?\\}")


@dataclass(frozen=True, slots=True)
class Call:
    """The operation that a request calls.

    Attributes:
        service: botocore's name of the service.
        operation: The operation's model.
        protocol: The protocol of the response: json, rest-json, rest-xml, query, ec2 or smithy-rpc-v2-cbor.
    """

    service: str
    operation: OperationModel
    protocol: str

    @property
    def name(self) -> str:
        """Service and operation, such as ``sagemaker.DescribeEndpoint``."""
        return f"{self.service}.{self.operation.name}"


def called_operations(environ: "WSGIEnvironment", body: bytes) -> list[Call]:
    """The operations that a request may call: one, except in S3, where several share method and path.

    Returns:
        The best matches; empty for a request to a service that botocore does not know.
    """
    scope = environ.get("HTTP_AUTHORIZATION", "").partition("Credential=")[2].partition(",")[0].split("/")
    signed_for = scope[3] if len(scope) > 4 else ""
    matches = [call for name in _SERVICES.get(signed_for, (signed_for,)) for call in _calls(name, environ, body)]
    most = max((fit for fit, _ in matches), default=0)
    return [call for fit, call in matches if fit == most]


def _calls(service: str, environ: "WSGIEnvironment", body: bytes) -> Iterator[tuple[int, Call]]:
    model = _model(service)
    if model is None:
        return
    content_type = environ.get("CONTENT_TYPE", "")
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    if target:
        yield from _named(service, model, target.rpartition(".")[2], "json")
    elif environ.get("HTTP_SMITHY_PROTOCOL"):
        yield from _named(service, model, environ["PATH_INFO"].rpartition("/")[2], "smithy-rpc-v2-cbor")
    elif content_type.startswith("application/x-www-form-urlencoded") and b"Action=" in body:
        protocol = "ec2" if model.metadata["protocol"] == "ec2" else "query"
        yield from _named(service, model, parse_qs(body.decode())["Action"][0], protocol)
    elif model.metadata["protocol"] in ("rest-json", "rest-xml"):
        yield from _routed(service, model, environ)


def _named(service: str, model: ServiceModel, operation: str, protocol: str) -> Iterator[tuple[int, Call]]:
    if operation in model.operation_names:
        yield 1, Call(service, model.operation_model(operation), protocol)


def _routed(service: str, model: ServiceModel, environ: "WSGIEnvironment") -> Iterator[tuple[int, Call]]:
    """Operations by method and path, rated by how many of the query's parameters they declare."""
    parameters = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
    path = str(environ.get("RAW_URI") or environ["PATH_INFO"]).partition("?")[0]
    for method, pattern, query, name in _routes(service):
        if method != environ["REQUEST_METHOD"] or not pattern.fullmatch(path):
            continue
        if all(key in parameters and value in ("", parameters[key]) for key, value in query.items()):
            fit = 1 + len(query) + (len(parameters.keys() & _required_query(model.operation_model(name))))
            yield fit, Call(service, model.operation_model(name), str(model.metadata["protocol"]))


def _required_query(operation: OperationModel) -> set[str]:
    shape = operation.input_shape
    if shape is None:
        return set()
    return {
        shape.members[name].serialization["name"]
        for name in shape.required_members
        if shape.members[name].serialization.get("location") == "querystring"
    }


@cache
def _routes(service: str) -> list[tuple[str, re.Pattern[str], dict[str, str], str]]:
    model = _model(service)
    routes = []
    for name in model.operation_names if model else ():
        http = model.operation_model(name).http if model else {}
        path, _, query = http["requestUri"].partition("?")
        pattern = _LABEL.sub(lambda label: ".+" if label[1] else "[^/]+", re.escape(path))
        routes.append(
            (http["method"], re.compile(pattern + "/?"), dict(parse_qsl(query, keep_blank_values=True)), name)
        )
    return routes


@cache
def _model(service: str) -> ServiceModel | None:
    # A separate loader: an S3 client in this process removes the buckets from the paths of its model.
    loader = Loader()
    if service not in loader.list_available_services("service-2"):
        return None
    return ServiceModel(loader.load_service_model(service, "service-2"), service)
