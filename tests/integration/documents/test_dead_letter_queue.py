"""The dead-letter queue: read, resend and delete messages. The ingest queue: enqueue documents."""

import json
import time

import boto3
import pytest

from embedstack.documents.dead_letter_queue import DeadLetterQueue
from embedstack.documents.ingest_queue import enqueue_documents


@pytest.fixture
def sqs(local_aws):
    return boto3.client("sqs", region_name="us-east-1", endpoint_url=local_aws.url)


@pytest.fixture
def urls(sqs):
    """URLs of a dead-letter queue and of the queue that messages are resent to."""
    created = [sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("dead", "alive")]
    yield created
    for url in created:
        sqs.delete_queue(QueueUrl=url)


@pytest.fixture
def dlq(s3vectors_settings, urls):
    return DeadLetterQueue(s3vectors_settings, *urls)


def send_to_dlq(sqs, url, key, reason="DocumentRefused: empty: It is empty."):
    """Send a message to the DLQ as the ingest function does."""
    attributes = {"Reason": reason, "Source": key}
    sqs.send_message(
        QueueUrl=url,
        MessageBody=json.dumps({"bucket": "documents", "key": key}),
        MessageAttributes={name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()},
    )


def send_event(sqs, url, *keys):
    """Send an S3 event to the DLQ, as SQS does after the last attempt."""
    records = [{"s3": {"bucket": {"name": "documents"}, "object": {"key": key}}} for key in keys]
    sqs.send_message(QueueUrl=url, MessageBody=json.dumps({"Records": records}))


def bodies(sqs, url):
    received = []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        received += [message["Body"] for message in messages]
    return received


def test_dlq_message_names_its_documents_for_every_sender(sqs, urls, dlq):
    send_to_dlq(sqs, urls[0], "handbook/a [draft].md")
    send_event(sqs, urls[0], "handbook/b+1.md", "other/c.pdf", "other/c.pdf")
    sqs.send_message(QueueUrl=urls[0], MessageBody="not JSON")
    messages = {message.sources: message for message in dlq.read()}
    assert messages.keys() == {
        ("s3://documents/handbook/a [draft].md",),
        ("s3://documents/handbook/b 1.md", "s3://documents/other/c.pdf"),
        ("a message without a document",),
    }
    patterns = ("handbook/*", "*.pdf", "handbook/a [draft].md", "s3://documents/other/*", "c.pdf")
    matching = {
        pattern: {message.reason.split(":")[0] for message in messages.values() if message.is_about(pattern)}
        for pattern in patterns
    }
    assert matching == {
        "handbook/*": {"DocumentRefused", "failed repeatedly"},
        "*.pdf": {"failed repeatedly"},
        "handbook/a [draft].md": {"DocumentRefused"},
        "s3://documents/other/*": {"failed repeatedly"},
        "c.pdf": set(),
    }


def test_redrive_deletes_and_resends_selected_messages(sqs, urls, dlq):
    for number in range(35):
        send_to_dlq(sqs, urls[0], f"{number}.txt")
    for number, message in enumerate(dlq.read()):
        if number % 5 == 0:
            dlq.resend(message)
        elif number % 5 == 1:
            dlq.delete(message)
    assert len(set(bodies(sqs, urls[1]))) == 7
    assert len(set(bodies(sqs, urls[0]))) == 21


def test_redrive_reads_a_message_that_failed_again_only_next_time(sqs, urls, dlq):
    send_to_dlq(sqs, urls[0], "a.txt")
    read = []
    for message in dlq.read():
        read.append(message.sources)
        time.sleep(2)
        send_to_dlq(sqs, urls[0], "a.txt")
        dlq.delete(message)
    assert len(read) == 1
    assert len(bodies(sqs, urls[0])) == 1


def test_enqueue_documents_sends_batches_and_reports_progress(sqs, urls, s3vectors_settings):
    documents = [("documents", f"folder/ä {number}.md") for number in range(25)]
    counts: list[int] = []
    enqueue_documents(s3vectors_settings, urls[1], documents, on_progress=counts.append)
    sent = [json.loads(body) for body in bodies(sqs, urls[1])]
    assert sorted((message["bucket"], message["key"]) for message in sent) == sorted(documents)
    assert counts == [10, 10, 5]
