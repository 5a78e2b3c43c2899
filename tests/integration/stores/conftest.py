"""One Postgres for the tests of a process, and a database of its own for each module."""

import re
from collections.abc import Iterator

import boto3
import psycopg
import pytest
from psycopg import sql

from embedstack.settings import Settings
from embedstack.stores import embedded_postgres
from embedstack.stores.embedded_postgres import EmbeddedPostgres
from embedstack.stores.pgvector import PgVectorStore
from embedstack.stores.s3vectors import S3VectorsStore
from tests.integration.stores.s3vectors_service import BUCKET, Service, running_service


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A server in a folder that only its owner can enter, as pytest makes them."""
    folder = tmp_path_factory.mktemp("postgres") / "data"
    try:
        yield embedded_postgres.start(folder)
    finally:
        embedded_postgres.stop(folder)


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
    """A store in that database."""
    with PgVectorStore(database_url) as store:
        yield store


@pytest.fixture(scope="session")
def s3vectors_address() -> Iterator[tuple[Service, str]]:
    """S3 Vectors' protocol on this machine."""
    with running_service() as running:
        yield running


@pytest.fixture(scope="session")
def s3vectors_service(s3vectors_address: tuple[Service, str]) -> Service:
    """What it holds."""
    return s3vectors_address[0]


@pytest.fixture(scope="session")
def s3vectors_settings(s3vectors_address: tuple[Service, str]) -> Settings:
    """Settings that name it."""
    return Settings(aws_region="us-east-1", aws_endpoint_url=s3vectors_address[1])


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")


@pytest.fixture(scope="module")
def s3vectors(s3vectors_settings: Settings) -> S3VectorsStore:
    """A store in it."""
    session = boto3.Session("testing", "testing", region_name="us-east-1")
    return S3VectorsStore(BUCKET, settings=s3vectors_settings, session=session)
