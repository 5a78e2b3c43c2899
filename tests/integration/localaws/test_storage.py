"""What a bucket is told is what it says and does."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.integration.localaws.harness import Aws


def test_lifecycle_keeps_how_many_old_versions_stay(aws: Aws) -> None:
    aws.s3.create_bucket(Bucket="versions")
    with pytest.raises(ClientError, match="NoSuchLifecycleConfiguration"):
        aws.s3.get_bucket_lifecycle_configuration(Bucket="versions")
    expiration = {"NoncurrentDays": 30, "NewerNoncurrentVersions": 5}
    rules: list[dict[str, Any]] = [
        {"ID": "old", "Status": "Enabled", "Filter": {"Prefix": ""}, "NoncurrentVersionExpiration": expiration},
        {"ID": "tmp", "Status": "Enabled", "Filter": {"Prefix": "tmp/"}, "Expiration": {"Days": 1}},
    ]
    for kept in (rules, rules[:1], rules[1:]):
        aws.s3.put_bucket_lifecycle_configuration(Bucket="versions", LifecycleConfiguration={"Rules": kept})
        assert aws.s3.get_bucket_lifecycle_configuration(Bucket="versions")["Rules"] == kept


def test_policy_that_demands_tls_lets_objects_through_and_other_denials_stay(aws: Aws) -> None:
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
