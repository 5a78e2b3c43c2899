"""Ingestion from settings: the real model, a real Postgres, its address from Secrets Manager."""

import io
import json
import shutil

import boto3
import psycopg
import pytest
from PIL import Image, ImageDraw, ImageFont

from conftest import MINILM
from embedstack.documents import load_ingestion, search
from embedstack.documents.load import find_tokenizer
from embedstack.errors import CollectionMismatch, CollectionNotFound, ConfigurationError, DocumentRefused
from embedstack.factory import load_embedder
from embedstack.models.model_info import ModelInfo
from embedstack.settings.settings import Settings, change_settings, load_settings
from embedstack.stores import load_store

MARKDOWN = """# Ada Lovelace

Ada Lovelace was born in London in 1815. Her father was the poet Lord Byron.

## Work

She wrote the first program for a machine that was never built.

# The weather

Snow fell on the Alps all night, and the trains to Naples were late.
"""


@pytest.fixture
def settings(database_url, tmp_path, monkeypatch) -> Settings:
    monkeypatch.chdir(tmp_path)
    return load_settings(embedding_backend="local", database_url=database_url, embedstack_chunk_tokens=32)


@pytest.mark.skipif(shutil.which("tesseract") is None, reason="needs Tesseract")
def test_load_ingestion_applies_the_settings_of_ocr(settings):
    image = Image.new("L", (900, 120), "white")
    ImageDraw.Draw(image).text((30, 30), "Invoices are due", fill="black", font=ImageFont.load_default(44))
    picture = io.BytesIO()
    image.save(picture, "PNG")
    with (
        load_ingestion(settings, embedstack_collection="pictures") as ingestion,
        pytest.raises(DocumentRefused, match="EMBEDSTACK_OCR=true"),
    ):
        ingestion.ingest("a.png", io.BytesIO(picture.getvalue()))
    with load_ingestion(settings, embedstack_collection="pictures", embedstack_ocr=True) as ingestion:
        assert ingestion.ingest("a.png", io.BytesIO(picture.getvalue())).chunks == 1


@pytest.mark.parametrize(
    ("name", "overrides"),
    [
        ("plain", {}),
        ("late", {"embedstack_late_chunking": True}),
        ("prefixed", {"embedstack_document_context": "{source} > {headings}: "}),
    ],
)
def test_load_ingestion_and_semantic_search(settings, name, overrides):
    overrides = {"embedstack_collection": name, **overrides}
    with load_ingestion(settings, **overrides) as ingestion:
        done = ingestion.ingest("people/ada.md", io.BytesIO(MARKDOWN.encode()))
        assert done.chunks == done.embedded >= 3
        with load_embedder(settings) as embedder:
            questions = {
                "Did the trains run in winter?": "The weather",
                "Who wrote the first program?": "Work",
            }
            for question, heading in questions.items():
                hit = search(embedder, ingestion.collection, question, k=1)[0]
                assert (hit.source, hit.headings[-1]) == ("people/ada.md", heading)
            [words] = search(embedder, ingestion.collection, "Naples", k=1, mode="hybrid")
            assert "Naples" in words.text
    with load_ingestion(settings, **overrides) as ingestion:
        assert ingestion.ingest("people/ada.md", io.BytesIO(MARKDOWN.encode())).embedded == 0


def test_load_ingestion_builds_missing_indexes(settings, database_url):
    """The process that created the collection was killed before it built the indexes."""
    load_ingestion(settings, embedstack_collection="unbuilt", optimize=False).close()
    load_ingestion(settings, embedstack_collection="unbuilt").close()
    with psycopg.connect(database_url) as connection:
        [row] = connection.execute(
            "SELECT indisvalid FROM pg_index JOIN embedstack.generations ON collection = 'unbuilt' "
            "AND indexrelid = format('embedstack.records_%s_embedding', id)::regclass"
        ).fetchall()
    assert row == (True,)


def test_load_ingestion_rejects_other_settings(settings):
    load_ingestion(settings, embedstack_collection="existing").close()
    with pytest.raises(CollectionMismatch, match="semantic-32"):
        load_ingestion(settings, embedstack_collection="existing", embedstack_chunk_tokens=64)
    with pytest.raises(CollectionMismatch, match="prompt"):
        load_ingestion(settings, embedstack_collection="existing", embedstack_document_context="{source}: ")
    with pytest.raises(ConfigurationError, match="reads 256 tokens"):
        load_ingestion(settings, embedstack_chunk_tokens=512)


def test_late_chunking_has_a_smaller_default_chunk_size(settings):
    late = change_settings(settings, embedstack_chunk_tokens=None, embedstack_late_chunking=True)
    with load_ingestion(late, embedstack_collection="default") as ingestion:
        assert ingestion.chunker.max_tokens == 64
        assert str(ingestion.collection.info.chunker).startswith("late-semantic-64-")


