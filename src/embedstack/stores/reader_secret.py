"""Creates the database user of the functions that only search, which may read and nothing else."""

import json
import secrets
from typing import TYPE_CHECKING

from embedstack.errors import ConfigurationError

if TYPE_CHECKING:
    import boto3

    from embedstack.aws.clients import AwsClient
    from embedstack.settings.settings import Settings
    from embedstack.stores.pgvector import PgVectorStore

__all__ = ["READER", "provide_reader"]

#: The role's name in the database.
READER = "embedstack_reader"

_PASSWORD_BYTES = 24
# Secrets Manager rejects another value with the token of an existing version, so that concurrent processes agree on one
# password: the first.
_FIRST_VERSION = "embedstack-first-password-of-reader"


def provide_reader(
    store: "PgVectorStore", arn: str, settings: "Settings", *, session: "boto3.Session | None" = None
) -> None:
    """Create the role of a reader's secret, unless it exists, and let it read all collections.

    Its password is created in the secret, which Terraform creates without a value, so that no state contains it. To
    rotate the password, change it in the secret and run ``embedstack database grant-reader``.

    Args:
        store: The store, whose role may create roles.
        arn: The secret's ARN or name, for ``DATABASE_SECRET_ARN`` of the readers.
        settings: Region, endpoint and credentials.
        session: A custom boto3 session.

    Raises:
        ConfigurationError: The secret does not exist, may not be changed, or has another format; or the store's role
            may not create roles.
        StoreUnavailable: The database or Secrets Manager does not respond.
    """
    # boto3 takes long to import.
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    from embedstack.aws.clients import AwsClient  # noqa: PLC0415

    if store.has_reader(READER):
        return
    client = AwsClient("secretsmanager", settings, max_connections=1, session=session)
    try:
        password = _password(client, arn)
    except (BotoCoreError, ClientError) as error:
        raise client.translate(error) from error
    store.grant_reader(READER, password)


def _password(client: "AwsClient", arn: str) -> str:
    from botocore.exceptions import ClientError  # noqa: PLC0415

    try:
        content = client.call(lambda service: service.get_secret_value(SecretId=arn))["SecretString"]
    except ClientError as error:
        # The secret has no value, or does not exist.
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        first = json.dumps({"username": READER, "password": secrets.token_urlsafe(_PASSWORD_BYTES)})
        try:
            client.call(
                lambda service: service.put_secret_value(
                    SecretId=arn, SecretString=first, ClientRequestToken=_FIRST_VERSION
                )
            )
        except ClientError as failure:
            if failure.response["Error"]["Code"] != "ResourceExistsException":
                raise
        content = client.call(lambda service: service.get_secret_value(SecretId=arn))["SecretString"]
    try:
        fields = json.loads(content)
        if fields["username"] == READER:
            return str(fields["password"])
    except (ValueError, KeyError, TypeError):
        pass
    # Not chained: the error may quote the secret.
    raise ConfigurationError(
        f"The secret of DATABASE_READER_SECRET_ARN is not a JSON object with username {READER!r} and password. "
        "Correct its value."
    ) from None
