"""The address of a Postgres whose password is kept by Secrets Manager."""

import json
import os
from typing import TYPE_CHECKING
from urllib.parse import quote

from embedstack.errors import ConfigurationError, EndpointUnavailable, StoreUnavailable

if TYPE_CHECKING:
    import boto3

    from embedstack.settings.settings import Settings

__all__ = ["read_database_secret"]

# What RDS leaves out of the secrets that it manages by itself, which hold user and password alone: libpq reads it from
# variables of its own (PostgreSQL documentation, "Environment Variables").
_BESIDE = {"host": "PGHOST", "port": "PGPORT", "dbname": "PGDATABASE"}
_PASSING = {"InternalServiceError", "ThrottlingException", "ServiceUnavailable"}


def read_database_secret(arn: str, settings: "Settings", *, session: "boto3.Session | None" = None) -> str:
    """The address ``postgresql://…`` that a secret describes, in the form that RDS gives its secrets.

    Where the secret names no host, port or database, libpq's own variables do: PGHOST, PGPORT and PGDATABASE.

    Args:
        arn: The secret's ARN or name.
        settings: Where AWS is.
        session: A boto3 session of the caller's.

    Raises:
        ConfigurationError: There is no such secret, it may not be read, or it is not of that form.
        StoreUnavailable: Secrets Manager does not answer.
    """
    # boto3 takes long to import.
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    from embedstack.aws.clients import AwsClient, translate_error  # noqa: PLC0415

    client = AwsClient("secretsmanager", settings, max_connections=1, session=session)
    try:
        secret = client.call(lambda service: service.get_secret_value(SecretId=arn))
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code in _PASSING:
            raise StoreUnavailable(f"Secrets Manager answered {code} again and again.") from error
        raise ConfigurationError(
            f"The secret that DATABASE_SECRET_ARN names cannot be read ({code}): see that it is there, and that this "
            "role may call secretsmanager:GetSecretValue on it and use its key."
        ) from error
    except EndpointUnavailable as error:
        raise StoreUnavailable(f"Secrets Manager cannot be reached. {error}") from error
    except BotoCoreError as error:
        translated = translate_error(error)
        if isinstance(translated, ConfigurationError):
            raise translated from error
        raise StoreUnavailable(f"Secrets Manager cannot be reached. {translated}") from error
    return _address(secret.get("SecretString", ""))


def _address(secret: str) -> str:
    try:
        facts = json.loads(secret)
        user, password = (quote(str(facts[name]), safe="") for name in ("username", "password"))
        host, port, database = (quote(str(facts.get(name, "")), safe="") for name in _BESIDE)
    except (ValueError, KeyError, TypeError, AttributeError):
        # Not chained: the error may quote the secret.
        raise ConfigurationError(
            "The secret that DATABASE_SECRET_ARN names is not JSON with username and password."
        ) from None
    if not host and not os.environ.get("PGHOST"):
        raise ConfigurationError(
            "The secret that DATABASE_SECRET_ARN names has no host, which RDS leaves out: set "
            f"{', '.join(_BESIDE.values())}."
        )
    return f"postgresql://{user}:{password}@{host}{':' if port else ''}{port}/{database}"
