"""The error responses of S3 Vectors. moto takes the HTTP status from the API model."""

from moto.core.exceptions import ServiceException

__all__ = ["InvalidRequest", "ServiceException"]


class InvalidRequest(ServiceException):  # type: ignore[misc]  # moto is untyped
    """ValidationException."""

    code = "ValidationException"

    def __init__(self, message: str, *fields: tuple[str, str]) -> None:
        """Reject a request.

        Args:
            message: The message of the error.
            *fields: Paths of the invalid members, each with what is wrong with it.
        """
        super().__init__(message)
        if fields:
            self.fieldList = [{"path": path, "message": reason} for path, reason in fields]  # the API's name
