"""Error responses for unimplemented actions and defects, in the form that the service's SDKs parse."""

import json
import logging
import uuid
from typing import Any
from xml.sax.saxutils import escape

from flask import Response, request
from moto.core.request import determine_request_protocol
from moto.core.utils import get_service_model
from werkzeug.exceptions import HTTPException

#: botocore's names of services, where moto has others.
_BOTOCORE_NAMES = {"awslambda": "lambda", "sagemakerruntime": "sagemaker-runtime", "cognitoidp": "cognito-idp"}

_logger = logging.getLogger(__name__)


class MissingPackage(NotImplementedError):
    """An action or service of moto needs a package that is not installed; the message names it."""

    def __init__(self, error: ModuleNotFoundError, subject: str = "this action") -> None:
        """Describe the error of an import."""
        super().__init__(f"{subject} without the package {error.name} (install localaws[all-services])")


class ErrorResponses:
    """Flask error handlers for one service."""

    def __init__(self, service: str) -> None:
        """Respond in the name of a service; moto's name for it."""
        self._service = _BOTOCORE_NAMES.get(service, service)

    def not_implemented(self, error: Exception) -> Response:
        """501 with the name of the action. Neither SDKs nor Terraform's provider retry it."""
        action = str(error)
        if action.endswith("action has not been implemented"):
            # moto names the action in snake case; the request has the API's name.
            action = request.headers.get("X-Amz-Target", "").rpartition(".")[2] or request.values.get("Action", action)
        message = f"The local AWS does not implement {self._service}: {action}."
        return self._render("NotImplementedException", message, 501)

    def unknown_path(self, _: Exception) -> Response:
        """501 for a path without a route."""
        return self.not_implemented(NotImplementedError(f"{request.method} {request.path}"))

    def internal_failure(self, error: Exception) -> Response | HTTPException:
        """500 for a defect; the traceback goes to the log only."""
        if isinstance(error, HTTPException):
            return error
        if isinstance(error, ModuleNotFoundError):
            # moto imports some packages of its extras only in an action.
            return self.not_implemented(MissingPackage(error))
        _logger.error("%s failed", self._service, exc_info=error)
        return self._render("InternalFailure", f"The local AWS failed: {type(error).__name__}: {error}", 500)

    def _render(self, code: str, message: str, status: int) -> Response:
        headers = {"x-amzn-errortype": code, "x-amzn-RequestId": str(uuid.uuid4())}
        fields = f"<Code>{code}</Code><Message>{escape(message)}</Message>"
        match self._protocol():
            case "query" | "rest-xml":
                body = f"<ErrorResponse><Error><Type>Sender</Type>{fields}</Error></ErrorResponse>"
                headers["Content-Type"] = "text/xml"
            case "ec2":
                body = f"<Response><Errors><Error>{fields}</Error></Errors></Response>"
                headers["Content-Type"] = "text/xml"
            case _:
                body = json.dumps({"__type": code, "message": message})
                headers["Content-Type"] = "application/x-amz-json-1.1"
        return Response(body, status=status, headers=headers)

    def _protocol(self) -> str:
        try:
            return str(determine_request_protocol(get_service_model(self._service), request.content_type))
        except Exception:  # noqa: BLE001 - a service that botocore does not know
            return "json"


def protect(app: Any, service: str, *, routed_by_path: bool) -> None:
    """Register these error handlers with a service's Flask application.

    Args:
        app: The Flask application.
        service: moto's name of the service.
        routed_by_path: Whether an unknown path is an unknown operation. In S3, every path is an object's.
    """
    responses = ErrorResponses(service)
    app.register_error_handler(NotImplementedError, responses.not_implemented)
    app.register_error_handler(Exception, responses.internal_failure)
    if routed_by_path:
        app.register_error_handler(404, responses.unknown_path)
