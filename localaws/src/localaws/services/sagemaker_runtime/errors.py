"""Error responses of SageMaker Runtime."""

from typing import Any

__all__ = ["InvocationError"]


class InvocationError(Exception):
    """An error response of the service.

    Attributes:
        status: HTTP status.
        code: AWS's error code.
        members: The JSON body.
    """

    def __init__(self, status: int, code: str, members: dict[str, Any]) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.members = members
