"""The ingest function's handler: results, time limits, failures, the DLQ."""

import io
import json
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from embedstack.documents import ReadLimits
from embedstack.documents.s3_objects import S3Object
from embedstack.errors import (
    CollectionReplaced,
    ConfigurationError,
    DocumentRefused,
    EmbedStackError,
    InputError,
    RecordRefused,
    StoreUnavailable,
    Throttled,
)
from pipeline_functions.ingest_handler import IngestHandler, RecordFailed
from pipeline_functions.ingest_services import IngestServices
from pipeline_functions.messages import DocumentMessage, read_message


@dataclass
class FakeQueues:
    """Records what is sent."""

    can_continue: bool = True
    has_dlq: bool = True
    max_receives: int = 5
    sent: list[Any] = field(default_factory=list)
    dlq: list[Any] = field(default_factory=list)
    delayed: list[Any] = field(default_factory=list)

    def enqueue_continuation(self, message):
        self.sent.append(message)

    def send_to_dlq(self, body, reason, source):
        self.dlq.append((body, reason, source))

    def is_last_receive(self, receives):
        return receives >= self.max_receives

    def delay(self, receipt_handle, receives):
        self.delayed.append((receipt_handle, receives))


@dataclass
class FakeServices:
    """S3 objects by key, and an ingestion that returns or raises the result set for a key."""

    objects: dict[str, Any] = field(default_factory=dict)
    results: dict[str, Any] = field(default_factory=dict)
    queues: FakeQueues = field(default_factory=FakeQueues)
    calls: list[Any] = field(default_factory=list)
    concurrent_changes: dict[str, Any] = field(default_factory=dict)
    limits: ReadLimits = field(default_factory=lambda: ReadLimits(max_seconds=20))
    reopened: int = 0
    reconcile: list[bool] = field(default_factory=list)
    notes: tuple[str, ...] = ()

    @property
    def s3_reader(self):
        return self

    @property
    def ingestion(self):
        return self

    @contextmanager
    def open(self, bucket, key):
        content = self.objects.get(key)
        yield None if content is None else S3Object(io.BytesIO(content), f'"{len(content)}"', len(content))

    def version(self, bucket, key):
        content = self.objects.get(key)
        return None if content is None else f'"{len(content)}"'

    def ingest(
        self, source, content, *, metadata, notes, deadline=None, first_chunk=0, reconcile_concurrent_versions=False
    ):
        self.calls.append((source, first_chunk, deadline - time.monotonic()))
        self.reconcile.append(reconcile_concurrent_versions)
        if source in self.concurrent_changes:
            self.objects[source] = self.concurrent_changes.pop(source)
        result = self.results.get(source)
        if isinstance(result, Exception):
            raise result
        chunks, next_chunk = result or (3, None)
        return SimpleNamespace(chunks=chunks, embedded=chunks, unchanged=0, next_chunk=next_chunk, notes=self.notes)

    def remove(self, source, *, reconcile_concurrent_versions=False):
        self.calls.append(("removed", source))
        self.reconcile.append(reconcile_concurrent_versions)
        return 4

    def reopen(self):
        self.reopened += 1


class Telemetry:
    def __init__(self):
        self.lines, self.counts = [], {}

    def info(self, message, **fields):
        self.lines.append(json.dumps([message, fields]))

    warning = error = info

    def add_metric(self, name, unit, value):
        self.counts[name] = self.counts.get(name, 0) + value


@pytest.fixture
def services():
    return FakeServices(objects=dict.fromkeys("abc", b"content"))


@pytest.fixture
def telemetry():
    return Telemetry()


def start_invocation(services, telemetry, *seconds_left):
    times = list(seconds_left) or [60]
    return IngestHandler(services, lambda: times.pop(0) if len(times) > 1 else times[0], telemetry, telemetry)


def record(*keys, receives=1, **fields):
    bodies = [{"s3": {"bucket": {"name": "bucket"}, "object": {"key": key}}} for key in keys]
    body = {"Records": bodies} if keys else {"bucket": "bucket", **fields}
    attributes = {"ApproximateReceiveCount": str(receives)}
    return SQSRecord(
        {"messageId": "m-1", "receiptHandle": "handle", "body": json.dumps(body), "attributes": attributes}
    )


