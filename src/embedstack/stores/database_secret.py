"""Reads the address of a Postgres database from AWS Secrets Manager."""

import json
import os
from typing import TYPE_CHECKING
from urllib.parse import quote

from embedstack.errors import CollectionNotFound, ConfigurationError

if TYPE_CHECKING:
    import boto3
    from botocore.exceptions import ClientError

    from embedstack.settings.settings import Settings

__all__ = ["read_database_secret"]

# Secrets that RDS manages contain user and password only. libpq reads the rest from these environment variables
# (PostgreSQL documentation, "Environment Variables").
_LIBPQ_VARIABLES = {"host": "PGHOST", "port": "PGPORT", "dbname": "PGDATABASE"}


def read_database_secret(arn: str, settings: "Settings", *, session: "boto3.Session | None" = None) -> str:
    """The address ``postgresql://…`` from a secret in the JSON format of RDS.

    If the secret contains no host, port or database, libpq reads PGHOST, PGPORT and PGDATABASE.

    Args:
        arn: The secret's ARN or name.
        settings: Region, endpoint and credentials.
        session: A custom boto3 session.

    Raises:
        CollectionNotFound: The secret is a reader's and has no value: nothing was ingested yet.
        ConfigurationError: The secret does not exist, may not be read, or has another format.
        StoreUnavailable: Secrets Manager does not respond.
    """
    # boto3 takes long to import.
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    from embedstack.aws.clients import AwsClient  # noqa: PLC0415

    client = AwsClient("secretsmanager", settings, max_connections=1, session=session)
    try:
        secret = client.call(lambda service: service.get_secret_value(SecretId=arn))
    except (BotoCoreError, ClientError) as error:
        if isinstance(error, ClientError) and _has_no_value(error):
            raise CollectionNotFound(
                "The secret of DATABASE_SECRET_ARN has no value yet. Ingest a document: this creates the database's "
                "reader and its password."
            ) from error
        raise client.translate(error) from error
    return _address(secret.get("SecretString", ""))


def _has_no_value(error: "ClientError") -> bool:
    # Both a missing secret and one without a value are not found.
    details = error.response["Error"]
    return details["Code"] == "ResourceNotFoundException" and "AWSCURRENT" in details.get("Message", "")


def _address(secret: str) -> str:
    try:
        fields = json.loads(secret)
        user, password = (quote(str(fields[name]), safe="") for name in ("username", "password"))
        host, port, database = (quote(str(fields.get(name, "")), safe="") for name in _LIBPQ_VARIABLES)
    except (ValueError, KeyError, TypeError, AttributeError):
        # Not chained: the error may quote the secret.
        raise ConfigurationError(
            "The secret of DATABASE_SECRET_ARN is not a JSON object with username and password."
        ) from None
    if not host and not os.environ.get("PGHOST"):
        raise ConfigurationError(
            "The secret of DATABASE_SECRET_ARN contains no host; secrets managed by RDS do not. Set "
            f"{', '.join(_LIBPQ_VARIABLES.values())}."
        )
    return f"postgresql://{user}:{password}@{host}{':' if port else ''}{port}/{database}"
