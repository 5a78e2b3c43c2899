"""JSON answers without nulls: AWS leaves out a member that has no value, and moto writes null."""

import json
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["answer_without_nulls"]


def answer_without_nulls(
    application: "WSGIApplication", environ: "WSGIEnvironment", start_response: "StartResponse"
) -> Iterable[bytes]:
    """Answer one request of a JSON protocol (``X-Amz-Target``); others pass as they are."""
    if "HTTP_X_AMZ_TARGET" not in environ:
        return application(environ, start_response)
    held: list[tuple[str, list[tuple[str, str]]]] = []

    def hold(status: str, headers: list[tuple[str, str]], *_: Any) -> Callable[[bytes], object]:
        held.append((status, headers))
        return lambda _: None

    body = b"".join(application(environ, hold))
    status, headers = held[0]
    if b"null" in body:
        body = json.dumps(_without_nulls(json.loads(body))).encode()
        headers = [(name, value) for name, value in headers if name.lower() != "content-length"]
        headers.append(("Content-Length", str(len(body))))
    start_response(status, headers)
    return [body]


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value