def test_handler_ingests_existing_and_removes_deleted_objects(services, telemetry):
    start_invocation(services, telemetry).handle_record(record("a", "gone"))
    assert [call[:2] for call in services.calls] == [("a", 0), ("removed", "gone")]
    assert {name: telemetry.counts[name] for name in ("Documents", "Chunks", "Embedded", "Removed")} == {
        "Documents": 1, "Chunks": 3, "Embedded": 3, "Removed": 1,
    }  # fmt: skip


def test_handler_processes_an_object_once_per_invocation(services, telemetry):
    handler = start_invocation(services, telemetry)
    for _ in range(3):
        handler.handle_record(record("a"))
    assert len(services.calls) == 1


def test_handler_ignores_folder_markers(services, telemetry):
    services.objects["folder/"] = b""
    start_invocation(services, telemetry).handle_record(record("folder/"))
    assert services.calls == []
    assert services.queues.dlq == []


def test_handler_reserves_time_to_finish(services, telemetry):
    start_invocation(services, telemetry, 60).handle_record(record("a"))
    start_invocation(services, telemetry, 5).handle_record(record("a"))
    assert [round(call[2], 1) for call in services.calls] == [55, 4.5]


def test_handler_enqueues_a_continuation_when_time_runs_out(services, telemetry):
    services.results["a"] = (200, 200)
    start_invocation(services, telemetry).handle_record(record("a"))
    assert services.queues.sent == [DocumentMessage("bucket", "a", 200, '"7"')]
    assert telemetry.counts["Continued"] == 1
    assert "Documents" not in telemetry.counts


def test_handler_continues_only_unchanged_content(services, telemetry):
    start_invocation(services, telemetry).handle_record(record(key="a", next_chunk=200, version='"7"'))
    start_invocation(services, telemetry).handle_record(record(key="b", next_chunk=200, version='"another"'))
    assert [call[:2] for call in services.calls] == [("a", 200), ("b", 0)]


def test_handler_enqueues_documents_it_has_no_time_to_start(services, telemetry):
    handler = start_invocation(services, telemetry, 60, 60, 29)
    for key in "abc":
        handler.handle_record(record(key))
    assert [call[0] for call in services.calls] == ["a"]
    assert services.queues.sent == [DocumentMessage("bucket", "b"), DocumentMessage("bucket", "c")]
    assert telemetry.counts["HandedOn"] == 2


def test_handler_always_starts_the_first_document(services, telemetry):
    handler = start_invocation(services, telemetry, 60, 1)
    services.results["a"] = Throttled("later")
    with pytest.raises(RecordFailed):
        handler.handle_record(record("a"))
    handler.handle_record(record("b"))
    assert [call[0] for call in services.calls] == ["a"]
    assert services.queues.sent == [DocumentMessage("bucket", "b")]


def test_handler_fails_late_documents_without_a_queue(services, telemetry):
    services.queues.can_continue = False
    handler = start_invocation(services, telemetry, 60, 60, 1)
    handler.handle_record(record("a"))
    with pytest.raises(RecordFailed):
        handler.handle_record(record("b"))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (DocumentRefused("a cannot be read: do this", reason="encrypted"), "DocumentRefused: encrypted: a cannot"),
        (InputError("no"), "InputError: no"),
        (RecordRefused("no"), "RecordRefused: no"),
    ],
)
def test_handler_sends_refused_documents_to_dlq_and_continues(services, telemetry, error, reason):
    services.results["a"] = error
    start_invocation(services, telemetry).handle_record(record("a", "b"))
    ((body, actual, source),) = services.queues.dlq
    assert read_message(body) == [DocumentMessage("bucket", "a")]
    assert actual.startswith(reason)
    assert source == "a"
    assert [call[0] for call in services.calls] == ["a", "b"]
    assert telemetry.counts["Refused"] == 1
    assert services.queues.delayed == []


def test_handler_sends_invalid_messages_to_dlq_unchanged(services, telemetry):
    start_invocation(services, telemetry).handle_record(record(key=7))
    ((body, reason, _),) = services.queues.dlq
    assert json.loads(body) == {"bucket": "bucket", "key": 7}
    assert reason.startswith("MessageRefused: ")


@pytest.mark.parametrize("error", [Throttled("x"), StoreUnavailable("x"), EmbedStackError("x"), KeyError("secret")])
def test_handler_retries_transient_errors_after_a_delay(services, telemetry, error):
    services.results["a"] = error
    with pytest.raises(RecordFailed) as caught:
        start_invocation(services, telemetry).handle_record(record("a", receives=4))
    assert services.queues.delayed == [("handle", 4)]
    assert services.queues.dlq == []
    assert "secret" not in str(caught.value) + "".join(telemetry.lines)
    assert telemetry.counts["Failed"] == 1


