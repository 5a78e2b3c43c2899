"""``embedstack ingest`` and ``embedstack reindex``: every document is stored or reported with a remedy."""

import json

import boto3
import pytest
from click.testing import CliRunner

from embedstack.documents import ReadLimits
from embedstack.errors import ConfigurationError
from embedstack_ops.cli import ingest, reindex, search


@pytest.fixture
def environment(database_url, local_aws, minilm_folder, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    variables = {
        "AWS_ENDPOINT_URL": local_aws.url, "AWS_REGION": "us-east-1", "EMBEDDING_BACKEND": "fake",
        "DATABASE_URL": database_url, "EMBEDSTACK_TOKENIZER": str(minilm_folder / "tokenizer.json"), "COLUMNS": "200",
    }  # fmt: skip
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return local_aws


@pytest.fixture
def bucket(environment):
    """A function that uploads an object to a new bucket."""
    client = boto3.client("s3", region_name="us-east-1", endpoint_url=environment.url)
    client.create_bucket(Bucket="documents")
    yield lambda key, content: client.put_object(Bucket="documents", Key=key, Body=content)
    for listed in client.list_objects_v2(Bucket="documents").get("Contents", []):
        client.delete_object(Bucket="documents", Key=listed["Key"])
    client.delete_bucket(Bucket="documents")


def run(*arguments, command=ingest.main):
    done = CliRunner().invoke(command, [*map(str, arguments)])
    return done.exit_code, done.output


def test_ingest_reports_failed_documents_and_continues(bucket, monkeypatch):
    bucket("good.txt", b"The cat sleeps.")
    bucket("notes [draft].txt", b"")
    bucket("a[/b].txt", b"\0\1\2" * 100)
    bucket("large.txt", b"x" * 1001)
    monkeypatch.setattr(ingest, "ReadLimits", lambda: ReadLimits(max_bytes=1000))
    list_places = ingest._places

    def places(source, settings):
        yield from list_places(source, settings)
        yield ingest.Place("gone [now].txt", 5, bucket="documents")

    monkeypatch.setattr(ingest, "_places", places)
    status, output = run("s3://documents/", "--collection", "commands")
    assert status == 1
    assert "1 of 5 documents are in commands: 1 chunks" in output
    assert "notes [draft].txt" in output
    assert "a[/b].txt" in output
    assert "large.txt has 1,001 bytes; the limit is 1,000" in output
    assert "gone [now].txt was deleted after it was listed" in output


def stored_metadata(collection):
    """Metadata of hits by source, without the content digest."""
    done = CliRunner().invoke(search.main, ["a cat", "--collection", collection, "--json", "-k", "9"])
    assert done.exit_code == 0, done.output
    return {hit["source"]: {**hit["metadata"], "document": None} for hit in json.loads(done.stdout)["hits"]}


def test_ingest_stores_metadata_and_prints_notes(environment, tmp_path):
    (tmp_path / "pets").mkdir()
    (tmp_path / "pets" / "cat.txt").write_bytes(b"The cat sleeps in the caf\xe9.")
    (tmp_path / "pets" / "cat.txt.metadata.json").write_text('{"metadataAttributes": {"year": 2025, "team": "blue"}}')
    (tmp_path / "pets" / "dog.txt").write_text("The dog barks.")
    options = ["--collection", "with-metadata", "--metadata", "team=red", "--metadata", "open=true"]
    status, output = run("pets", *options)
    assert status == 0, output
    assert "2 of 2 documents" in output
    assert "! cat.txt: " in output
    metadata = stored_metadata("with-metadata")
    assert metadata["dog.txt"] == {"team": "red", "open": True, "document": None}
    assert {name: metadata["cat.txt"][name] for name in ("year", "team", "open")} == {
        "year": 2025, "team": "red", "open": True,
    }  # fmt: skip
    (tmp_path / "pets" / "cat.txt.metadata.json").write_text("[]")
    status, output = run("pets", *options)
    assert status == 1
    assert 'The metadata file of cat.txt has no object "metadataAttributes"' in output


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("a.txt", "--metadata", "team"), "is not NAME=VALUE"),
        (("a.txt", "--metadata", "source=b"), "reserved names: source"),
        (("a.txt.metadata.json",), "is the metadata of a.txt"),
    ],
)
def test_ingest_rejects_bad_metadata_options(environment, tmp_path, arguments, problem):
    (tmp_path / "a.txt").write_text("The cat sleeps.")
    (tmp_path / "a.txt.metadata.json").write_text("{}")
    status, output = run(*arguments)
    assert status == 2
    assert problem in output


def test_ingest_reads_metadata_and_tags_from_s3(bucket, environment):
    bucket("cat.txt", b"The cat sleeps.")
    bucket("cat.txt.metadata.json", b'{"metadataAttributes": {"year": 2025}}')
    client = boto3.client("s3", region_name="us-east-1", endpoint_url=environment.url)
    client.put_object(
        Bucket="documents", Key="dog.txt", Body=b"The dog barks.", Metadata={"Author": "Ann", "page": "7"},
        Tagging="team=blue&author=tag",
    )  # fmt: skip
    status, output = run("s3://documents/", "--collection", "s3-metadata")
    assert status == 0, output
    assert "2 of 2 documents" in output
    assert "! dog.txt: S3 metadata that was ignored because its names are reserved: 1." in output
    metadata = stored_metadata("s3-metadata")
    assert metadata["cat.txt"] == {"year": 2025, "document": None}
    assert metadata["dog.txt"].pop("notes") == ["S3 metadata that was ignored because its names are reserved: 1."]
    assert metadata["dog.txt"] == {"author": "Ann", "team": "blue", "document": None}


PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(100)


def test_ingest_skips_unsupported_types(environment, tmp_path):
    (tmp_path / "handbook").mkdir()
    (tmp_path / "handbook" / "cat.txt").write_text("The cat sleeps.")
    (tmp_path / "handbook" / "cat.png").write_bytes(PICTURE)
    status, output = run("handbook", "--collection", "with-pictures")
    assert status == 0
    assert "skipped (unsupported type): 1 .png" in output
    assert "1 of 2 documents are in with-pictures" in output


@pytest.mark.parametrize(
    "arguments", [("handbook", "--strict"), ("handbook/cat.png",), ("handbook", "handbook/cat.png")]
)
def test_ingest_fails_for_an_explicitly_named_picture(environment, tmp_path, arguments):
    (tmp_path / "handbook").mkdir()
    (tmp_path / "handbook" / "cat.png").write_bytes(PICTURE)
    if arguments[-1] != "handbook/cat.png" or len(arguments) == 1:
        (tmp_path / "handbook" / "cat.txt").write_text("The cat sleeps.")
    status, output = run(*arguments, "--collection", "strict-pictures")
    assert status == 1
    assert "cat.png is an image, which needs OCR" in output


def test_ingest_rejects_duplicate_names_before_reading(environment, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "notes.txt").write_text(f"The notes of {folder}.")
    status, output = run("a", "b", "--collection", "same-names")
    assert status == 2
    assert "a/notes.txt and b/notes.txt would both be stored as notes.txt" in output
    assert run("a", "a/notes.txt", "--collection", "same-names")[0] == 0
    assert run(".", "--collection", "same-names")[0] == 0


def test_ingest_enqueues_documents_of_a_bucket(bucket, environment, tmp_path):
    sqs = boto3.client("sqs", region_name="us-east-1", endpoint_url=environment.url)
    url = sqs.create_queue(QueueName="ingest")["QueueUrl"]
    bucket("2025/ä.txt", b"x")
    status, output = run("s3://documents/2025/", "--queue", url)
    assert (status, output.splitlines()[-1]) == (0, "Sent 1 documents to the pipeline's queue")
    [message] = sqs.receive_message(QueueUrl=url)["Messages"]
    assert json.loads(message["Body"]) == {"bucket": "documents", "key": "2025/ä.txt"}
    (tmp_path / "here.txt").write_text("x")
    status, output = run("here.txt", "--queue", url)
    assert status == 2
    assert "here.txt is not in S3" in output


def test_reindex_warns_if_later_documents_will_be_rejected(environment, tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("The cat sleeps.")
    assert run("a.txt", "--collection", "reindexed")[0] == 0
    status, output = run("--collection", "reindexed", command=reindex.main)
    assert (status, "later" in output) == (0, False)
    monkeypatch.setenv("EMBEDSTACK_CHUNK_TOKENS", "64")
    status, output = run("--collection", "reindexed", command=reindex.main)
    assert status == 0
    assert "documents added later, also by a pipeline, will be rejected" in output
    assert "reindexed: 1 vectors of" in output


@pytest.mark.parametrize(
    ("arguments", "called"),
    [((), "a of a-copy"), (("--endpoint", "b"), "b of None"), (("--endpoint", "b", "--component", "c"), "b of c")],
)
def test_reindex_ignores_the_component_of_another_endpoint(environment, monkeypatch, arguments, called):
    monkeypatch.setenv("SAGEMAKER_ENDPOINT", "a")
    monkeypatch.setenv("SAGEMAKER_INFERENCE_COMPONENT", "a-copy")

    def load_embedder(settings):
        raise ConfigurationError(f"{settings.sagemaker_endpoint} of {settings.sagemaker_inference_component}")

    monkeypatch.setattr(reindex, "load_embedder", load_embedder)
    status, output = run(*arguments, command=reindex.main)
    assert (status, output.strip()) == (2, f"error: {called}")


@pytest.fixture
def notes(environment, tmp_path, monkeypatch):
    """A collection with notes, and the fake reranker."""
    monkeypatch.setenv("RERANKER_BACKEND", "fake")
    folder = tmp_path / "notes"
    folder.mkdir()
    for name, text in {
        "cat.txt": "The cat sleeps.",
        "pay.txt": "Invoices are due in May.",
        "sky.txt": "It rains.",
    }.items():
        (folder / name).write_text(text, encoding="utf-8")
    assert run(folder, "--collection", "reranked")[0] == 0
    return "reranked"


def test_search_command_prints_both_scores_after_reranking(notes):
    status, output = run("invoices due", "--collection", notes, "-k", "1", "--rerank", "--json", command=search.main)
    [hit] = json.loads(output)["hits"]
    assert (status, hit["source"], hit["rerank_score"]) == (0, "pay.txt", 1.0)
    status, output = run(
        "invoices due", "--collection", notes, "--rerank", "--candidates", 3, "-k", 3, command=search.main
    )
    assert status == 0
    assert f"1.00 ({hit['score']:.2f})  pay.txt" in output


def test_search_command_rejects_candidates_without_reranker(notes):
    status, output = run("invoices", "--collection", notes, "--candidates", 9, command=search.main)
    assert (status, "Add --rerank" in output) == (2, True)


def test_search_command_names_the_missing_reranker(notes, monkeypatch):
    monkeypatch.setenv("RERANKER_BACKEND", "sagemaker")
    status, output = run("invoices", "--collection", notes, "--rerank", command=search.main)
    assert (status, "RERANKER_MODEL" in output) == (2, True)
