"""Answers of last resort: what is not implemented, and what broke, in the shape that a service's SDKs parse."""

import json
import logging
import uuid
from typing import Any
from xml.sax.saxutils import escape

from flask import Response, request
from moto.core.request import determine_request_protocol
from moto.core.utils import get_service_model
from werkzeug.exceptions import HTTPException

#: moto calls some services by other names than botocore does.
_BOTOCORE_NAMES = {"awslambda": "lambda", "sagemakerruntime": "sagemaker-runtime", "cognitoidp": "cognito-idp"}

_logger = logging.getLogger(__name__)


class ErrorAnswers:
    """Flask error handlers for one service."""

    def __init__(self, service: str) -> None:
        """Answer in the name of a service, by moto's name for it."""
        self._service = _BOTOCORE_NAMES.get(service, service)

    def not_implemented(self, error: Exception) -> Response:
        """501: neither the SDKs nor Terraform's provider retry it, and it names what is missing."""
        action = str(error)
        if action.endswith("action has not been implemented"):
            # moto names the action in snake case; the request has its real name.
            action = request.headers.get("X-Amz-Target", "").rpartition(".")[2] or request.values.get("Action", action)
        message = f"The local AWS does not implement {self._service}: {action}."
        return self._render("NotImplementedException", message, 501)

    def unknown_path(self, _: Exception) -> Response:
        """A path that moto has no route for."""
        return self.not_implemented(NotImplementedError(f"{request.method} {request.path}"))

    def internal_failure(self, error: Exception) -> Response | HTTPException:
        """500 for a defect, with the traceback in the log and not in the answer."""
        if isinstance(error, HTTPException):
            return error
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
        except Exception:  # noqa: BLE001 - a service that botocore does not describe still gets an answer
            return "json"


def protect(app: Any, service: str, *, routed_by_path: bool) -> None:
    """Give a service's Flask app these answers.

    Args:
        app: The Flask application.
        service: moto's name of the service.
        routed_by_path: Whether an unknown path means an unknown operation; in S3 every path is some bucket's.
    """
    answers = ErrorAnswers(service)
    app.register_error_handler(NotImplementedError, answers.not_implemented)
    app.register_error_handler(Exception, answers.internal_failure)
    if routed_by_path:
        app.register_error_handler(404, answers.unknown_path)
