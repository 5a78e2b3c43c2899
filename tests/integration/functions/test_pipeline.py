"""Documents from S3 become hits, change with their objects and go with them, however messages come."""

import io
import itertools
import json
import os
import subprocess
import sys
import zipfile
from urllib.parse import quote_plus

import pytest

from conftest import MINILM
from embedstack.documents.chunking import first_chunk_id
from embedstack.documents.progress import Progress
from embedstack.errors import DocumentRefused
from embedstack.settings.settings import load_settings
from embedstack.stores import load_store
from handling.objects import Documents
from tests.integration.functions.conftest import context

TERMS = """# Terms

## Payment

Invoices are due within thirty days.

## Delivery

Parcels leave our warehouse on the day after the order.
"""


def notification(bucket, key):
    body = {"Records": [{"eventSource": "aws:s3", "s3": {"bucket": {"name": bucket}, "object": {"key": key}}}]}
    return json.dumps(body)


def test_an_upload_is_found_with_its_source_and_place(pipeline):
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


def test_another_upload_replaces_and_a_deletion_removes(pipeline):
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


def test_neither_order_nor_repetition_of_messages_matters(pipeline, capsys):
    pipeline.upload("a.txt", "The cat sleeps.")
    pipeline.upload("b.txt", "The dog barks.")
    messages = pipeline.receive()
    pipeline.delete("b.txt")
    capsys.readouterr()
    pipeline.invoke(messages + messages)
    pipeline.invoke(list(reversed(messages)))
    pipeline.drain()
    assert pipeline.sources() == {"a.txt": 1}
    assert sum(line["Embedded"][0] for line in metrics(capsys) if "Embedded" in line) == 1, "embedded again"


def metrics(capsys):
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    return [line for line in lines if "_aws" in line]


KEYS = [
    "../../etc/passwd.txt", "two  words+plus%.txt", "über/\u65e5\u672c.txt", "a" * 900 + ".txt", "quo'te\"s;.txt",
]  # fmt: skip


def test_a_key_is_a_name_and_nothing_else(pipeline):
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


def test_a_search_over_http_filters_and_fuses(pipeline):
    pipeline.upload("a.csv", "name,place\nTom,sofa\nRex,garden\n")
    pipeline.upload("b.txt", "Invoices are due within thirty days.")
    pipeline.drain()
    event = {
        "version": "2.0",
        "requestContext": {"http": {"method": "POST"}},
        "body": json.dumps({"query": "Rex", "k": 5, "mode": "hybrid", "filter": {"source": "a.csv"}}),
        "isBase64Encoded": False,
    }
    answer = pipeline.search_function(event, context())
    assert (answer["statusCode"], answer["headers"]["Content-Type"]) == (200, "application/json")
    body = json.loads(answer["body"])
    assert (body["model"], body["collection"]) == (MINILM, pipeline.bucket)
    assert {hit["source"] for hit in body["hits"]} == {"a.csv"}
    best = body["hits"][0]
    assert "garden" in best["text"]
    assert (best["row"], best["page"], best["headings"]) == (3, None, [])
    assert pipeline.search("anything", threshold=0.99) == []


def test_s3_vectors_hold_documents_as_well(pipeline, monkeypatch):
    pipeline.aws.client("s3vectors").create_vector_bucket(vectorBucketName=pipeline.bucket)
    monkeypatch.setenv("VECTOR_STORE", "s3vectors")
    monkeypatch.setenv("VECTOR_BUCKET", pipeline.bucket)
    pipeline.upload("a.md", TERMS)
    pipeline.upload("b.txt", "The cat sleeps.")
    pipeline.drain()
    best = pipeline.search("When do I have to pay?", k=1)[0]
    assert (best["source"], best["headings"]) == ("a.md", ["Terms", "Payment"])
    refused = pipeline.search_function({"query": "pay", "mode": "hybrid"}, context())
    assert (refused["status"], refused["error_type"]) == (400, "InputError")
    assert "S3 Vectors has no hybrid search" in refused["error"]
    pipeline.upload("a.md", "# Terms\n\nInvoices are due at once.\n")
    pipeline.delete("b.txt")
    pipeline.drain()
    assert pipeline.sources() == {"a.md": 1}
    assert pipeline.dead_letters() == {}


