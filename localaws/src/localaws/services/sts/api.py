"""The AWS STS API: moto's, with AWS's checks of AssumeRole."""

import re

from moto.core.responses import ActionResult
from moto.core.utils import get_service_model
from moto.sts.exceptions import STSValidationError
from moto.sts.responses import TokenResponse

from localaws.core.request_validation import check_request

__all__ = ["Sts"]

_ARN = re.compile(r"arn:[^:]+:[^:]+:[^:]*:[^:]*:.+")


class Sts(TokenResponse):  # type: ignore[misc]  # moto is untyped
    """The STS API."""

    def assume_role(self) -> ActionResult:
        """AssumeRole."""
        message = check_request(get_service_model("sts").operation_model("AssumeRole").input_shape, self.params)
        if message is not None:
            raise STSValidationError(message)
        if not _ARN.fullmatch(self.params["RoleArn"]):
            raise STSValidationError(f"{self.params['RoleArn']} is invalid")
        return super().assume_role()
