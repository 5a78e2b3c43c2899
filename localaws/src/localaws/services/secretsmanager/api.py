"""The AWS Secrets Manager API: moto's, with AWS's HTTP statuses."""

from typing import Any

from moto.secretsmanager.responses import SecretsManagerResponse

__all__ = ["SecretsManager"]


class SecretsManager(SecretsManagerResponse):  # type: ignore[misc]  # moto is untyped
    """The Secrets Manager API."""

    def call_action(self) -> Any:
        """Run an action. A missing secret is 400 on AWS, as in the service's model, and 404 in moto."""
        status, headers, body = super().call_action()
        return (400, {**headers, "status": 400}, body) if status == 404 else (status, headers, body)
