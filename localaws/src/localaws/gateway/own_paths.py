"""Paths outside the AWS APIs: the health check, moto's reset, and the paths of moto that are closed."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from werkzeug.exceptions import NotFound

from localaws.core.paths import HEALTH_PATH
from localaws.core.wsgi import RESET_PATH, read_body, send_json

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["ClosedPaths", "HealthCheck", "Reset"]

#: moto's console, which can change state without the running processes noticing, and an instance's metadata with
#: credentials, which moto serves by path to requests for any service.
_CLOSED_PATHS = ("/moto-api", "/favicon.ico", "/latest/api/", "/latest/meta-data/")


class HealthCheck:
    """Responds to ``GET /_embedstack/health``."""

    def __init__(self, application: "WSGIApplication", describe: Callable[[], dict[str, Any]]) -> None:
        """Wrap an application.

        Args:
            application: Handles all other requests.
            describe: Returns the response.
        """
        self._application = application
        self._describe = describe

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Handle one request."""
        if environ.get("PATH_INFO") != HEALTH_PATH:
            return self._application(environ, start_response)
        return send_json(start_response, "200 OK", self._describe())


class Reset:
    """Responds to ``POST /moto-api/reset`` as moto's server does, once everything is reset."""

    def __init__(self, application: "WSGIApplication", reset: Callable[[], None]) -> None:
        """Wrap an application.

        Args:
            application: Handles all other requests.
            reset: Resets everything.
        """
        self._application = application
        self._reset = reset

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Handle one request."""
        if environ.get("PATH_INFO") != RESET_PATH:
            return self._application(environ, start_response)
        read_body(environ)
        if environ["REQUEST_METHOD"] != "POST":
            document = {"error": "Reset the local AWS with POST."}
            return send_json(start_response, "405 Method Not Allowed", document, [("Allow", "POST")])
        self._reset()
        return send_json(start_response, "200 OK", {"status": "ok"})


class ClosedPaths:
    """Responds 404 to paths of moto that must not be reachable."""

    def __init__(self, application: "WSGIApplication") -> None:
        """Wrap an application."""
        self._application = application

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Handle one request."""
        if environ.get("PATH_INFO", "").startswith(_CLOSED_PATHS):
            return NotFound()(environ, start_response)
        return self._application(environ, start_response)
