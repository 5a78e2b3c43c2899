"""The AWS Secrets Manager API: moto's, with AWS's HTTP statuses and the members of AWS's responses."""

import json
from typing import Any

from moto.secretsmanager.responses import SecretsManagerResponse

__all__ = ["SecretsManager"]


class SecretsManager(SecretsManagerResponse):  # type: ignore[misc]  # moto is untyped
    """The Secrets Manager API."""

    def call_action(self) -> Any:
        """Run an action. A missing secret is 400 on AWS, as in the service's model, and 404 in moto."""
        status, headers, body = super().call_action()
        return (400, {**headers, "status": 400}, body) if status == 404 else (status, headers, body)

    def describe_secret(self) -> Any:
        """DescribeSecret of a secret with values, for which moto adds a member of ListSecrets."""
        return _without("SecretVersionsToStages", super().describe_secret())

    def list_secret_version_ids(self) -> Any:
        """ListSecretVersionIds, which moto ends with an empty token."""
        return _without("NextToken", super().list_secret_version_ids())


def _without(member: str, response: str) -> str:
    return json.dumps({name: value for name, value in json.loads(response).items() if name != member})
