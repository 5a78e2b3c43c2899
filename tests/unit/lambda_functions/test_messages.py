"""Parsing of the ingest queue's messages."""

import json

import pytest

from pipeline_functions.messages import DocumentMessage, MessageRefused, read_message


def notification(*keys, name="ObjectCreated:Put"):
    """An S3 event notification, version 2.1."""
    return json.dumps(
        {
            "Records": [
                {
                    "eventVersion": "2.1",
                    "eventSource": "aws:s3",
                    "awsRegion": "us-east-1",
                    "eventTime": "2026-11-21T18:00:00.000Z",
                    "eventName": name,
                    "s3": {
                        "s3SchemaVersion": "1.0",
                        "bucket": {"name": "documents", "arn": "arn:aws:s3:::documents"},
                        "object": {"key": key, "size": 3, "eTag": "abc", "sequencer": "0055AED6DCD90281E5"},
                    },
                }
                for key in keys
            ]
        }
    )


@pytest.mark.parametrize(
    ("encoded", "key"),
    [
        ("notes/plain.txt", "notes/plain.txt"),
        ("two+words%2Bplus.txt", "two words+plus.txt"),
        ("%C3%BCber.md", "über.md"),
        ("..%2F..%2Fetc%2Fpasswd", "../../etc/passwd"),
        ("100%25.txt", "100%.txt"),
    ],
)
@pytest.mark.parametrize(
    "name", ["ObjectCreated:Put", "ObjectRemoved:DeleteMarkerCreated", "LifecycleExpiration:Delete"]
)
def test_read_message_decodes_the_key_of_any_s3_event(encoded, key, name):
    assert read_message(notification(encoded, name=name)) == [DocumentMessage("documents", key)]


def test_read_message_removes_duplicate_objects():
    assert [message.key for message in read_message(notification("a", "b", "a"))] == ["a", "b"]


def test_read_message_ignores_the_s3_test_event():
    body = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "2026-11-21T18:00:00Z", "Bucket": "documents"}
    assert read_message(json.dumps(body)) == []


def test_read_message_does_not_decode_direct_keys():
    assert read_message('{"bucket": "b", "key": "two+words%2B.txt"}') == [DocumentMessage("b", "two+words%2B.txt")]


@pytest.mark.parametrize("key", ["plain", "über \u2028 \U0001f600", "tab\tand\x01control"])
def test_continuation_round_trips(key):
    message = DocumentMessage("b", key, next_chunk=200, version='"abc"')
    assert read_message(message.to_json()) == [message]
    assert message.to_json().isascii(), "SQS accepts any ASCII key"
    assert read_message(message.from_start().to_json()) == [DocumentMessage("b", key)]


@pytest.mark.parametrize(
    "body",
    [
        "",
        "not JSON",
        "[]",
        "{}",
        '"text"',
        "null",
        '{"Records": []}',
        '{"Records": [1]}',
        '{"Records": [{"eventSource": "aws:kinesis", "kinesis": {}}]}',
        '{"bucket": "b"}',
        '{"bucket": "", "key": "k"}',
        '{"bucket": "b", "key": 1}',
        '{"bucket": "b", "key": "k", "next_chunk": -1}',
        '{"bucket": "b", "key": "k", "next_chunk": true}',
        '{"bucket": "b", "key": "k", "next_chunk": "1"}',
        '{"bucket": "b", "key": "k", "version": 1}',
        '{"Event": "s3:Another"}',
        notification("%FF"),
        "[" * 100_000,
    ],
)
def test_anything_else_is_refused_without_being_quoted(body):
    with pytest.raises(MessageRefused) as caught:
        read_message(body)
    assert len(str(caught.value)) < 200


def test_message_of_a_metadata_file_names_its_document():
    assert read_message('{"bucket": "b", "key": "a/report.pdf.metadata.json"}') == [
        DocumentMessage("b", "a/report.pdf")
    ]
    assert read_message('{"bucket": "b", "key": ".metadata.json"}') == [DocumentMessage("b", ".metadata.json")]
