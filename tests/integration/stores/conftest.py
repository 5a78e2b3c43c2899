"""A database and a local AWS for each module."""

import re
from collections.abc import Iterator

import boto3
import psycopg
import pytest
from psycopg import sql

from embedstack.settings.settings import Settings
from embedstack.stores.base import Collection, VectorStore
from embedstack.stores.embedded_postgres import EmbeddedPostgres
from embedstack.stores.pgvector import PgVectorStore
from embedstack.stores.s3vectors import S3VectorsStore
from localaws import LocalAwsConfig
from localaws.gateway.local_aws import LocalAws
from tests.integration.stores.samples import BUCKET, collection, records


@pytest.fixture(scope="module")
def database_url(postgres: EmbeddedPostgres, request: pytest.FixtureRequest) -> str:
    """An empty database."""
    name = re.sub(r"\W", "_", request.module.__name__.rpartition(".")[2])
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return postgres.database_url(name)


@pytest.fixture(scope="module")
def pgvector(database_url: str) -> Iterator[PgVectorStore]:
    """A store in the module's database."""
    with PgVectorStore(database_url) as store:
        yield store


@pytest.fixture(scope="module")
def local_aws() -> Iterator[LocalAws]:
    """A local AWS with a vector bucket."""
    with LocalAws(LocalAwsConfig(port=0)) as aws:
        client = boto3.Session("testing", "testing", region_name="us-east-1").client("s3vectors", endpoint_url=aws.url)
        client.create_vector_bucket(vectorBucketName=BUCKET)
        yield aws


@pytest.fixture(scope="module")
def s3vectors_settings(local_aws: LocalAws) -> Settings:
    """Settings for the local AWS."""
    return Settings(aws_region="us-east-1", aws_endpoint_url=local_aws.url)


@pytest.fixture(scope="module")
def s3vectors_calls() -> list[str]:
    """Names of the operations that the store sent, in order."""
    return []


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")


@pytest.fixture(scope="module")
def s3vectors(s3vectors_settings: Settings, s3vectors_calls: list[str]) -> S3VectorsStore:
    """A store in the vector bucket."""
    session = boto3.Session("testing", "testing", region_name="us-east-1")
    session.events.register("before-send.s3vectors", lambda event_name, **_: _note(s3vectors_calls, event_name))
    return S3VectorsStore(BUCKET, settings=s3vectors_settings, session=session)


def _note(calls: list[str], event_name: str) -> None:
    calls.append(event_name.rpartition(".")[2])


@pytest.fixture(scope="module", params=["pgvector", "s3vectors"])
def store(request: pytest.FixtureRequest) -> VectorStore:
    """Each kind of store."""
    store: VectorStore = request.getfixturevalue(request.param)
    return store


@pytest.fixture
def empty(store: VectorStore, request: pytest.FixtureRequest) -> Iterator[Collection]:
    """An empty collection for one test."""
    name = "c-" + request.node.originalname.replace("_", "-")[-60:].strip("-")
    store.drop(name)
    yield store.open(collection(name))
    store.drop(name)


@pytest.fixture(scope="module")
def filled(store: VectorStore) -> Collection:
    """A collection with 120 records, which tests only read."""
    opened = store.open(collection("filled"))
    opened.upsert(records(120))
    return opened
