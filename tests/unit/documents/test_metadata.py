"""Metadata of documents: metadata files, S3 metadata and tags."""

import json

import pytest

from embedstack.documents.metadata import described_document, object_metadata, parse_metadata_file
from embedstack.errors import InputError


def parse(**attributes):
    return parse_metadata_file(json.dumps({"metadataAttributes": attributes}).encode(), "report.pdf")


def test_metadata_file_in_short_and_long_form():
    long = {
        "team": {"value": {"type": "STRING", "stringValue": "billing"}, "includeForEmbedding": False},
        "year": {"value": {"type": "NUMBER", "numberValue": 2025}},
        "final": {"value": {"type": "BOOLEAN", "booleanValue": True}},
        "tags": {"value": {"type": "STRING_LIST", "stringListValue": ["tax", "vat"]}},
    }
    short = {"team": "billing", "year": 2025, "final": True, "tags": ["tax", "vat"]}
    assert parse(**long) == parse(**short, nothing=None, empty=[]) == short


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"{", "not JSON in UTF-8"),
        (b"\xff\xfe{}", "not JSON in UTF-8"),
        (b"[" * 9000, "not JSON in UTF-8"),
        (b"[]", 'no object "metadataAttributes"'),
        (b'{"metadataAttributes": ["a"]}', 'no object "metadataAttributes"'),
        (b'{"metadataAttributes": {"source": "a"}}', "reserved names: source"),
        (b'{"metadataAttributes": {"$gt": 1}}', "invalid name"),
        (b'{"metadataAttributes": {"a": {"b": 1}}}', "unsupported value for 'a'"),
        (b'{"metadataAttributes": {"a": {"value": {"type": "DATE"}}}}', "unsupported value for 'a'"),
        (b'{"metadataAttributes": {"a": ["b", 1]}}', "unsupported value for 'a'"),
        (b'{"metadataAttributes": {"a": NaN}}', "unsupported value for 'a'"),
        (b'{"metadataAttributes": {"a": "b\\u0000"}}', "unsupported value for 'a'"),
        (b'{"metadataAttributes": {"a": ["b\\ud800"]}}', "unsupported value for 'a'"),
        (b'{"metadataAttributes": {"a\\u0000": 1}}', "invalid name"),
        (b'{"metadataAttributes": {"a": 1' + b"0" * 400 + b"}}", "unsupported value for 'a'"),
        (b" " * 10241, "10,240 bytes"),
    ],
)
def test_metadata_file_is_rejected_with_the_remedy(content, problem):
    with pytest.raises(InputError, match=r"metadata file of report\.pdf .*\. \w+") as caught:
        parse_metadata_file(content, "report.pdf")
    assert problem in str(caught.value)


def test_metadata_file_may_start_with_a_byte_order_mark():
    assert parse_metadata_file(b'\xef\xbb\xbf{"metadataAttributes": {"a": 1}}', "a.txt") == {"a": 1}


def test_object_metadata_is_decoded_and_precedes_tags():
    metadata, notes = object_metadata(
        {
            "author": "=?UTF-8?B?SsO8cmdlbg==?=",
            "broken": "=?UTF-8?B?SsO8cmdlb?=",
            "unknown": "=?NONE?Q?a?=",
            "controls": "=?UTF-8?Q?a=00b?= =?unicode_escape?Q?=5Cud800?=",
            "page": "3",
        },
        {"author": "tag", "team": "blue"},
    )
    assert metadata == {
        "author": "Jürgen", "broken": metadata["broken"], "unknown": "=?NONE?Q?a?=", "controls": "ab\ufffd",
        "team": "blue",
    }  # fmt: skip
    assert notes == ["S3 metadata that was ignored because its names are reserved: 1."]


@pytest.mark.parametrize(
    ("name", "document"),
    [
        ("a/b.pdf.metadata.json", "a/b.pdf"),
        ("b.pdf", None),
        (".metadata.json", None),
        ("a/.metadata.json", None),
        ("metadata.json", None),
    ],
)
def test_described_document_of_a_metadata_file(name, document):
    assert described_document(name) == document
