"""S3 buckets: lifecycle rules, policies and versions."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.localaws.harness import Aws


def test_lifecycle_keeps_newer_noncurrent_versions(aws: Aws) -> None:
    aws.s3.create_bucket(Bucket="versions")
    with pytest.raises(ClientError, match="NoSuchLifecycleConfiguration"):
        aws.s3.get_bucket_lifecycle_configuration(Bucket="versions")
    expiration = {"NoncurrentDays": 30, "NewerNoncurrentVersions": 5}
    rules: list[dict[str, Any]] = [
        {"ID": "old", "Status": "Enabled", "Filter": {"Prefix": ""}, "NoncurrentVersionExpiration": expiration},
        {"ID": "tmp", "Status": "Enabled", "Filter": {"Prefix": "tmp/"}, "Expiration": {"Days": 1}},
    ]
    for expected in (rules, rules[:1], rules[1:]):
        aws.s3.put_bucket_lifecycle_configuration(Bucket="versions", LifecycleConfiguration={"Rules": expected})
        assert aws.s3.get_bucket_lifecycle_configuration(Bucket="versions")["Rules"] == expected


def test_bucket_policy_that_requires_tls_allows_requests(aws: Aws) -> None:
    aws.s3.create_bucket(Bucket="tls")
    refuse_plain = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": ["arn:aws:s3:::tls", "arn:aws:s3:::tls/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    no_reading = {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::tls/secret"}
    policy = {"Version": "2012-10-17", "Statement": [refuse_plain, no_reading]}
    aws.s3.put_bucket_policy(Bucket="tls", Policy=json.dumps(policy))
    for key in ("state", "secret"):
        aws.s3.put_object(Bucket="tls", Key=key, Body=b"x")
    assert aws.s3.get_object(Bucket="tls", Key="state")["Body"].read() == b"x"
    with pytest.raises(ClientError, match="AccessDenied"):
        aws.s3.get_object(Bucket="tls", Key="secret")
    assert json.loads(aws.s3.get_bucket_policy(Bucket="tls")["Policy"]) == policy


def test_list_object_versions_encodes_keys(aws: Aws) -> None:
    keys = ["100% sure.txt", "a+b/c d.txt", "a/é\u0001.txt", "plain.txt"]
    aws.s3.create_bucket(Bucket="keys")
    aws.s3.put_bucket_versioning(Bucket="keys", VersioningConfiguration={"Status": "Enabled"})
    for key in keys:
        aws.s3.put_object(Bucket="keys", Key=key, Body=b"x")
    aws.s3.delete_object(Bucket="keys", Key=keys[0])
    listed = aws.s3.list_object_versions(Bucket="keys")
    assert [version["Key"] for version in listed["Versions"]] == keys
    assert [marker["Key"] for marker in listed["DeleteMarkers"]] == keys[:1]
    encoded = aws.s3.list_object_versions(Bucket="keys", EncodingType="url", Prefix="a+b/", Delimiter="/")
    assert (encoded["EncodingType"], encoded["Prefix"]) == ("url", "a%2Bb/")
    assert [version["Key"] for version in encoded["Versions"]] == ["a%2Bb/c%20d.txt"]


def test_versions_are_deleted_one_by_one_with_suspended_versioning(aws: Aws) -> None:
    """As Terraform empties a bucket that it destroys."""
    aws.s3.create_bucket(Bucket="suspended")
    aws.s3.put_bucket_versioning(Bucket="suspended", VersioningConfiguration={"Status": "Enabled"})
    for content in (b"first", b"second"):
        aws.s3.put_object(Bucket="suspended", Key="key", Body=content)
    marker = aws.s3.delete_object(Bucket="suspended", Key="key")["VersionId"]
    aws.s3.put_bucket_versioning(Bucket="suspended", VersioningConfiguration={"Status": "Suspended"})
    second, first = aws.s3.list_object_versions(Bucket="suspended")["Versions"]
    aws.s3.delete_object(Bucket="suspended", Key="key", VersionId=first["VersionId"])
    (left,) = aws.s3.list_object_versions(Bucket="suspended")["Versions"]
    assert left["VersionId"] == second["VersionId"]
    aws.s3.delete_object(Bucket="suspended", Key="key", VersionId=marker)
    assert aws.s3.get_object(Bucket="suspended", Key="key")["Body"].read() == b"second"
    aws.s3.delete_objects(Bucket="suspended", Delete={"Objects": [{"Key": "key", "VersionId": second["VersionId"]}]})
    aws.s3.delete_bucket(Bucket="suspended")


def test_concurrent_writes_of_one_key_keep_every_version(aws: Aws) -> None:
    aws.s3.create_bucket(Bucket="concurrent")
    s3 = aws.client("s3", max_pool_connections=16)
    for version in ("Enabled", "Suspended"):
        aws.s3.put_bucket_versioning(Bucket="concurrent", VersioningConfiguration={"Status": version})
        with ThreadPoolExecutor(16) as pool:
            writes = [
                pool.submit(s3.put_object, Bucket="concurrent", Key="key", Body=b"x" * 100_000) for _ in range(80)
            ]
            reads = [pool.submit(s3.list_object_versions, Bucket="concurrent") for _ in range(8)]
            assert all(call.result() for call in writes + reads)
        if version == "Enabled":
            assert len(s3.list_object_versions(Bucket="concurrent")["Versions"]) == 80
