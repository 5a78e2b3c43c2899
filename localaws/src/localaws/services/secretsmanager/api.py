"""The AWS Secrets Manager API: moto's, with the responses of AWS."""

import json
from typing import Any

from moto.secretsmanager.responses import SecretsManagerResponse

__all__ = ["SecretsManager"]


class SecretsManager(SecretsManagerResponse):  # type: ignore[misc]  # moto is untyped
    """Returns what the API reference names: moto adds a member of another action, and an empty token."""

    def describe_secret(self) -> Any:
        """DescribeSecret of a secret with values."""
        return self._without("SecretVersionsToStages", super().describe_secret())

    def list_secret_version_ids(self) -> Any:
        """ListSecretVersionIds, which is never continued."""
        return self._without("NextToken", super().list_secret_version_ids())

    @staticmethod
    def _without(member: str, response: str) -> str:
        return json.dumps({name: value for name, value in json.loads(response).items() if name != member})
