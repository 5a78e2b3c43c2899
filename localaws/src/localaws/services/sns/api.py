"""The Amazon SNS API: moto's, with AWS's errors."""

from moto.core.responses import ActionResult
from moto.sns.exceptions import SNSInvalidParameter
from moto.sns.responses import SNSResponse

__all__ = ["Sns"]

_ARN_PARTS = 6


class Sns(SNSResponse):  # type: ignore[misc]  # moto is untyped
    """The SNS API."""

    def subscribe(self) -> ActionResult:
        """Subscribe."""
        parts = str(self.params["TopicArn"]).count(":") + 1
        if parts < _ARN_PARTS:
            raise SNSInvalidParameter(
                f"Invalid parameter: TopicArn Reason: An ARN must have at least {_ARN_PARTS} elements, not {parts}"
            )
        return super().subscribe()
