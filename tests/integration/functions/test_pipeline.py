"""The functions together: ingest, replace and remove documents of S3, and search them."""

import io
import itertools
import json
import os
import subprocess
import venv
import zipfile
from urllib.parse import quote_plus

import pytest

from conftest import MINILM
from embedstack.documents.chunking import first_chunk_id
from embedstack.documents.progress import Progress
from embedstack.documents.s3_objects import S3DocumentReader
from embedstack.errors import DocumentRefused
from embedstack.settings.settings import load_settings
from embedstack.stores import load_store
from embedstack_ops.lambda_packages.build import MAX_ZIP_BYTES
from tests.integration.functions.conftest import context, load
from tests.support.outlook_files import make_msg

TERMS = """# Terms

## Payment

Invoices are due within thirty days.

## Delivery

Parcels leave our warehouse on the day after the order.
"""


def notification(bucket, key):
    body = {"Records": [{"eventSource": "aws:s3", "s3": {"bucket": {"name": bucket}, "object": {"key": key}}}]}
    return json.dumps(body)


def test_uploaded_document_is_found_by_search(pipeline):
    pipeline.upload("terms/our terms.md", TERMS)
    pipeline.upload("animals.txt", "The cat sleeps on the sofa all day.")
    pipeline.drain()
    best = pipeline.search("When do I have to pay?", k=1)[0]
    assert best["source"] == "terms/our terms.md"
    assert best["headings"] == ["Terms", "Payment"]
    assert "thirty days" in best["text"]
    assert 0.3 < best["score"] <= 1
    assert {"position", "page", "metadata"} <= best.keys()
    assert pipeline.search("a pet that rests", k=1)[0]["source"] == "animals.txt"
    assert pipeline.dead_letters() == {}


def test_pipeline_replaces_and_removes_documents(pipeline):
    pipeline.upload("a.md", TERMS)
    pipeline.upload("b.txt", "The cat sleeps.")
    pipeline.drain()
    assert pipeline.sources()["a.md"] >= 2
    pipeline.upload("a.md", "# Terms\n\nInvoices are due at once.\n")
    pipeline.drain()
    assert pipeline.sources() == {"a.md": 1, "b.txt": 1}
    assert "at once" in pipeline.search("When do I pay?", k=1)[0]["text"]
    pipeline.delete("a.md")
    pipeline.drain()
    assert pipeline.sources() == {"b.txt": 1}


def test_ingest_ignores_order_and_repetition_of_messages(pipeline, capsys):
    pipeline.upload("a.txt", "The cat sleeps.")
    pipeline.upload("b.txt", "The dog barks.")
    messages = pipeline.receive()
    pipeline.delete("b.txt")
    capsys.readouterr()
    pipeline.invoke(messages + messages)
    pipeline.invoke(list(reversed(messages)))
    pipeline.drain()
    assert pipeline.sources() == {"a.txt": 1}
    assert sum(line["Embedded"][0] for line in metrics(capsys) if "Embedded" in line) == 1, (
        "the document is embedded once"
    )


def metrics(capsys):
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    return [line for line in lines if "_aws" in line]


KEYS = [
    "../../etc/passwd.txt", "two  words+plus%.txt", "über/\u65e5\u672c.txt", "a" * 900 + ".txt", "quo'te\"s;.txt",
]  # fmt: skip


def test_ingest_supports_special_characters_in_keys(pipeline):
    pipeline.s3.put_bucket_notification_configuration(Bucket=pipeline.bucket, NotificationConfiguration={})
    for key in KEYS:
        pipeline.upload(key, "The cat sleeps.")
        pipeline.send(notification(pipeline.bucket, quote_plus(key)))
    pipeline.drain()
    assert pipeline.sources() == dict.fromkeys(KEYS, 1)
    for key in KEYS:
        pipeline.delete(key)
        pipeline.send(json.dumps({"bucket": pipeline.bucket, "key": key}))
    pipeline.drain()
    assert pipeline.sources() == {}


