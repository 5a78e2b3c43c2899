"""A dead-letter queue is looked at, sent back and emptied; what is in a bucket is sent to the pipeline's queue."""

import json
import time

import boto3
import pytest

from embedstack.documents.dead_letters import DeadLetters
from embedstack.documents.queue import send_documents


@pytest.fixture
def sqs(local_aws):
    return boto3.client("sqs", region_name="us-east-1", endpoint_url=local_aws.url)


@pytest.fixture
def urls(sqs):
    """A dead-letter queue and the queue that letters go back to."""
    made = [sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("dead", "alive")]
    yield made
    for url in made:
        sqs.delete_queue(QueueUrl=url)


@pytest.fixture
def letters(s3vectors_settings, urls):
    return DeadLetters(s3vectors_settings, *urls)


def bury(sqs, url, key, reason="DocumentRefused: empty: It is empty."):
    """As the ingest function does."""
    attributes = {"Reason": reason, "Source": key}
    sqs.send_message(
        QueueUrl=url,
        MessageBody=json.dumps({"bucket": "documents", "key": key}),
        MessageAttributes={name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()},
    )


def move(sqs, url, *keys):
    """As SQS does, with S3's own message."""
    records = [{"s3": {"bucket": {"name": "documents"}, "object": {"key": key}}} for key in keys]
    sqs.send_message(QueueUrl=url, MessageBody=json.dumps({"Records": records}))


def bodies(sqs, url):
    found = []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        found += [message["Body"] for message in messages]
    return found


def test_a_letter_names_its_documents_in_one_form_whoever_sent_it(sqs, urls, letters):
    bury(sqs, urls[0], "handbook/a [draft].md")
    move(sqs, urls[0], "handbook/b+1.md", "other/c.pdf", "other/c.pdf")
    sqs.send_message(QueueUrl=urls[0], MessageBody="not JSON")
    found = {letter.sources: letter for letter in letters.read()}
    assert found.keys() == {
        ("s3://documents/handbook/a [draft].md",),
        ("s3://documents/handbook/b 1.md", "s3://documents/other/c.pdf"),
        ("a message that names no document",),
    }
    patterns = ("handbook/*", "*.pdf", "handbook/a [draft].md", "s3://documents/other/*", "c.pdf")
    matching = {
        pattern: {letter.reason.split(":")[0] for letter in found.values() if letter.is_about(pattern)}
        for pattern in patterns
    }
    assert matching == {
        "handbook/*": {"DocumentRefused", "failed again and again"},
        "*.pdf": {"failed again and again"},
        "handbook/a [draft].md": {"DocumentRefused"},
        "s3://documents/other/*": {"failed again and again"},
        "c.pdf": set(),
    }


def test_letters_are_acted_on_while_they_are_read_and_the_others_are_there_afterwards(sqs, urls, letters):
    for number in range(35):
        bury(sqs, urls[0], f"{number}.txt")
    for number, letter in enumerate(letters.read()):
        if number % 5 == 0:
            letters.send_back(letter)
        elif number % 5 == 1:
            letters.delete(letter)
    assert len(set(bodies(sqs, urls[1]))) == 7
    assert len(set(bodies(sqs, urls[0]))) == 21


def test_what_was_sent_back_and_failed_again_is_not_read_in_the_same_reading(sqs, urls, letters):
    bury(sqs, urls[0], "a.txt")
    read = []
    for letter in letters.read():
        read.append(letter.sources)
        time.sleep(2)
        bury(sqs, urls[0], "a.txt")
        letters.delete(letter)
    assert len(read) == 1
    assert len(bodies(sqs, urls[0])) == 1


def test_what_is_in_a_bucket_is_sent_to_the_pipelines_queue(sqs, urls, s3vectors_settings):
    documents = [("documents", f"folder/ä {number}.md") for number in range(25)]
    counts: list[int] = []
    send_documents(s3vectors_settings, urls[1], documents, on_progress=counts.append)
    sent = [json.loads(body) for body in bodies(sqs, urls[1])]
    assert sorted((message["bucket"], message["key"]) for message in sent) == sorted(documents)
    assert counts == [10, 10, 5]
