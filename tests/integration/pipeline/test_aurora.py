"""The same pipeline on Aurora, whose Postgres dies at random, too."""

from collections.abc import Iterator

import psycopg
import pytest

from default_network import default_subnets
from embedstack.settings.settings import load_settings
from embedstack.stores.database_secret import read_database_secret
from tests.integration.conftest import running_stack
from tests.integration.pipeline.deployment import Running, deployed
from tests.integration.pipeline.faults import ingest_under_faults

# Two queues and a database are made, and the provider waits for half a minute at each.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def aurora(tmp_path_factory, minilm_folder, function_packages) -> Iterator[Running]:
    with running_stack(tmp_path_factory.mktemp("aurora")) as stack:
        subnets = default_subnets(load_settings())
        with deployed(stack, function_packages, minilm_folder / "tokenizer.json", subnets) as running:
            yield running


def indexes_for_vectors(running):
    """Of each index over vectors, whether it can be used."""
    settings = running.pipeline.settings
    with psycopg.connect(read_database_secret(settings.database_secret_arn, settings)) as connection:
        rows = connection.execute(
            "SELECT indisvalid FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid "
            "WHERE relname ~ '^records_[0-9]+_embedding$'"
        ).fetchall()
    return [row[0] for row in rows]


def test_each_document_is_in_postgres_once_or_aside_with_its_reason(aurora):
    assert aurora.was_up_to_date
    ingested = ingest_under_faults(aurora, 24, ("database", "function", "model"), most=2)
    assert ingested.kills.keys() == {"database", "function", "model"}
    ingested.assert_each_is_there_once_or_aside()
    ingested.assert_nothing_is_embedded_twice()
    source = min(ingested.expected)
    text = ingested.expected[source][0][1]
    assert indexes_for_vectors(aurora) == [True], "built by whichever function lived long enough"
    first, *others = aurora.pipeline.search(text[:500], filter={"source": source}, k=50)
    assert (first["source"], first["position"], first["text"]) == (source, 0, text)
    assert len(others) == len(ingested.expected[source]) - 1
