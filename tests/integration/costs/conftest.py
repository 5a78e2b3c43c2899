"""A database for each test."""

import os

import psycopg
import pytest

from embedstack.stores.embedded_postgres import EmbeddedPostgres


@pytest.fixture
def ledger_database(postgres: EmbeddedPostgres) -> str:
    """An empty database."""
    name = f"ledger_{os.getpid()}"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {name}")
    return postgres.database_url(name)
