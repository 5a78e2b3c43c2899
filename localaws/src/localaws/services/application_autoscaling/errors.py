"""The error responses of Application Auto Scaling."""

from moto.core.exceptions import JsonRESTError

__all__ = ["InvalidNextToken", "ObjectNotFound", "ResourceNotFound", "TooManyTags", "ValidationFailed"]


class ValidationFailed(JsonRESTError):  # type: ignore[misc]  # moto is untyped
    """ValidationException."""

    def __init__(self, message: str) -> None:
        super().__init__("ValidationException", message)


class ObjectNotFound(JsonRESTError):  # type: ignore[misc]  # moto is untyped
    """ObjectNotFoundException for a target, policy or scheduled action."""

    def __init__(self, message: str) -> None:
        super().__init__("ObjectNotFoundException", message)


class InvalidNextToken(JsonRESTError):  # type: ignore[misc]  # moto is untyped
    """InvalidNextTokenException."""

    def __init__(self) -> None:
        super().__init__("InvalidNextTokenException", "The specified next token is not valid.")


class ResourceNotFound(JsonRESTError):  # type: ignore[misc]  # moto is untyped
    """ResourceNotFoundException of the tagging actions."""

    def __init__(self, arn: str) -> None:
        super().__init__("ResourceNotFoundException", f"The specified resource doesn't exist: {arn}")


class TooManyTags(JsonRESTError):  # type: ignore[misc]  # moto is untyped
    """TooManyTagsException."""

    def __init__(self, arn: str) -> None:
        super().__init__("TooManyTagsException", f"Too many tags on {arn}: the limit is 50.")
