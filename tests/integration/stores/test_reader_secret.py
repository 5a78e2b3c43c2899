"""The database user of functions that only search: its secret on the local AWS, its role in a real Postgres."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

import boto3
import numpy as np
import psycopg
import pytest
from psycopg import sql

from embedstack.errors import CollectionNotFound, ConfigurationError
from embedstack.settings.settings import Settings
from embedstack.stores import CollectionInfo, Record
from embedstack.stores.database_secret import read_database_secret
from embedstack.stores.pgvector import PgVectorStore
from embedstack.stores.reader_secret import READER, provide_reader
from localaws.gateway.local_aws import LocalAws

INFO = CollectionInfo(name="readable", model_id="a/b", dimensions=3)
VECTOR = np.array([1, 0, 0], np.float32)


@pytest.fixture
def client(local_aws: LocalAws) -> Any:
    session = boto3.Session("testing", "testing", region_name="us-east-1")
    return session.client("secretsmanager", endpoint_url=local_aws.url)


@pytest.fixture
def new_secret(client: Any, request: pytest.FixtureRequest) -> Callable[[str | None], str]:
    """Creates the test's secret, without a value as Terraform does or with one; its ARN."""

    def create(value: str | None = None) -> str:
        values = {} if value is None else {"SecretString": value}
        arn: str = client.create_secret(Name=f"reader-{request.node.name}", **values)["ARN"]
        return arn

    return create


@pytest.fixture
def owner(database_url: str) -> PgVectorStore:
    """The owner's store with one record, in a database without a reader."""
    store = PgVectorStore(database_url)
    store.open(INFO).upsert([Record("r", "text", VECTOR)])
    with psycopg.connect(database_url, autocommit=True) as connection:
        if connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (READER,)).fetchone() is not None:
            connection.execute(f"DROP OWNED BY {READER}; DROP ROLE {READER}")
    return store


def as_reader(url: str) -> str:
    return psycopg.conninfo.make_conninfo(url, user=READER)


def test_reader_may_search_and_nothing_else(
    owner: PgVectorStore, database_url: str, s3vectors_settings: Settings, new_secret: Callable[..., str]
) -> None:
    arn = new_secret()
    provide_reader(owner, arn, s3vectors_settings)
    with PgVectorStore(as_reader(database_url)) as store:
        collection = store.open(store.describe(INFO.name), create=False)
        assert [hit.record.id for hit in collection.search(VECTOR, k=1)] == ["r"]
        with pytest.raises(ConfigurationError, match="The database role may not do this"):
            collection.upsert([Record("s", "text", VECTOR)])
    with psycopg.connect(as_reader(database_url), autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'embedstack'").fetchall()
        assert tables
        for (name,), statement in product(tables, ("DROP TABLE {} CASCADE", "DELETE FROM {}")):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(sql.SQL(statement).format(sql.Identifier("embedstack", name)))
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("CREATE TABLE embedstack.mine ()")
    owner.close()


def test_reader_secret_gets_one_password_from_concurrent_writers(
    owner: PgVectorStore, database_url: str, s3vectors_settings: Settings, new_secret: Callable[..., str], client: Any
) -> None:
    arn = new_secret()
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: provide_reader(owner, arn, s3vectors_settings), range(4)))
    fields = json.loads(client.get_secret_value(SecretId=arn)["SecretString"])
    assert fields["username"] == READER
    assert len(fields["password"]) >= 32
    assert len(client.describe_secret(SecretId=arn)["VersionIdsToStages"]) == 1
    verifier = "SELECT rolpassword FROM pg_authid WHERE rolname = %s"
    with psycopg.connect(database_url) as connection:
        (stored,) = connection.execute(verifier, (READER,)).fetchone() or ("",)
    assert stored.startswith("SCRAM-SHA-256$")
    provide_reader(owner, arn, s3vectors_settings)
    assert json.loads(client.get_secret_value(SecretId=arn)["SecretString"]) == fields
    owner.close()


def test_password_of_reader_can_be_rotated(
    owner: PgVectorStore, database_url: str, s3vectors_settings: Settings, new_secret: Callable[..., str]
) -> None:
    provide_reader(owner, new_secret(), s3vectors_settings)
    verifier = "SELECT rolpassword FROM pg_authid WHERE rolname = %s"
    with psycopg.connect(database_url, autocommit=True) as connection:
        first = connection.execute(verifier, (READER,)).fetchone()
        owner.grant_reader(READER, "another password")
        assert connection.execute(verifier, (READER,)).fetchone() != first
    owner.close()


def test_reader_of_collections_that_are_created_later(
    owner: PgVectorStore, database_url: str, s3vectors_settings: Settings, new_secret: Callable[..., str]
) -> None:
    provide_reader(owner, new_secret(), s3vectors_settings)
    later = CollectionInfo(name="later", model_id="a/b", dimensions=3)
    owner.open(later).upsert([Record("l", "text", VECTOR)])
    with PgVectorStore(as_reader(database_url)) as store:
        assert [hit.record.id for hit in store.open(later, create=False).search(VECTOR, k=1)] == ["l"]
    owner.drop("later")
    owner.close()


def test_reader_secret_without_a_value_means_that_nothing_was_ingested(
    s3vectors_settings: Settings, new_secret: Callable[..., str]
) -> None:
    with pytest.raises(CollectionNotFound, match="Ingest a document"):
        read_database_secret(new_secret(), s3vectors_settings)


@pytest.mark.parametrize("value", ["{}", "[]", "secret words", '{"username": "postgres", "password": "p"}'])
def test_reader_secret_of_another_format_is_rejected_without_its_content(
    owner: PgVectorStore, s3vectors_settings: Settings, new_secret: Callable[..., str], value: str
) -> None:
    with pytest.raises(ConfigurationError, match="not a JSON object with username 'embedstack_reader'") as caught:
        provide_reader(owner, new_secret(value), s3vectors_settings)
    assert "secret words" not in str(caught.value)
    owner.close()


def test_missing_reader_secret_is_named(owner: PgVectorStore, s3vectors_settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match="DATABASE_READER_SECRET_ARN"):
        provide_reader(owner, "no-such-secret", s3vectors_settings)
    owner.close()
