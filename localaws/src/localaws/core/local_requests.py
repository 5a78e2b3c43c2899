"""Tells requests of programs on this machine from those that a web page makes a browser send.

Any web page can make the browser send requests to 127.0.0.1. It cannot read the responses, but requests can do harm:
forms and ``fetch`` with ``text/plain`` are sent without a preflight. With a host name that resolves to 127.0.0.1 (DNS
rebinding), a page could also read the responses. Such requests are recognized by these headers:

- ``Host`` is not a loopback name with the port of this server.
- ``Origin``, or ``Referer`` without an ``Origin``, is not the server's own.
- ``Sec-Fetch-Site`` is ``cross-site`` or ``same-site``. With ``none``, a person has typed the address or opened a
  bookmark, or was redirected from there: only reads are allowed.
- An old browser sends neither header: only reads are allowed.
"""

import re
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

__all__ = ["local_request_refusal"]

_LOOPBACK = re.compile(
    r"(?:(?:[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?\.)*localhost"
    r"|127(?:\.(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)){3}"
    r"|\[::1\])"
    r"(?::(?P<port>[1-9]\d{0,4}))?",
    re.IGNORECASE | re.ASCII,
)
_DEFAULT_PORT = "80"
#: Headers that proxies add. A request through a proxy may come from anywhere.
_FORWARDED = (
    "HTTP_FORWARDED", "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_SERVER",
    "HTTP_X_HOST", "HTTP_X_ORIGINAL_HOST", "HTTP_X_REAL_IP",
)  # fmt: skip
_READS = frozenset({"GET", "HEAD"})


def local_request_refusal(environ: Mapping[str, object]) -> str | None:
    """Why a request is rejected; None for a request of a program on this machine.

    Args:
        environ: The WSGI environment, with ``SERVER_PORT`` and the unchanged target in ``REQUEST_URI``.
    """

    def header(name: str) -> str | None:
        value = environ.get(name)
        return None if value is None else str(value)

    host, port = header("HTTP_HOST"), str(environ.get("SERVER_PORT", ""))
    if host is None:
        return "It has no Host header."
    if not _is_own_authority(host, port):
        return f"Its Host header is {_shown(host)}; this server is 127.0.0.1:{port} or localhost:{port}."
    target = str(environ.get("REQUEST_URI", "/"))
    if not target.startswith("/") and target != "*":
        parts = _split(target)
        if parts is None or parts[0] != "http" or parts[1].lower() != host.lower():
            return "Its target and its Host header name different servers."
    for name in _FORWARDED:
        if name in environ:
            return f"It comes through a proxy: it has the header {name.removeprefix('HTTP_').replace('_', '-')}."
    if "websocket" in (header("HTTP_UPGRADE") or "").lower():
        return "WebSocket connections are not supported."
    return _browser_refusal(header, host, str(environ.get("REQUEST_METHOD", "")))


def _browser_refusal(header: Callable[[str], str | None], host: str, method: str) -> str | None:
    origin, referer, site = header("HTTP_ORIGIN"), header("HTTP_REFERER"), header("HTTP_SEC_FETCH_SITE")
    if origin is not None and origin.lower() != f"http://{host}".lower():
        return f"It was sent by a web page of another origin, {_shown(origin)}."
    if origin is None and referer is not None:
        parts = _split(referer)
        if parts is None or parts[0] != "http" or parts[1].lower() != host.lower():
            return "It was sent by a web page of another origin, by its Referer header."
    if site not in (None, "none", "same-origin"):
        return f"It was sent by a web page of another site (Sec-Fetch-Site: {_shown(site or '')})."
    is_browser = site == "none" or (header("HTTP_USER_AGENT") or "").startswith("Mozilla/")
    if is_browser and origin is None and site != "same-origin" and method not in _READS:
        return f"A browser sent a {_shown(method)} request without saying which page asked for it."
    return None


def _is_own_authority(authority: str, port: str) -> bool:
    match = _LOOPBACK.fullmatch(authority)
    return match is not None and (match["port"] or _DEFAULT_PORT) == port


def _split(url: str) -> tuple[str, str] | None:
    """Scheme and authority of a URL; None for a malformed one."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return parts.scheme, parts.netloc


def _shown(value: str) -> str:
    return repr(value[:100])
