"""The error responses of S3 Vectors. moto takes the HTTP status from the API model."""

from moto.core.exceptions import JsonRESTError, ServiceException

__all__ = ["InvalidRequest", "S3VectorsError", "SerializationError"]


class S3VectorsError(ServiceException):  # type: ignore[misc]  # moto is untyped
    """An error with any code."""

    def __init__(self, code: str, message: str) -> None:
        """Create an error."""
        super().__init__(code, message)


class InvalidRequest(S3VectorsError):
    """ValidationException."""

    def __init__(self, message: str, *fields: tuple[str, str]) -> None:
        """Reject a request.

        Args:
            message: The message of the error.
            *fields: Paths of the invalid members, each with its problem.
        """
        super().__init__("ValidationException", message)
        if fields:
            self.fieldList = [{"path": path, "message": reason} for path, reason in fields]  # the API's name


class SerializationError(JsonRESTError):  # type: ignore[misc]  # moto is untyped
    """SerializationException, which is not in the API model."""

    def __init__(self, message: str) -> None:
        """Reject a request that cannot be parsed."""
        super().__init__("SerializationException", message)
