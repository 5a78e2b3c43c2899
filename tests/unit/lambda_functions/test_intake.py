"""What an invocation of the ingest function does when time is short, and with what fails."""

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
from handling.intake import Intake, RecordFailed
from handling.messages import DocumentMessage, read_message
from handling.objects import StoredDocument
from handling.services import Services as RealServices


@dataclass
class Queues:
    """Keeps what is sent."""

    can_continue: bool = True
    has_dead_letters: bool = True
    most_receives: int = 5
    sent: list[Any] = field(default_factory=list)
    buried: list[Any] = field(default_factory=list)
    delayed: list[Any] = field(default_factory=list)

    def send_on(self, message):
        self.sent.append(message)

    def bury(self, body, reason, source):
        self.buried.append((body, reason, source))

    def is_last_attempt(self, receives):
        return receives >= self.most_receives

    def delay(self, receipt_handle, receives):
        self.delayed.append((receipt_handle, receives))


@dataclass
class Services:
    """S3 with objects by key, and an ingestion that does what it is told by key."""

    objects: dict[str, Any] = field(default_factory=dict)
    results: dict[str, Any] = field(default_factory=dict)
    queues: Queues = field(default_factory=Queues)
    calls: list[Any] = field(default_factory=list)
    meanwhile: dict[str, Any] = field(default_factory=dict)
    limits: ReadLimits = field(default_factory=lambda: ReadLimits(max_seconds=20))
    reopened: int = 0
    again: list[bool] = field(default_factory=list)

    @property
    def documents(self):
        return self

    @property
    def ingestion(self):
        return self

    @contextmanager
    def open(self, bucket, key):
        content = self.objects.get(key)
        yield None if content is None else StoredDocument(io.BytesIO(content), f'"{len(content)}"', len(content))

    def etag(self, bucket, key):
        content = self.objects.get(key)
        return None if content is None else f'"{len(content)}"'

    def ingest(self, source, content, *, deadline=None, first_chunk=0, again=False):
        self.calls.append((source, first_chunk, deadline - time.monotonic()))
        self.again.append(again)
        if source in self.meanwhile:
            self.objects[source] = self.meanwhile.pop(source)
        result = self.results.get(source)
        if isinstance(result, Exception):
            raise result
        chunks, next_chunk = result or (3, None)
        return SimpleNamespace(chunks=chunks, embedded=chunks, unchanged=0, next_chunk=next_chunk)

    def remove(self, source, *, again=False):
        self.calls.append(("removed", source))
        self.again.append(again)
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
    return Services(objects=dict.fromkeys("abc", b"content"))


@pytest.fixture
def telemetry():
    return Telemetry()


def begin(services, telemetry, *seconds_left):
    times = list(seconds_left) or [60]
    return Intake(services, lambda: times.pop(0) if len(times) > 1 else times[0], telemetry, telemetry)


def record(*keys, receives=1, **fields):
    bodies = [{"s3": {"bucket": {"name": "bucket"}, "object": {"key": key}}} for key in keys]
    body = {"Records": bodies} if keys else {"bucket": "bucket", **fields}
    attributes = {"ApproximateReceiveCount": str(receives)}
    return SQSRecord(
        {"messageId": "m-1", "receiptHandle": "handle", "body": json.dumps(body), "attributes": attributes}
    )


def test_what_is_there_is_ingested_and_what_is_gone_removed(services, telemetry):
    begin(services, telemetry).take_record(record("a", "gone"))
    assert [call[:2] for call in services.calls] == [("a", 0), ("removed", "gone")]
    assert {name: telemetry.counts[name] for name in ("Documents", "Chunks", "Embedded", "Removed")} == {
        "Documents": 1, "Chunks": 3, "Embedded": 3, "Removed": 1,
    }  # fmt: skip


def test_a_document_is_looked_at_once_in_an_invocation(services, telemetry):
    intake = begin(services, telemetry)
    for _ in range(3):
        intake.take_record(record("a"))
    assert len(services.calls) == 1


