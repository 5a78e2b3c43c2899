"""Corrections to moto's responses, whatever the service."""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from localaws.core.wsgi import call

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["CorsHeaderFilter", "NullMemberFilter"]


class CorsHeaderFilter:
    """Drops the headers by which moto lets any web page read its responses."""

    def __init__(self, application: "WSGIApplication") -> None:
        """Wrap an application."""
        self._application = application

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Pass on a request and filter its response."""

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            allowed = [(name, value) for name, value in headers if not name.lower().startswith("access-control-")]
            return start_response(status, allowed, *rest)

        return self._application(environ, start)


class NullMemberFilter:
    """Drops null members from JSON: AWS omits a member without a value, moto writes null."""

    def __init__(self, application: "WSGIApplication") -> None:
        """Wrap an application."""
        self._application = application

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Pass on a request; filter the response if the request is of a JSON protocol (``X-Amz-Target``)."""
        if "HTTP_X_AMZ_TARGET" not in environ:
            return self._application(environ, start_response)
        response = call(self._application, environ)
        body = response.read()
        if b"null" in body:
            response.replace_body(json.dumps(_strip_null_members(json.loads(body))).encode())
        return response.send(start_response)


def _strip_null_members(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _strip_null_members(item) for key, item in value.items() if item is not None}
    return [_strip_null_members(item) for item in value] if isinstance(value, list) else value
