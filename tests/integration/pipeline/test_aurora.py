"""The pipeline with Aurora, whose Postgres is killed as well."""

from collections.abc import Iterator

import boto3
import psycopg
import pytest

from default_network import default_subnets
from embedstack.settings.settings import load_settings
from embedstack.stores.database_secret import read_database_secret
from embedstack.stores.reader_secret import READER
from tests.integration.conftest import running_stack
from tests.integration.pipeline.deployment import Running, deployed
from tests.integration.pipeline.faults import ingest_under_faults

# The provider waits half a minute for each of two queues and a database.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def aurora(tmp_path_factory, minilm_folder, function_packages) -> Iterator[Running]:
    with running_stack(tmp_path_factory.mktemp("aurora")) as stack:
        subnets = default_subnets(load_settings())
        with deployed(stack, function_packages, minilm_folder / "tokenizer.json", subnets) as running:
            yield running


def indexes_for_vectors(running):
    """Whether each vector index is valid."""
    settings = running.pipeline.settings
    with psycopg.connect(read_database_secret(settings.database_secret_arn, settings)) as connection:
        rows = connection.execute(
            "SELECT indisvalid FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid "
            "WHERE relname ~ '^records_[0-9]+_embedding$'"
        ).fetchall()
    return [row[0] for row in rows]


def test_documents_are_stored_once_or_in_dlq_on_aurora(aurora):
    assert aurora.was_up_to_date
    ingested = ingest_under_faults(aurora, 24, ("database", "function", "model"), most=2)
    assert ingested.kills.keys() == {"database", "function", "model"}
    ingested.assert_stored_once_or_in_dlq()
    ingested.assert_embedded_once()
    source = min(ingested.expected)
    text = ingested.expected[source][0][1]
    assert indexes_for_vectors(aurora) == [True], "built by a function that was not killed"
    first, *others = aurora.pipeline.search(text[:500], filter={"source": source}, k=50)
    assert (first["source"], first["position"], first["text"]) == (source, 0, text)
    assert len(others) == len(ingested.expected[source]) - 1
    assert owner_of_searches(aurora) == READER


def owner_of_searches(running):
    """The database user of the search function, by the secret in its environment."""
    client = boto3.client("lambda", endpoint_url=running.stack.running.url)
    (name,) = (function["FunctionName"] for function in client.list_functions()["Functions"]
               if function["FunctionName"].endswith("-search"))  # fmt: skip
    variables = client.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    assert "DATABASE_READER_SECRET_ARN" not in variables
    address = read_database_secret(variables["DATABASE_SECRET_ARN"], running.pipeline.settings)
    return psycopg.conninfo.conninfo_to_dict(address)["user"]
