"""The Postgres client logs no text, vector or password."""

import logging
from urllib.parse import urlsplit

import numpy as np
import pytest

from embedstack.errors import EmbedStackError
from embedstack.stores import Record
from embedstack.stores.pgvector import PgVectorStore
from tests.integration.stores.samples import collection

TEXT = "the password is Rumpelstiltskin"


def test_postgres_client_logs_no_confidential_data(database_url, caplog):
    caplog.set_level(logging.DEBUG)
    parts = urlsplit(database_url)
    # The password is ignored by a server with trust authentication.
    url = parts._replace(netloc=f"{parts.username}:veryprivate@{parts.netloc.rpartition('@')[2]}").geturl()
    vector = np.random.default_rng(1).normal(size=8).astype(np.float32)
    vector /= np.linalg.norm(vector)
    with PgVectorStore(url) as store:
        opened = store.open(collection("logs"))
        opened.upsert([Record("r", TEXT, vector, {"secret": "Rumpelstiltskin"})])
        assert opened.search(vector, k=1)[0].record.text == TEXT
        store.drop("logs")
    wrong = url.replace(f"{parts.username}:", "nobody:", 1)
    with pytest.raises(EmbedStackError) as caught, PgVectorStore(wrong) as store:
        store.open(collection("logs"))
    logged = "\n".join([*(record.getMessage() for record in caplog.records), str(caught.value)])
    for secret in ("veryprivate", "Rumpelstiltskin", *(f"{abs(part):.5f}" for part in vector[:4])):
        assert secret not in logged
