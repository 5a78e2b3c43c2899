"""The IAM API: moto's, with AWS's errors."""

import json

from moto.core.responses import ActionResult
from moto.iam.exceptions import MalformedPolicyDocument, NotFoundException
from moto.iam.responses import IamResponse

__all__ = ["Iam"]


class Iam(IamResponse):  # type: ignore[misc]  # moto is untyped
    """The IAM API."""

    def create_role(self) -> ActionResult:
        """CreateRole."""
        try:
            json.loads(self.params["AssumeRolePolicyDocument"])
        except ValueError as error:
            raise MalformedPolicyDocument("This policy contains invalid Json") from error
        return super().create_role()

    def get_policy(self) -> ActionResult:
        """GetPolicy."""
        self._require_policy()
        return super().get_policy()

    def delete_policy(self) -> ActionResult:
        """DeletePolicy."""
        self._require_policy()
        return super().delete_policy()

    def _require_policy(self) -> None:
        arn = self.params["PolicyArn"]
        if arn not in self.backend.managed_policies:
            raise NotFoundException(f"Policy {arn} was not found.")
