"""The pipeline under faults: each document is stored once, or is in the DLQ with its reason."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from click.testing import CliRunner

from embedstack_ops.cli import ingest, redrive, reindex, search
from tests.integration.pipeline.faults import PATIENCE, ingest_under_faults
from tests.support.hostile_documents import ODD_KEYS, hostile_documents, long_text
from tests.support.office_files import make_xlsx, row
from tests.support.outlook_files import make_msg

# Packages, apply and faults take minutes.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def ingested(running):
    return ingest_under_faults(running, 48, ("function", "model"), most=3)


def test_pipeline_plan_after_apply_is_empty(running):
    assert running.was_up_to_date


def test_documents_are_stored_once_or_in_dlq_under_faults(ingested):
    assert ingested.kills.keys() == {"function", "model"}
    ingested.assert_stored_once_or_in_dlq()


def test_chunks_are_embedded_once_under_faults(ingested):
    ingested.assert_embedded_once()


@pytest.mark.parametrize("source", ["3/asyncio.events.md", *ODD_KEYS])
def test_search_function_finds_ingested_documents(ingested, source):
    expected = ingested.expected
    source = source if source in expected else min(expected)
    text = expected[source][0][1]
    first, *others = ingested.pipeline.search(text[:500], filter={"source": source}, k=50)
    assert (first["source"], first["position"], first["text"]) == (source, 0, text)
    assert len(others) == len(expected[source]) - 1


def test_oversized_texts_are_refused_within_the_memory_limit(ingested):
    """A file over the size limit, and a file within it with too many characters."""
    pipeline = ingested.pipeline
    unread, read = "large/half a gigabyte.txt", "large/64 MiB.txt"
    sizes = {unread: 500_000_000, read: 64 << 20}
    reported = len(pipeline.reports())
    for source, size in sizes.items():
        pipeline.upload_file(source, long_text(size))
    pipeline.wait(PATIENCE)
    reasons = pipeline.reasons()
    assert reasons[unread].startswith(f"DocumentRefused: too_large: {unread} has 500,000,000 bytes")
    assert reasons[read].startswith("DocumentRefused: too_large: ")
    assert "has more than 20,000,000 characters of text" in reasons[read]
    assert not sizes.keys() & pipeline.stored().keys()
    reports = pipeline.reports()[reported:]
    assert 1 <= len(reports) <= len(sizes), "one invocation per message, or one for both"
    for report in reports:
        assert "Status" not in report
        assert int(report["Max Memory Used"].split()[0]) <= int(report["Memory Size"].split()[0])
    for source in sizes:
        pipeline.delete(source)


def test_function_ingests_office_files_and_mails(ingested):
    """With the libraries of its package only. A function has no Tesseract."""
    pipeline = ingested.pipeline
    uploads = {
        "formats/table.xlsx": make_xlsx(row(1, "Name", "Place") + row(2, "Tom", "sofa")),
        "formats/mail.eml": b"From: ann@example.com\nSubject: Offer\n\nThe price is fixed.\n",
        "formats/mail.msg": make_msg({"0037": "Offer", "1000": "The price is fixed."}),
    }
    for source, content in {**uploads, "formats/picture.png": b"\x89PNG\r\n\x1a\n"}.items():
        pipeline.upload(source, content)
    pipeline.wait(PATIENCE)
    stored = pipeline.stored()
    assert {source: [text for _, text in stored[source]] for source in uploads} == {
        "formats/table.xlsx": ["Sheet1\n\nName: Tom\nPlace: sofa"],
        "formats/mail.eml": ["Offer\n\nFrom: ann@example.com\n\nThe price is fixed."],
        "formats/mail.msg": ["Offer\n\nThe price is fixed."],
    }
    assert "The ingest function has no OCR." in pipeline.reasons()["formats/picture.png"]
    for source in (*uploads, "formats/picture.png"):
        pipeline.delete(source)


def test_pipeline_replaces_and_removes_versions(ingested):
    pipeline = ingested.pipeline
    for source in ("later/replaced.txt", "later/removed.txt"):
        pipeline.upload(source, b"The first version. " * 100)
    pipeline.wait(PATIENCE)
    stored = pipeline.stored()
    assert len(stored["later/replaced.txt"]) == len(stored["later/removed.txt"]) > 1
    pipeline.upload("later/replaced.txt", b"The second version.")
    pipeline.delete("later/removed.txt")
    pipeline.wait(PATIENCE)
    stored = pipeline.stored()
    assert stored["later/replaced.txt"] == [(0, "The second version.")]
    assert "later/removed.txt" not in stored


def test_resent_dlq_message_ingests_a_fixed_document(ingested):
    pipeline = ingested.pipeline
    source = "hostile/empty.txt"
    pipeline.upload(source, b"No longer empty: the moon is made of green cheese.")
    dlq = pipeline.dead_letters()
    for message in dlq.read():
        if message.sources == (f"s3://{pipeline.parts['bucket']}/{source}",):
            dlq.resend(message)
    pipeline.wait(PATIENCE)
    assert source not in pipeline.reasons()
    assert pipeline.stored()[source] == [(0, "No longer empty: the moon is made of green cheese.")]
    assert pipeline.search("What is the moon made of?", k=1)[0]["source"] == source
    tag = sha256(source.encode()).hexdigest()[:16]
    looks = [look for look in pipeline.looks() if look["document"] == tag]
    # By the S3 event and by the resent message; both may see it before the other has stored it.
    assert [look["chunks"] for look in looks] == [1, 1]
    assert 1 <= sum(look["embedded"] for look in looks) <= 2


def test_dlq_message_without_a_reason_is_read(ingested):
    pipeline = ingested.pipeline
    source = "hostile/blank.html"
    body = json.dumps({"Records": [{"s3": {"bucket": {"name": pipeline.parts["bucket"]}, "object": {"key": source}}}]})
    pipeline.sqs.send_message(QueueUrl=pipeline.parts["dlq_url"], MessageBody=body)
    dlq = pipeline.dead_letters()
    matching = []
    for message in dlq.read():
        if message.body == body:
            matching.append((message.sources, message.reason))
            dlq.delete(message)
    assert matching == [((f"s3://{pipeline.parts['bucket']}/{source}",), "failed repeatedly")]
    assert pipeline.reasons()[source].startswith("DocumentRefused: empty: "), "its own DLQ message is left"


@pytest.fixture
def script(running):
    """A function that runs a command. It returns standard output, or standard error if the command fails."""

    def script(name, *arguments, status=0, **variables):
        done = subprocess.run(
            [sys.executable, "-m", "embedstack_ops", name, *map(str, arguments)],
            cwd=running.stack.folder, capture_output=True, text=True, check=False, timeout=120,
            env={**os.environ, "COLUMNS": "200", **variables},
        )  # fmt: skip
        assert done.returncode == status, done.stdout + done.stderr
        return done.stderr if status == 2 else done.stdout

    return script


def test_ingest_command_ingests_a_folder_once(ingested, script, tmp_path):
    folder = tmp_path / "handbook"
    folder.mkdir()
    (folder / "moon.md").write_text("# The moon\n\nIt is made of green cheese.\n")
    (folder / "sun.txt").write_text("The sun is made of hydrogen and helium.\n")
    (folder / "locked.pdf").write_bytes(hostile_documents()["hostile/locked.pdf"][0])
    output = script("ingest", folder, "--collection", "handbook", status=1)
    assert "2 of 3 documents are in handbook: 2 chunks, 2 of them newly embedded" in output
    assert "locked.pdf is protected by a password" in output
    (folder / "locked.pdf").unlink()
    assert "2 chunks, 0 of them newly embedded" in script("ingest", folder, "--collection", "handbook")
    response = json.loads(script("search", "What is the moon made of?", "--collection", "handbook", "--json", "-k", 1))
    assert [(hit["source"], hit["position"], hit["headings"]) for hit in response["hits"]] == [
        ("moon.md", 0, ["The moon"])
    ]
    output = script("reindex", "--collection", "handbook", "--backend", "fake", "--drop-replaced")
    assert "handbook: 2 vectors of" in output


def test_ingest_command_ingests_an_s3_prefix(ingested, script):
    pipeline = ingested.pipeline
    output = script("ingest", f"s3://{pipeline.parts['bucket']}/odd/", "--collection", "odd")
    assert f"{len(ODD_KEYS)} of {len(ODD_KEYS)} documents are in odd" in output


def test_search_command_calls_the_deployed_function(running, ingested, script):
    pipeline = ingested.pipeline
    source = max(ingested.expected)
    condition = json.dumps({"source": source})
    function = pipeline.parts["search_function"]
    response = json.loads(script("search", "anything", "--function", function, "--filter", condition, "--json"))
    assert {hit["source"] for hit in response["hits"]} == {source}
    assert source in script("search", "anything", "--function", function, "--filter", condition)
    output = script("search", "anything", "--function", function, "--mode", "exact", status=2)
    assert "S3 Vectors does not support mode='exact'" in output
    # A client error counts in the metric Refused, not as a function error.
    cloudwatch, now = running.stack.client("cloudwatch"), datetime.now(UTC)
    hour = {"StartTime": now - timedelta(hours=1), "EndTime": now + timedelta(hours=1), "Period": 7200}
    counts = {}
    for namespace, name, dimension in (("EmbedStack", "Refused", "service"), ("AWS/Lambda", "Errors", "FunctionName")):
        points = cloudwatch.get_metric_statistics(
            Namespace=namespace, MetricName=name, Dimensions=[{"Name": dimension, "Value": function}],
            Statistics=["Sum"], **hour,
        )["Datapoints"]  # fmt: skip
        counts[name] = sum(point["Sum"] for point in points)
    assert counts == {"Refused": 1, "Errors": 0}


def test_redrive_command_lists_and_resends_selected_messages(ingested, script):
    pipeline = ingested.pipeline
    source = "hostile/program.md"
    queues = ("--dlq-url", pipeline.parts["dlq_url"], "--queue-url", pipeline.parts["queue_url"])
    count = len(pipeline.reasons())
    output = script("redrive", *queues, "--source", source)
    assert "not_text" in output
    assert f"1 of {count} messages left in the queue" in output
    pipeline.upload(source, b"# No program any more")
    assert f"1 of {count} messages resent" in script("redrive", *queues, "--source", source, "--resend")
    pipeline.wait(PATIENCE)
    assert source in pipeline.stored()
    assert f"0 of {count - 1} messages" in script("redrive", *queues, "--source", source, "--delete")


@pytest.mark.parametrize(
    ("command", "variables", "words"),
    [
        ((ingest.main, "no-such-folder"), {}, "no-such-folder does not exist"),
        ((ingest.main, "s3://no-such-bucket/"), {}, "bucket no-such-bucket does not exist"),
        ((search.main, "anything", "--filter", "{"), {}, "--filter is not JSON"),
        ((search.main, "anything", "--collection", "nothing"), {}, "nothing"),
        ((search.main, "anything", "--function", "no-such-function"), {}, "no-such-function"),
        ((redrive.main,), {"TF_WORKSPACE": "nothing-applied"}, "No pipeline is applied"),
        ((redrive.main, "--dlq-url", "http://127.0.0.1/1/q", "--queue-url", "q"), {}, "does not exist in region"),
        ((reindex.main, "--collection", "nothing", "--backend", "fake"), {}, "nothing"),
    ],
)
def test_commands_report_errors_in_one_line(running, ingested, monkeypatch, command, variables, words):
    script, *arguments = command
    monkeypatch.chdir(running.stack.folder)
    done = CliRunner().invoke(script, arguments, env=variables)
    assert done.exit_code == 2, done.output
    target, _, message = done.output.partition("\n")
    assert target.startswith("Target: local AWS at http://127.0.0.1:")
    assert message.startswith("error: ")
    assert words in message