def test_search_over_http_with_filter_and_hybrid_mode(pipeline):
    pipeline.upload("a.csv", "name,place\nTom,sofa\nRex,garden\n")
    pipeline.upload("b.txt", "Invoices are due within thirty days.")
    pipeline.drain()
    event = {
        "version": "2.0",
        "requestContext": {"http": {"method": "POST"}},
        "body": json.dumps({"query": "Rex", "k": 5, "mode": "hybrid", "filter": {"source": "a.csv"}}),
        "isBase64Encoded": False,
    }
    response = pipeline.search_function(event, context())
    assert (response["statusCode"], response["headers"]["Content-Type"]) == (200, "application/json")
    body = json.loads(response["body"])
    assert (body["model"], body["collection"]) == (MINILM, pipeline.bucket)
    assert {hit["source"] for hit in body["hits"]} == {"a.csv"}
    best = body["hits"][0]
    assert "garden" in best["text"]
    assert (best["row"], best["page"], best["headings"]) == (3, None, [])
    assert pipeline.search("anything", threshold=0.99) == []


def test_search_function_reranks_on_request(pipeline, monkeypatch):
    pipeline.upload("a.csv", "name,place\nTom,sofa\nRex,garden\n")
    pipeline.upload("b.txt", "Invoices are due within thirty days.")
    pipeline.drain()
    request = {"query": "Rex in the garden", "k": 1, "rerank": True, "candidates": 3}
    rejected = pipeline.search_function(request, context())
    assert (rejected["status"], rejected["error_type"]) == (400, "InputError")
    assert "set RERANKER_ENDPOINT" in rejected["error"]
    monkeypatch.setenv("RERANKER_BACKEND", "fake")
    with load("search") as search:
        [best] = search(request, context())["hits"]
        assert "garden" in best["text"]
        assert best["rerank_score"] == pytest.approx(0.5)
        assert search({**request, "rerank": False}, context())["status"] == 400
        plain = search({"query": request["query"], "k": 1}, context())["hits"]
        assert plain[0]["rerank_score"] is None


def test_pipeline_with_s3_vectors(pipeline, monkeypatch):
    pipeline.aws.client("s3vectors").create_vector_bucket(vectorBucketName=pipeline.bucket)
    monkeypatch.setenv("VECTOR_STORE", "s3vectors")
    monkeypatch.setenv("VECTOR_BUCKET", pipeline.bucket)
    pipeline.upload("a.md", TERMS)
    pipeline.upload("b.txt", "The cat sleeps.")
    pipeline.drain()
    best = pipeline.search("When do I have to pay?", k=1)[0]
    assert (best["source"], best["headings"]) == ("a.md", ["Terms", "Payment"])
    for mode in ("hybrid", "keyword"):
        filtered = {"mode": mode, "filter": {"source": {"$prefix": "a."}}}
        hits = pipeline.search("deliveries of a parcel", k=5, **filtered)
        assert (hits[0]["source"], hits[0]["headings"]) == ("a.md", ["Terms", "Delivery"])
    assert [hit["source"] for hit in pipeline.search("CATS", mode="keyword")] == ["b.txt"]
    rejected = pipeline.search_function({"query": "pay", "mode": "exact"}, context())
    assert (rejected["status"], rejected["error_type"]) == (400, "InputError")
    assert "S3 Vectors does not support mode='exact'" in rejected["error"]
    pipeline.upload("a.md", "# Terms\n\nInvoices are due at once.\n")
    pipeline.delete("b.txt")
    pipeline.drain()
    assert pipeline.sources() == {"a.md": 1}
    assert pipeline.dead_letters() == {}


def test_metadata_file_updates_a_document_without_embedding(pipeline):
    pipeline.upload("a.txt.metadata.json", '{"metadataAttributes": {"team": "blue"}}')
    pipeline.upload("a.txt", "The cat sleeps.")
    pipeline.drain()
    assert pipeline.sources(filter={"team": "blue"}) == {"a.txt": 1}
    pipeline.upload("a.txt.metadata.json", '{"metadataAttributes": {"team": "red"}}')
    pipeline.drain()
    assert pipeline.sources(filter={"team": "red"}) == {"a.txt": 1}
    pipeline.delete("a.txt.metadata.json")
    pipeline.drain()
    assert "team" not in pipeline.search("cat", k=1)[0]["metadata"]
    pipeline.upload("a.txt.metadata.json", "[]")
    pipeline.drain()
    assert "metadata file of a.txt" in pipeline.dead_letters()["a.txt"]
    assert pipeline.sources() == {"a.txt": 1}