def bomb():
    """A docx whose document inflates to far more than it may."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        with archive.open("word/document.xml", "w", force_zip64=True) as file:
            for _ in range(300):
                file.write(b" " * 1024 * 1024)
    return buffer.getvalue()


def test_hostile_files_end_in_the_dead_letter_queue_with_reasons_and_stop_nothing(pipeline):
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
    assert all(answer == {"batchItemFailures": []} for answer in pipeline.invocations)
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


def test_an_object_that_is_too_large_is_not_read(pipeline):
    pipeline.upload("large.txt", b"x" * 1001)
    with (
        pytest.raises(DocumentRefused, match="1,001") as caught,
        Documents(load_settings(), 1000).open(pipeline.bucket, "large.txt"),
    ):
        pytest.fail("it was opened")
    assert caught.value.reason == "too_large"


def test_what_was_repaired_is_sent_back_as_it_is(pipeline):
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
    """An invocation's time is over after 50 chunks."""

    def progress(*arguments, again, is_time_up):
        looks = itertools.count()
        return Progress(*arguments, again=again, is_time_up=lambda: next(looks) >= 50)

    monkeypatch.setenv("EMBEDSTACK_CHUNK_TOKENS", "20")
    monkeypatch.setattr("embedstack.documents.ingestion.Progress", progress)
    return pipeline


LONG = "\n\n".join(f"Paragraph {number} tells of invoice {number * 7} in some words." for number in range(200))


def test_a_document_longer_than_an_invocation_goes_through_a_chain_of_them(slow, capsys):
    slow.upload("long.txt", LONG)
    assert slow.drain() == 4
    assert slow.dead_letters() == {}
    counted = metrics(capsys)
    assert sum(line.get("Continued", [0])[0] for line in counted) == 3
    assert sum(line.get("Documents", [0])[0] for line in counted) == 1
    assert sum(line["Embedded"][0] for line in counted) == sum(line["Chunks"][0] for line in counted) == 200
    assert {hit["source"] for hit in slow.search("Paragraph 199 tells of invoice 1393", k=3)} == {"long.txt"}


def test_a_change_in_the_middle_of_a_chain_begins_anew(slow):
    slow.upload("long.txt", LONG)
    slow.invoke(slow.receive())
    slow.upload("long.txt", "The cat sleeps.")
    slow.drain()
    assert slow.sources() == {"long.txt": 1}


def test_a_chain_that_has_to_begin_anew_goes_on_from_there(slow):
    """Its first chunk is gone, as when the document was deleted and put there again."""
    slow.upload("long.txt", LONG)
    for _ in range(2):
        slow.invoke(slow.receive())
    settings = load_settings()
    with load_store(settings) as store:
        collection = store.open(store.describe(settings.embedstack_collection), create=False)
        assert collection.delete([first_chunk_id("long.txt")]) == 1
        slow.drain()
        stored = [record.metadata["position"] for record in collection.scan()]
    assert all(answer == {"batchItemFailures": []} for answer in slow.invocations)
    assert sorted(stored) == list(range(200))


def test_a_direct_invocation_says_what_came_of_it(pipeline):
    pipeline.upload("a.txt", "The cat sleeps.")
    pipeline.upload("b.txt", b"")
    invoke = {name: pipeline.ingest({"bucket": pipeline.bucket, "key": name}, context()) for name in ("a.txt", "b.txt")}
    (done,), (refused,) = (answer["documents"] for answer in invoke.values())
    assert (done["done"], done["chunks"], done["embedded"]) == ("ingested", 1, 1)
    assert refused["done"] == "refused"
    assert refused["reason"].startswith("DocumentRefused: empty: ")


# Lambda's runtime, in short: imports the handler from the package's folder, and hands it events.
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


def test_the_package_ingests_with_nothing_else_installed(pipeline, folder):
    pipeline.upload("good.md", "# Payment\n\nInvoices are due within thirty days.\n")
    pipeline.upload("broken.pdf", b"%PDF-1.7\n" + b"\0" * 1000)
    needed = ("AWS_", "DATABASE_", "EMBEDSTACK_", "SAGEMAKER_", "VECTOR_", "PATH", "TMPDIR")
    environment = {name: value for name, value in os.environ.items() if name.startswith(needed)}
    events = [{"bucket": pipeline.bucket, "key": key} for key in ("good.md", "broken.pdf")]
    done = subprocess.run(
        [sys.executable, "-S", "-s", "-c", RUNTIME],  # without this machine's packages
        cwd=folder,
        env={**environment, "LAMBDA_TASK_ROOT": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        input="\n".join(map(json.dumps, events)),
        capture_output=True,
        text=True,
        check=True,
    )
    answers = [json.loads(line[7:]) for line in done.stdout.splitlines() if line.startswith("answer ")]
    (good,), (broken,) = (answer["documents"] for answer in answers)
    assert (good["done"], good["embedded"]) == ("ingested", 1)
    assert broken["reason"].startswith("DocumentRefused: corrupt: ")
    assert pipeline.sources() == {"good.md": 1}