def test_handler_sends_the_last_attempt_to_dlq_with_its_reason(services, telemetry):
    """SQS would move it without one."""
    services.results["a"] = StoreUnavailable("The database wakes.")
    start_invocation(services, telemetry).handle_record(record("a", receives=5))
    ((body, reason, source),) = services.queues.dlq
    assert read_message(body) == [DocumentMessage("bucket", "a")]
    assert (reason, source) == ("StoreUnavailable: The database wakes.", "a")


def test_handler_fails_refused_documents_without_a_dlq(services, telemetry):
    services.queues.has_dlq = False
    services.results["a"] = DocumentRefused("no", reason="empty")
    with pytest.raises(RecordFailed):
        start_invocation(services, telemetry).handle_record(record("a", receives=5))


def test_handler_reprocesses_objects_that_changed_meanwhile(services, telemetry):
    services.concurrent_changes["a"] = b"newer content"
    services.concurrent_changes["b"] = None
    start_invocation(services, telemetry).handle_record(record("a", "b"))
    assert [call[:2] for call in services.calls] == [("a", 0), ("a", 0), ("b", 0), ("removed", "b")]
    assert services.reconcile == [False, True, False, True]


def test_handler_enqueues_changed_objects_when_time_is_short(services, telemetry):
    services.concurrent_changes["a"] = b"newer content"
    start_invocation(services, telemetry, 60, 60, 29).handle_record(record(key="a", next_chunk=200, version='"7"'))
    assert [call[:2] for call in services.calls] == [("a", 200)]
    (message,) = services.queues.sent
    assert message == DocumentMessage("bucket", "a", 1, '"7"')
    start_invocation(services, telemetry).handle_record(record(**asdict(message) | {"bucket": "bucket"}))
    assert services.calls[1][:2] == ("a", 0)
    assert services.reconcile == [False, True]


@pytest.mark.parametrize("error", [CollectionReplaced("x"), StoreUnavailable("x"), ConfigurationError("x")])
def test_handler_reopens_services_after_stale_errors(services, telemetry, error):
    services.results["a"] = error
    with pytest.raises(RecordFailed):
        start_invocation(services, telemetry).handle_record(record("a"))
    assert services.reopened == 1


def test_handler_logs_no_object_keys(services, telemetry):
    services.objects["Rumpelstiltskin.txt"] = b"x"
    services.results["Rumpelstiltskin.pdf"] = DocumentRefused("Rumpelstiltskin.pdf is empty", reason="empty")
    services.objects["Rumpelstiltskin.pdf"] = b"x"
    start_invocation(services, telemetry).handle_record(
        record("Rumpelstiltskin.txt", "Rumpelstiltskin.pdf", "Rumpelstiltskin.md")
    )
    assert len(telemetry.lines) == 3
    assert "Rumpel" not in "".join(telemetry.lines)


def test_fit_reserves_memory_for_a_large_tokenizer(tmp_path, monkeypatch):
    with (tmp_path / "tokenizer.json").open("wb") as file:
        file.truncate(17_100_000)
    monkeypatch.setenv("LAMBDA_TASK_ROOT", str(tmp_path))
    services = IngestServices()
    services.fit(120, 1024)
    assert 200 < services.limits.max_memory_bytes / 2**20 < 300


@pytest.mark.parametrize(
    ("seconds", "memory_mb", "reading", "memory"), [(120, 1024, 40, 768), (900, 4096, 300, 768), (30, 256, 10, 128)]
)
def test_fit_limits_reading_to_the_functions_limits(seconds, memory_mb, reading, memory):
    services = IngestServices()
    services.fit(seconds, memory_mb)
    services.fit(1, 1)
    assert (services.limits.max_seconds, services.limits.max_memory_bytes // 2**20) == (reading, memory)


def test_handler_logs_counts_and_returns_notes(services, telemetry):
    services.notes = ("Attachments that were not read: 1 (salaries.pdf, application/pdf).",)
    outcome = start_invocation(services, telemetry).handle_direct_event(DocumentMessage("bucket", "a"))
    assert outcome.notes == services.notes
    assert "salaries" not in "".join(telemetry.lines)
    assert telemetry.counts["Noted"] == 1
