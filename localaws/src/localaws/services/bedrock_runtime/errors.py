"""The error responses of the Bedrock Runtime API."""

__all__ = ["BedrockError"]


class BedrockError(Exception):
    """An error response.

    Attributes:
        status: HTTP status.
        code: AWS's error code.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
