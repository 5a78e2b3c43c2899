"""The pipeline while its parts die and are throttled: each document ends searchable once, or aside with its reason."""

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

# Packing the functions, the apply and the faults take minutes.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def ingested(running):
    return ingest_under_faults(running, 48, ("function", "model"), most=3)


def test_a_second_plan_is_empty(running):
    assert running.was_up_to_date


def test_each_document_is_there_once_or_aside_with_its_reason(ingested):
    assert ingested.kills.keys() == {"function", "model"}
    ingested.assert_each_is_there_once_or_aside()


def test_nothing_is_embedded_twice(ingested):
    ingested.assert_nothing_is_embedded_twice()


@pytest.mark.parametrize("source", ["3/asyncio.events.md", *ODD_KEYS])
def test_the_search_function_finds_it(ingested, source):
    expected = ingested.expected
    source = source if source in expected else min(expected)
    text = expected[source][0][1]
    first, *others = ingested.pipeline.search(text[:500], filter={"source": source}, k=50)
    assert (first["source"], first["position"], first["text"]) == (source, 0, text)
    assert len(others) == len(expected[source]) - 1


def test_a_text_that_is_too_large_is_set_aside_once_and_within_the_functions_memory(ingested):
    """Half a gigabyte, which is not read at all; and as many bytes as are read, with more characters than are taken."""
    pipeline = ingested.pipeline
    unread, read = "large/half a gigabyte.txt", "large/64 MiB.txt"
    sizes = {unread: 500_000_000, read: 64 << 20}
    reported = len(pipeline.reports())
    for source, size in sizes.items():
        pipeline.upload_file(source, long_text(size))
    pipeline.wait(PATIENCE)
    reasons = pipeline.reasons()
    assert reasons[unread].startswith("DocumentRefused: too_large: The document has 500,000,000 bytes")
    assert reasons[read].startswith("DocumentRefused: too_large: ")
    assert "has more than 20,000,000 characters of text" in reasons[read]
    assert not sizes.keys() & pipeline.stored().keys()
    reports = pipeline.reports()[reported:]
    assert 1 <= len(reports) <= len(sizes), "one invocation for each message, or one for both"
    for report in reports:
        assert "Status" not in report
        assert int(report["Max Memory Used"].split()[0]) <= int(report["Memory Size"].split()[0])
    for source in sizes:
        pipeline.delete(source)


def test_a_new_version_replaces_and_a_deletion_removes(ingested):
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


def test_a_repaired_document_is_ingested_by_its_letter(ingested):
    pipeline = ingested.pipeline
    source = "hostile/empty.txt"
    pipeline.upload(source, b"No longer empty: the moon is made of green cheese.")
    letters = pipeline.dead_letters()
    for letter in letters.read():
        if letter.sources == (f"s3://{pipeline.parts['bucket']}/{source}",):
            letters.send_back(letter)
    pipeline.wait(PATIENCE)
    assert source not in pipeline.reasons()
    assert pipeline.stored()[source] == [(0, "No longer empty: the moon is made of green cheese.")]
    assert pipeline.search("What is the moon made of?", k=1)[0]["source"] == source
    tag = sha256(source.encode()).hexdigest()[:16]
    looks = [look for look in pipeline.looks() if look["document"] == tag]
    # By S3's own message and by the letter; both may see it before the other has stored it.
    assert [look["chunks"] for look in looks] == [1, 1]
    assert 1 <= sum(look["embedded"] for look in looks) <= 2


def test_a_letter_without_a_reason_goes_back_too(ingested):
    pipeline = ingested.pipeline
    source = "hostile/blank.html"
    body = json.dumps({"Records": [{"s3": {"bucket": {"name": pipeline.parts["bucket"]}, "object": {"key": source}}}]})
    pipeline.sqs.send_message(QueueUrl=pipeline.parts["dlq_url"], MessageBody=body)
    letters = pipeline.dead_letters()
    found = []
    for letter in letters.read():
        if letter.body == body:
            found.append((letter.sources, letter.reason))
            letters.delete(letter)
    assert found == [((f"s3://{pipeline.parts['bucket']}/{source}",), "failed again and again")]
    assert pipeline.reasons()[source].startswith("DocumentRefused: empty: "), "the letter of its own is left"


@pytest.fixture
def script(running):
    """Runs a script as a process of its own; gives its standard output, or its standard error where it fails."""

    def script(name, *arguments, status=0, **variables):
        done = subprocess.run(
            [sys.executable, "-m", "embedstack_ops", name, *map(str, arguments)],
            cwd=running.stack.folder, capture_output=True, text=True, check=False, timeout=120,
            env={**os.environ, "COLUMNS": "200", **variables},
        )  # fmt: skip
        assert done.returncode == status, done.stdout + done.stderr
        return done.stderr if status == 2 else done.stdout

    return script