def bomb():
    """A docx whose document exceeds the decompressed limit."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        with archive.open("word/document.xml", "w", force_zip64=True) as file:
            for _ in range(300):
                file.write(b" " * 1024 * 1024)
    return buffer.getvalue()


def test_unreadable_files_are_sent_to_dlq_with_reasons(pipeline):
    files = {
        "empty.txt": b"",
        "binary.txt": bytes(range(256)) * 40,
        "broken.pdf": b"%PDF-1.7\n" + b"\0" * 1000,
        "bomb.docx": bomb(),
        "rows.jsonl": b'{"text": "fine"}\n{"text": ',
        "good.txt": b"The cat sleeps.",
    }
    for key, content in files.items():
        pipeline.upload(key, content)
    pipeline.send("not JSON")
    pipeline.drain()
    assert all(response == {"batchItemFailures": []} for response in pipeline.invocations)
    assert pipeline.sources() == {"good.txt": 1}
    reasons = pipeline.dead_letters()
    assert {source: reason.split(":")[:2] for source, reason in reasons.items()} == {
        "empty.txt": ["DocumentRefused", " empty"],
        "binary.txt": ["DocumentRefused", " not_text"],
        "broken.pdf": ["DocumentRefused", " corrupt"],
        "bomb.docx": ["DocumentRefused", " too_large"],
        "rows.jsonl": ["DocumentRefused", " corrupt"],
        "-": ["MessageRefused", " The message is not JSON."],
    }


def test_s3_reader_refuses_objects_over_the_size_limit(pipeline):
    pipeline.upload("large.txt", b"x" * 1001)
    with (
        pytest.raises(DocumentRefused, match="1,001") as caught,
        S3DocumentReader(load_settings(), 1000).open(pipeline.bucket, "large.txt"),
    ):
        pytest.fail("the object was opened")
    assert caught.value.reason == "too_large"


def test_dlq_message_can_be_resent_after_a_fix(pipeline):
    pipeline.upload("a.txt", b"")
    pipeline.drain()
    (message,) = pipeline.receive(pipeline.dlq_url)
    pipeline.upload("a.txt", "The cat sleeps.")
    pipeline.drain()
    pipeline.send(message["Body"])
    pipeline.drain()
    assert pipeline.sources() == {"a.txt": 1}


@pytest.fixture
def slow(pipeline, monkeypatch):
    """Reaches the time limit of each invocation after 50 chunks."""

    def progress(*arguments, notes, reconcile_concurrent_versions, is_time_up):
        calls = itertools.count()
        return Progress(
            *arguments,
            notes=notes,
            reconcile_concurrent_versions=reconcile_concurrent_versions,
            is_time_up=lambda: next(calls) >= 50,
        )

    monkeypatch.setenv("EMBEDSTACK_CHUNK_TOKENS", "20")
    monkeypatch.setattr("embedstack.documents.ingestion.Progress", progress)
    return pipeline


LONG = "\n\n".join(f"Paragraph {number} tells of invoice {number * 7} in some words." for number in range(200))


def test_long_document_is_continued_by_further_invocations(slow, capsys):
    slow.upload("long.txt", LONG)
    assert slow.drain() == 4
    assert slow.dead_letters() == {}
    counted = metrics(capsys)
    assert sum(line.get("Continued", [0])[0] for line in counted) == 3
    assert sum(line.get("Documents", [0])[0] for line in counted) == 1
    assert sum(line["Embedded"][0] for line in counted) == sum(line["Chunks"][0] for line in counted) == 200
    assert {hit["source"] for hit in slow.search("Paragraph 199 tells of invoice 1393", k=3)} == {"long.txt"}


def test_continuation_restarts_after_a_change(slow):
    slow.upload("long.txt", LONG)
    slow.invoke(slow.receive())
    slow.upload("long.txt", "The cat sleeps.")
    slow.drain()
    assert slow.sources() == {"long.txt": 1}


def test_continuation_restarts_if_stored_chunks_are_missing(slow):
    """The first chunk is missing, as after the document was deleted and uploaded again."""
    slow.upload("long.txt", LONG)
    for _ in range(2):
        slow.invoke(slow.receive())
    settings = load_settings()
    with load_store(settings) as store:
        collection = store.open(store.describe(settings.embedstack_collection), create=False)
        assert collection.delete([first_chunk_id("long.txt")]) == 1
        slow.drain()
        stored = [record.metadata["position"] for record in collection.scan()]
    assert all(response == {"batchItemFailures": []} for response in slow.invocations)
    assert sorted(stored) == list(range(200))


def test_direct_invocation_returns_outcomes(pipeline):
    pipeline.upload("a.txt", "The cat sleeps.")
    pipeline.upload("b.txt", b"")
    invoke = {name: pipeline.ingest({"bucket": pipeline.bucket, "key": name}, context()) for name in ("a.txt", "b.txt")}
    (done,), (rejected,) = (response["documents"] for response in invoke.values())
    assert (done["done"], done["chunks"], done["embedded"]) == ("ingested", 1, 1)
    assert rejected["done"] == "refused"
    assert rejected["reason"].startswith("DocumentRefused: empty: ")


# A minimal Lambda runtime: imports the handler from the package's folder and passes events to it.
RUNTIME = """if True:
    import json, sys, types
    import function
    context = types.SimpleNamespace(
        function_name="ingest", memory_limit_in_mb=1024, aws_request_id="r", invoked_function_arn="a",
        get_remaining_time_in_millis=lambda: 60_000,
    )
    for line in sys.stdin:
        print("answer", json.dumps(function.handler(json.loads(line), context)), flush=True)