def test_find_tokenizer_searches_three_places(settings, tmp_path, minilm_folder, monkeypatch):
    assert find_tokenizer(settings, ModelInfo(MINILM)) == minilm_folder / "tokenizer.json"
    monkeypatch.setenv("LAMBDA_TASK_ROOT", str(tmp_path))
    with pytest.raises(ConfigurationError, match="set EMBEDSTACK_TOKENIZER"):
        find_tokenizer(settings, ModelInfo("amazon.titan-embed-text-v2:0"))
    (tmp_path / "tokenizer.json").write_text("{}")
    assert find_tokenizer(settings, ModelInfo("amazon.titan-embed-text-v2:0")) == tmp_path / "tokenizer.json"
    named = settings.model_copy(update={"embedstack_tokenizer": tmp_path / "other.json"})
    assert find_tokenizer(named, ModelInfo(MINILM)) == tmp_path / "other.json"


def test_load_store_reads_the_address_from_a_secret(database_url, postgres, local_aws, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    password = "p@ss:/w%rd "  # noqa: S105 - hard to quote
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS writer")
        connection.execute(f"CREATE ROLE writer SUPERUSER LOGIN PASSWORD '{password}'")
        database = connection.info.dbname
    host = psycopg.conninfo.conninfo_to_dict(postgres.url)["host"]
    secret = {"username": "writer", "password": password, "host": host, "port": 5432, "dbname": database}
    settings = load_settings(aws_region="us-east-1", aws_endpoint_url=local_aws.url)
    client = boto3.client("secretsmanager", region_name="us-east-1", endpoint_url=local_aws.url)

    def put(content: str) -> None:
        client.put_secret_value(SecretId=arn, SecretString=content)

    arn = client.create_secret(Name="database", SecretString=json.dumps(secret))["ARN"]
    with load_store(settings, database_secret_arn=arn) as store:
        assert store.collections() is not None
    put(json.dumps({"password": password}))
    with pytest.raises(ConfigurationError, match="is not a JSON object with username and password") as caught:
        load_store(settings, database_secret_arn=arn)
    assert password not in str(caught.value)
    put(json.dumps({"username": "writer", "password": password}))
    with pytest.raises(ConfigurationError, match="Set PGHOST, PGPORT, PGDATABASE"):
        load_store(settings, database_secret_arn=arn)
    for name, value in {"PGHOST": host, "PGPORT": "5432", "PGDATABASE": database}.items():
        monkeypatch.setenv(name, value)
    with load_store(settings, database_secret_arn=arn) as store:
        assert store.collections() is not None
    put(json.dumps({**secret, "dbname": "absent"}))
    with pytest.raises(ConfigurationError, match='database "absent" does not exist'):
        load_store(settings, database_secret_arn=arn)
    with pytest.raises(ConfigurationError, match="ResourceNotFoundException"):
        load_store(settings, database_secret_arn=arn.replace("database", "absent"))


def test_find_tokenizer_uses_the_cache_of_the_hub(settings, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    model = ModelInfo("nobody/unknown-model")
    with pytest.raises(ConfigurationError, match="Hub does not provide it"):
        find_tokenizer(settings, model)
    snapshot = tmp_path / "models--nobody--unknown-model" / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "tokenizer.json").write_text("{}")
    references = snapshot.parents[1] / "refs"
    references.mkdir()
    (references / "main").write_text("0" * 40)
    assert find_tokenizer(settings, model) == snapshot / "tokenizer.json"


def test_ingestion_creates_the_user_of_searches(settings, postgres, local_aws, monkeypatch):
    """As the functions do on Aurora: the ingestion with the owner's secret, the search with the reader's."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", local_aws.url)
    client = boto3.client("secretsmanager", region_name="us-east-1", endpoint_url=local_aws.url)
    arn = client.create_secret(Name="alex-vectors-reader")["ARN"]
    address = psycopg.conninfo.conninfo_to_dict(settings.database_url.get_secret_value())
    for name, variable in {"host": "PGHOST", "port": "PGPORT", "dbname": "PGDATABASE"}.items():
        monkeypatch.setenv(variable, str(address.get(name, "5432")))
    searching = load_settings(aws_region="us-east-1", aws_endpoint_url=local_aws.url, database_secret_arn=arn)
    with pytest.raises(CollectionNotFound, match="Ingest a document"):
        load_store(searching)
    writing = {"aws_region": "us-east-1", "aws_endpoint_url": local_aws.url, "database_reader_secret_arn": arn}
    with load_ingestion(settings, embedstack_collection="read", **writing) as ingestion:
        ingestion.ingest("people/ada.md", io.BytesIO(MARKDOWN.encode()))
    with load_store(searching) as store, load_embedder(settings) as embedder:
        collection = store.open(store.describe("read"), create=False)
        assert search(embedder, collection, "Who wrote the first program?", k=1)[0].source == "people/ada.md"
        with pytest.raises(ConfigurationError, match="The database role may not do this"):
            collection.delete(["people/ada.md"])
        with pytest.raises(ConfigurationError, match="The database role may not do this"):
            store.drop("read")
