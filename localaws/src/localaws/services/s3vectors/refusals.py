"""Errors in S3 Vectors' shape. Codes and statuses: its service model in botocore."""

from typing import Any

__all__ = ["Refusal", "invalid", "not_found"]

_STATUSES = {
    "AccessDeniedException": 403,
    "ConflictException": 409,
    "NotFoundException": 404,
    "NotImplementedException": 501,
    "ServiceQuotaExceededException": 402,
    "TooManyRequestsException": 429,
}


class Refusal(Exception):
    """A request that is answered with an error.

    Attributes:
        code: AWS's error code.
        fields: What is wrong where, for a ValidationException: path and message.
    """

    def __init__(self, code: str, message: str, fields: tuple[tuple[str, str], ...] = ()) -> None:
        """Refuse a request."""
        super().__init__(message)
        self.code = code
        self.fields = fields

    @property
    def status(self) -> int:
        """The HTTP status."""
        return _STATUSES.get(self.code, 400)

    @property
    def body(self) -> dict[str, Any]:
        """The error's members."""
        fields = [{"path": path, "message": message} for path, message in self.fields]
        return {"message": str(self), **({"fieldList": fields} if fields else {})}


def invalid(message: str, path: str | None = None, reason: str | None = None) -> Refusal:
    """A ValidationException.

    Args:
        message: What the error says.
        path: The member that is wrong.
        reason: What is wrong with it, where that is less than the message.
    """
    return Refusal("ValidationException", message, ((path, reason or message),) if path else ())


def not_found(what: str) -> Refusal:
    """A NotFoundException for a ``vector bucket``, an ``index``, …."""
    return Refusal("NotFoundException", f"The specified {what} could not be found")