def test_the_object_that_stands_for_a_folder_is_no_document(services, telemetry):
    services.objects["folder/"] = b""
    begin(services, telemetry).take_record(record("folder/"))
    assert services.calls == []
    assert services.queues.buried == []


def test_time_is_kept_back_to_finish(services, telemetry):
    begin(services, telemetry, 60).take_record(record("a"))
    begin(services, telemetry, 5).take_record(record("a"))
    assert [round(call[2], 1) for call in services.calls] == [55, 4.5]


def test_a_document_that_is_not_done_in_time_is_sent_on(services, telemetry):
    services.results["a"] = (200, 200)
    begin(services, telemetry).take_record(record("a"))
    assert services.queues.sent == [DocumentMessage("bucket", "a", 200, '"7"')]
    assert telemetry.counts["Continued"] == 1
    assert "Documents" not in telemetry.counts


def test_it_goes_on_where_it_was_while_the_content_is_the_same(services, telemetry):
    begin(services, telemetry).take_record(record(key="a", next_chunk=200, etag='"7"'))
    begin(services, telemetry).take_record(record(key="b", next_chunk=200, etag='"another"'))
    assert [call[:2] for call in services.calls] == [("a", 200), ("b", 0)]


def test_what_is_not_begun_for_lack_of_time_is_handed_on_and_has_not_failed(services, telemetry):
    intake = begin(services, telemetry, 60, 60, 29)
    for key in "abc":
        intake.take_record(record(key))
    assert [call[0] for call in services.calls] == ["a"]
    assert services.queues.sent == [DocumentMessage("bucket", "b"), DocumentMessage("bucket", "c")]
    assert telemetry.counts["HandedOn"] == 2


def test_the_first_is_begun_however_short_the_time_is(services, telemetry):
    intake = begin(services, telemetry, 60, 1)
    services.results["a"] = Throttled("later")
    with pytest.raises(RecordFailed):
        intake.take_record(record("a"))
    intake.take_record(record("b"))
    assert [call[0] for call in services.calls] == ["a"]
    assert services.queues.sent == [DocumentMessage("bucket", "b")]


def test_without_a_queue_it_comes_again_by_failing(services, telemetry):
    services.queues.can_continue = False
    intake = begin(services, telemetry, 60, 60, 1)
    intake.take_record(record("a"))
    with pytest.raises(RecordFailed):
        intake.take_record(record("b"))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (DocumentRefused("a cannot be read: do this", reason="encrypted"), "DocumentRefused: encrypted: a cannot"),
        (InputError("no"), "InputError: no"),
        (RecordRefused("no"), "RecordRefused: no"),
    ],
)
def test_a_document_at_fault_is_put_aside_with_its_reason_and_the_others_go_on(services, telemetry, error, reason):
    services.results["a"] = error
    begin(services, telemetry).take_record(record("a", "b"))
    ((body, said, source),) = services.queues.buried
    assert read_message(body) == [DocumentMessage("bucket", "a")]
    assert said.startswith(reason)
    assert source == "a"
    assert [call[0] for call in services.calls] == ["a", "b"]
    assert telemetry.counts["Refused"] == 1
    assert services.queues.delayed == []


def test_a_message_that_is_none_is_put_aside_as_it_is(services, telemetry):
    begin(services, telemetry).take_record(record(key=7))
    ((body, reason, _),) = services.queues.buried
    assert json.loads(body) == {"bucket": "bucket", "key": 7}
    assert reason.startswith("MessageRefused: ")


@pytest.mark.parametrize("error", [Throttled("x"), StoreUnavailable("x"), EmbedStackError("x"), KeyError("secret")])
def test_what_may_pass_comes_again_after_a_while(services, telemetry, error):
    services.results["a"] = error
    with pytest.raises(RecordFailed) as caught:
        begin(services, telemetry).take_record(record("a", receives=4))
    assert services.queues.delayed == [("handle", 4)]
    assert services.queues.buried == []
    assert "secret" not in str(caught.value) + "".join(telemetry.lines)
    assert telemetry.counts["Failed"] == 1