def test_a_folder_goes_in_once_and_is_found(ingested, script, tmp_path):
    folder = tmp_path / "handbook"
    folder.mkdir()
    (folder / "moon.md").write_text("# The moon\n\nIt is made of green cheese.\n")
    (folder / "sun.txt").write_text("The sun is made of hydrogen and helium.\n")
    (folder / "locked.pdf").write_bytes(hostile_documents()["hostile/locked.pdf"][0])
    said = script("ingest", folder, "--collection", "handbook", status=1)
    assert "2 of 3 documents are in handbook: 2 chunks, 2 of them newly embedded" in said
    assert "locked.pdf is protected by a password" in said
    (folder / "locked.pdf").unlink()
    assert "2 chunks, 0 of them newly embedded" in script("ingest", folder, "--collection", "handbook")
    found = json.loads(script("search", "What is the moon made of?", "--collection", "handbook", "--json", "-k", 1))
    assert [(hit["source"], hit["position"], hit["headings"]) for hit in found["hits"]] == [
        ("moon.md", 0, ["The moon"])
    ]
    said = script("reindex", "--collection", "handbook", "--backend", "fake", "--drop-replaced")
    assert "handbook: 2 vectors of" in said


def test_a_prefix_in_s3_goes_in(ingested, script):
    pipeline = ingested.pipeline
    said = script("ingest", f"s3://{pipeline.parts['bucket']}/odd/", "--collection", "odd")
    assert f"{len(ODD_KEYS)} of {len(ODD_KEYS)} documents are in odd" in said


def test_search_asks_the_deployed_function(running, ingested, script):
    pipeline = ingested.pipeline
    source = max(ingested.expected)
    condition = json.dumps({"source": source})
    function = pipeline.parts["search_function"]
    found = json.loads(script("search", "anything", "--function", function, "--filter", condition, "--json"))
    assert {hit["source"] for hit in found["hits"]} == {source}
    assert source in script("search", "anything", "--function", function, "--filter", condition)
    said = script("search", "anything", "--function", function, "--mode", "exact", status=2)
    assert "S3 Vectors has no exact search" in said
    # What a caller has to change is no failure of the function's, and of this pipeline's metrics alone.
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


def test_redrive_shows_letters_and_sends_back_those_chosen(ingested, script):
    pipeline = ingested.pipeline
    source = "hostile/program.md"
    queues = ("--dlq-url", pipeline.parts["dlq_url"], "--queue-url", pipeline.parts["queue_url"])
    count = len(pipeline.reasons())
    said = script("redrive", *queues, "--source", source)
    assert "not_text" in said
    assert f"1 of {count} messages left in the queue" in said
    pipeline.upload(source, b"# No program any more")
    assert f"1 of {count} messages resent" in script("redrive", *queues, "--source", source, "--resend")
    pipeline.wait(PATIENCE)
    assert source in pipeline.stored()
    assert f"0 of {count - 1} messages" in script("redrive", *queues, "--source", source, "--delete")


@pytest.mark.parametrize(
    ("command", "variables", "words"),
    [
        ((ingest.main, "no-such-folder"), {}, "There is no no-such-folder"),
        ((ingest.main, "s3://no-such-bucket/"), {}, "NoSuchBucket"),
        ((search.main, "anything", "--filter", "{"), {}, "--filter is not JSON"),
        ((search.main, "anything", "--collection", "nothing"), {}, "nothing"),
        ((search.main, "anything", "--function", "no-such-function"), {}, "no-such-function"),
        ((redrive.main,), {"TF_WORKSPACE": "nothing-applied"}, "No pipeline is applied"),
        ((redrive.main, "--dlq-url", "http://127.0.0.1/1/q", "--queue-url", "q"), {}, "NonExistentQueue"),
        ((reindex.main, "--collection", "nothing", "--backend", "fake"), {}, "nothing"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(running, ingested, monkeypatch, command, variables, words):
    script, *arguments = command
    monkeypatch.chdir(running.stack.folder)
    done = CliRunner().invoke(script, arguments, env=variables)
    assert done.exit_code == 2, done.output
    target, _, message = done.output.partition("\n")
    assert target.startswith("Target: local AWS at http://127.0.0.1:")
    assert message.startswith("error: ")
    assert words in message