"""


@pytest.fixture
def folder(function_packages, tmp_path):
    unpacked = tmp_path / "task"
    with zipfile.ZipFile(function_packages / "ingest.zip") as archive:
        archive.extractall(unpacked)
    return unpacked


def test_ingest_package_has_readers_but_no_pictures(function_packages):
    with zipfile.ZipFile(function_packages / "ingest.zip") as archive:
        folders = {name.partition("/")[0] for name in archive.namelist()}
        size = sum(entry.compress_size for entry in archive.infolist() if entry.filename != "tokenizer.json")
    assert {"charset_normalizer", "markdown_it", "olefile", "pypdfium2"} <= folders
    assert "PIL" not in folders
    assert size < MAX_ZIP_BYTES


def test_ingest_package_has_all_dependencies(pipeline, folder, tmp_path):
    # A Python in which nothing is installed, also for the reader process.
    venv.create(tmp_path / "python", symlinks=True)
    pipeline.upload("good.md", "# Payment\n\nInvoices are due within thirty days.\n")
    pipeline.upload("good.msg", make_msg({"0037": "Offer", "1000": "The price is fixed."}))
    pipeline.upload("broken.pdf", b"%PDF-1.7\n" + b"\0" * 1000)
    needed = ("AWS_", "DATABASE_", "EMBEDSTACK_", "SAGEMAKER_", "VECTOR_", "PATH", "TMPDIR")
    environment = {name: value for name, value in os.environ.items() if name.startswith(needed)}
    events = [{"bucket": pipeline.bucket, "key": key} for key in ("good.md", "good.msg", "broken.pdf")]
    done = subprocess.run(
        [tmp_path / "python" / "bin" / "python", "-c", RUNTIME],
        cwd=folder,
        env={**environment, "LAMBDA_TASK_ROOT": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        input="\n".join(map(json.dumps, events)),
        capture_output=True,
        text=True,
        check=True,
    )
    responses = [json.loads(line[7:]) for line in done.stdout.splitlines() if line.startswith("answer ")]
    (good,), (message,), (broken,) = (response["documents"] for response in responses)
    assert (good["done"], good["embedded"]) == (message["done"], message["embedded"]) == ("ingested", 1)
    assert broken["reason"].startswith("DocumentRefused: corrupt: ")
    assert pipeline.sources() == {"good.md": 1, "good.msg": 1}