def test_the_last_attempt_is_put_aside_with_its_reason(services, telemetry):
    """SQS would move it without one."""
    services.results["a"] = StoreUnavailable("The database wakes.")
    begin(services, telemetry).take_record(record("a", receives=5))
    ((body, reason, source),) = services.queues.buried
    assert read_message(body) == [DocumentMessage("bucket", "a")]
    assert (reason, source) == ("StoreUnavailable: The database wakes.", "a")


def test_without_a_dead_letter_queue_it_is_left_to_sqs(services, telemetry):
    services.queues.has_dead_letters = False
    services.results["a"] = DocumentRefused("no", reason="empty")
    with pytest.raises(RecordFailed):
        begin(services, telemetry).take_record(record("a", receives=5))


def test_what_changes_meanwhile_is_looked_at_again(services, telemetry):
    services.meanwhile["a"] = b"newer content"
    services.meanwhile["b"] = None
    begin(services, telemetry).take_record(record("a", "b"))
    assert [call[:2] for call in services.calls] == [("a", 0), ("a", 0), ("b", 0), ("removed", "b")]
    assert services.again == [False, True, False, True]


def test_what_changes_when_time_is_short_is_handed_on(services, telemetry):
    services.meanwhile["a"] = b"newer content"
    begin(services, telemetry, 60, 60, 29).take_record(record(key="a", next_chunk=200, etag='"7"'))
    assert [call[:2] for call in services.calls] == [("a", 200)]
    (message,) = services.queues.sent
    assert message == DocumentMessage("bucket", "a", 1, '"7"')
    begin(services, telemetry).take_record(record(**asdict(message) | {"bucket": "bucket"}))
    assert services.calls[1][:2] == ("a", 0)
    assert services.again == [False, True]


@pytest.mark.parametrize("error", [CollectionReplaced("x"), StoreUnavailable("x"), ConfigurationError("x")])
def test_what_is_out_of_date_is_made_anew(services, telemetry, error):
    services.results["a"] = error
    with pytest.raises(RecordFailed):
        begin(services, telemetry).take_record(record("a"))
    assert services.reopened == 1


def test_no_line_names_a_document(services, telemetry):
    services.objects["Rumpelstiltskin.txt"] = b"x"
    services.results["Rumpelstiltskin.pdf"] = DocumentRefused("Rumpelstiltskin.pdf is empty", reason="empty")
    services.objects["Rumpelstiltskin.pdf"] = b"x"
    begin(services, telemetry).take_record(record("Rumpelstiltskin.txt", "Rumpelstiltskin.pdf", "Rumpelstiltskin.md"))
    assert len(telemetry.lines) == 3
    assert "Rumpel" not in "".join(telemetry.lines)


def test_a_large_tokenizer_leaves_less_to_reading(tmp_path, monkeypatch):
    with (tmp_path / "tokenizer.json").open("wb") as file:
        file.truncate(17_100_000)
    monkeypatch.setenv("LAMBDA_TASK_ROOT", str(tmp_path))
    services = RealServices()
    services.fit(120, 1024)
    assert 200 < services.limits.max_memory_bytes / 2**20 < 300


@pytest.mark.parametrize(
    ("seconds", "memory_mb", "reading", "memory"), [(120, 1024, 40, 768), (900, 4096, 300, 768), (30, 256, 10, 128)]
)
def test_reading_is_limited_to_what_the_function_has(seconds, memory_mb, reading, memory):
    services = RealServices()
    services.fit(seconds, memory_mb)
    services.fit(1, 1)
    assert (services.limits.max_seconds, services.limits.max_memory_bytes // 2**20) == (reading, memory)
