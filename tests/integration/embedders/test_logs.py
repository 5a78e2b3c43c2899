"""No text, key or vector in any log, at any level, of this library or of what it is built on."""

import logging

import pytest

from embedstack import load_embedder
from embedstack.errors import EmbedStackError

ENDPOINTS = ("own", "tei")
TEXT = "the password is Rumpelstiltskin"


@pytest.mark.parametrize(
    ("backend", "options"),
    [
        ("sagemaker", {"sagemaker_endpoint": "tei"}),
        ("sagemaker", {"sagemaker_endpoint": "own"}),
        ("bedrock", {}),
        ("ollama", {}),
        ("local", {}),
    ],
)
def test_nothing_confidential_is_logged(aws, ollama_url, caplog, tmp_path, backend, options, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "veryprivatekey")
    caplog.set_level(logging.DEBUG)
    with load_embedder(
        embedding_backend=backend, embedstack_cache_file=tmp_path / "cache.db", ollama_host=ollama_url, **options
    ) as embedder:
        vector = embedder.embed([TEXT])[0]
        embedder.embed([TEXT + "!"])
        embedder.embed(["", TEXT + "?" * 10, "word " * 11_000], on_error="collect")
        with pytest.raises(EmbedStackError) as caught:
            embedder.embed([TEXT * 2_000])
    assert caplog.records, "something is logged, so that there is something to look at"
    logged = "\n".join(logging.Formatter("%(name)s %(message)s").format(record) for record in caplog.records)
    for secret in ("Rumpelstiltskin", "veryprivatekey", *(f"{abs(part):.5f}" for part in vector[:4])):
        assert secret not in logged
        assert secret not in str(caught.value)
