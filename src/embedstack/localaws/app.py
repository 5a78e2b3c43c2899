"""The local AWS as one WSGI application: moto's services, ours in place of some, and a health check."""

import importlib.metadata
import json
import logging
import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

# moto lets any web page call it from a browser unless told otherwise before it is imported.
os.environ["MOTO_DISABLE_GLOBAL_CORS"] = "true"

from moto.core.config import default_user_config
from moto.core.exceptions import ServiceException
from moto.core.model import OperationModel
from moto.core.request import determine_request_protocol
from moto.core.serialize import get_serializer_class
from moto.core.utils import convert_to_flask_response, get_service_model
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.sagemaker.responses import SageMakerResponse
from moto.sagemakerruntime.responses import SageMakerRuntimeResponse
from werkzeug.exceptions import HTTPException, NotFound

from embedstack.localaws.invocations import SageMakerRuntime
from embedstack.localaws.sagemaker import SageMaker

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    from flask import Flask

    from embedstack.localaws.endpoint_host import EndpointHost

__all__ = ["HEALTH_PATH", "LocalAwsApplication"]

HEALTH_PATH = "/_embedstack/health"
#: moto calls some services by other names than botocore does.
_BOTOCORE_NAMES = {"awslambda": "lambda", "sagemakerruntime": "sagemaker-runtime", "cognitoidp": "cognito-idp"}
#: Services whose unknown paths mean an operation that is not there; in S3 every path is some bucket's.
_ROUTED_BY_PATH = frozenset({"sagemakerruntime"})

_logger = logging.getLogger(__name__)


class LocalAwsApplication(DomainDispatcherApplication):  # type: ignore[misc]  # moto is untyped
    """Dispatches a request to the service that it was signed for."""

    def __init__(self, host: "EndpointHost", describe: Callable[[], dict[str, Any]]) -> None:
        """Build the application.

        Args:
            host: The endpoints behind SageMaker.
            describe: What the health check answers.
        """
        # Classes are what moto routes to; a subclass per application carries its host without any global.
        self._replacements = {
            SageMakerResponse: type("SageMaker", (SageMaker,), {"host": host}),
            SageMakerRuntimeResponse: type("SageMakerRuntime", (SageMakerRuntime,), {"host": host}),
        }
        self._describe = describe
        default_user_config["iam"]["load_aws_managed_policies"] = True
        super().__init__(self._create_service)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer one request."""
        path = environ.get("PATH_INFO", "")
        if path == HEALTH_PATH:
            body = json.dumps(self._describe()).encode()
            start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
            return [body]
        if path.startswith("/moto-api"):
            # moto's own console can wipe every backend, which would leave endpoints' processes without an owner.
            return NotFound()(environ, start_response)
        answer: Iterable[bytes] = super().__call__(environ, start_response)
        return answer

    def infer_service_region_host(self, environ: "WSGIEnvironment", path: str) -> str | None:
        """Moto's rule, with every path of the SageMaker runtime API, not only those ending in ``invocations``."""
        host: str | None = super().infer_service_region_host(environ, path)
        if host and host.startswith("api.sagemaker.") and environ.get("PATH_INFO", "").startswith("/endpoints/"):
            return host.replace("api.", "runtime.", 1)
        return host

    def get_backend_for_host(self, host: str | None) -> Any:
        """Moto's rule; a service that moto does not know is named, so that the answer can say so."""
        return super().get_backend_for_host(host) or (host and f"unknown:{host}")

    def _create_service(self, service: str) -> "Flask":
        if service.startswith("unknown:"):
            return _refusing_app(f"service {service.removeprefix('unknown:')}")
        app: Flask = create_backend_app(service)
        app.debug = False
        for endpoint, view in list(app.view_functions.items()):
            handler = getattr(view, "callback", None)
            if handler is None:
                continue
            replacement = self._replacements.get(getattr(handler, "__self__", None))
            if replacement is not None:
                app.view_functions[endpoint] = convert_to_flask_response(getattr(replacement, handler.__name__))
        errors = _ErrorAnswers(_BOTOCORE_NAMES.get(service, service))
        app.register_error_handler(NotImplementedError, errors.not_implemented)
        app.register_error_handler(Exception, errors.internal_failure)
        if service in _ROUTED_BY_PATH:
            app.register_error_handler(404, errors.unknown_path)
        return app


class _ErrorAnswers:
    """Answers of last resort, in the shape that the service's SDKs parse."""

    def __init__(self, service: str) -> None:
        self._service = service

    def not_implemented(self, error: Exception) -> Any:
        """501: neither the SDKs nor Terraform's provider retry it, and it names what is missing."""
        action = str(error).removeprefix("The ").removesuffix(" action has not been implemented")
        message = f"The local AWS does not implement {self._service}: {action}."
        return self._render("NotImplementedException", message, 501)

    def unknown_path(self, error: Exception) -> Any:
        """A path that moto has no route for."""
        from flask import request  # noqa: PLC0415 - flask is moto's choice, imported with it

        del error
        return self.not_implemented(NotImplementedError(f"{request.method} {request.path}"))

    def internal_failure(self, error: Exception) -> Any:
        """500 for a defect, with the traceback in the log and not in the answer."""
        if isinstance(error, HTTPException):
            return error
        _logger.error("%s failed", self._service, exc_info=error)
        return self._render("InternalFailure", f"The local AWS failed: {type(error).__name__}: {error}", 500)

    def _render(self, code: str, message: str, status: int) -> Any:
        from flask import Response, request  # noqa: PLC0415 - flask is moto's choice, imported with it

        try:
            model = get_service_model(self._service)
            protocol = determine_request_protocol(model, request.content_type)
            serializer = get_serializer_class(model.service_name, protocol)(OperationModel({}, model))
            rendered = serializer.serialize(ServiceException(code, message))
            body, headers = rendered["body"], {**rendered["headers"], "x-amzn-errortype": code}
        except Exception:  # noqa: BLE001 - a service that botocore or moto cannot describe still gets an answer
            body = json.dumps({"__type": code, "message": message})
            headers = {"Content-Type": "application/x-amz-json-1.1", "x-amzn-errortype": code}
        return Response(body, status=status, headers=headers)


def _refusing_app(what: str) -> "Flask":
    from flask import Flask  # noqa: PLC0415 - flask is moto's choice, imported with it

    app = Flask("unknown", static_folder=None)
    errors = _ErrorAnswers(what)
    app.register_error_handler(404, errors.unknown_path)
    return app


def version() -> str:
    """Version of the installed embedstack."""
    try:
        return importlib.metadata.version("embedstack")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
