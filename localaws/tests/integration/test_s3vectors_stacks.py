"""CloudFormation stacks with S3 Vectors' resources, as in the Terraform module."""

import json

import pytest

from tests.support.localaws.harness import Aws
from tests.support.localaws.stacks import Stacks

POLICY = {
    "Version": "2012-10-17",
    "Statement": [{
        "Effect": "Deny", "Principal": {"AWS": "123456789012"}, "Action": "s3vectors:DeleteVectorBucket",
        "Resource": "*",
    }],
}  # fmt: skip


@pytest.fixture(scope="module")
def stacks(aws: Aws) -> Stacks:
    return Stacks(aws)


@pytest.fixture
def vectors(aws: Aws):
    return aws.client("s3vectors")


def template(bucket=None, dimension="8", **index):
    """A bucket with a policy and an index; numbers may come as strings."""
    return {
        "Resources": {
            "Bucket": {
                "Type": "AWS::S3Vectors::VectorBucket",
                "Properties": {
                    **({"VectorBucketName": bucket} if bucket else {}),
                    "EncryptionConfiguration": {"SseType": "AES256"},
                    "Tags": [{"Key": "team", "Value": "search"}],
                },
            },
            "Policy": {
                "Type": "AWS::S3Vectors::VectorBucketPolicy",
                "Properties": {"VectorBucketArn": {"Ref": "Bucket"}, "Policy": POLICY},
            },
            "Index": {
                "Type": "AWS::S3Vectors::Index",
                "Properties": {
                    "VectorBucketArn": {"Fn::GetAtt": ["Bucket", "VectorBucketArn"]},
                    "DataType": "float32",
                    "Dimension": dimension,
                    "DistanceMetric": "cosine",
                    "MetadataConfiguration": {"NonFilterableMetadataKeys": ["text"]},
                    **index,
                },
            },
        },
        "Outputs": {
            "Bucket": {"Value": {"Ref": "Bucket"}},
            "Created": {"Value": {"Fn::GetAtt": ["Bucket", "CreationTime"]}},
            "Index": {"Value": {"Ref": "Index"}},
            "IndexArn": {"Value": {"Fn::GetAtt": ["Index", "IndexArn"]}},
        },
    }


def outputs(stack):
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def test_stack_creates_updates_and_deletes_a_vector_bucket(stacks, vectors):
    created = stacks.create("store", template())
    assert created["StackStatus"] == "CREATE_COMPLETE"
    found = outputs(created)
    assert found["Bucket"].startswith("arn:aws:s3vectors:us-east-1:123456789012:bucket/store-bucket-")
    assert found["Index"] == found["IndexArn"]
    assert found["Index"].startswith(f"{found['Bucket']}/index/store-index-")
    assert found["Created"].endswith("Z")
    index = vectors.get_index(indexArn=found["Index"])["index"]
    assert (index["dimension"], index["distanceMetric"]) == (8, "cosine")
    assert index["metadataConfiguration"] == {"nonFilterableMetadataKeys": ["text"]}
    assert json.loads(vectors.get_vector_bucket_policy(vectorBucketArn=found["Bucket"])["policy"]) == POLICY
    tags = vectors.list_tags_for_resource(resourceArn=found["Bucket"])["tags"]
    assert tags["team"] == "search"
    assert tags["aws:cloudformation:logical-id"] == "Bucket"
    vectors.put_vectors(indexArn=found["Index"], vectors=[{"key": "a", "data": {"float32": [1.0] * 8}}])

    # Tags and the policy change in place.
    changed = template()
    changed["Resources"]["Bucket"]["Properties"]["Tags"] = [{"Key": "owner", "Value": "alex"}]
    changed["Resources"]["Policy"]["Properties"]["Policy"] = {**POLICY, "Id": "second"}
    updated = stacks.update("store", changed)
    assert updated["StackStatus"] == "UPDATE_COMPLETE"
    assert outputs(updated) == found
    tags = vectors.list_tags_for_resource(resourceArn=found["Bucket"])["tags"]
    assert {key: value for key, value in tags.items() if not key.startswith("aws:")} == {"owner": "alex"}
    assert json.loads(vectors.get_vector_bucket_policy(vectorBucketArn=found["Bucket"])["policy"])["Id"] == "second"
    assert [one["key"] for one in vectors.list_vectors(indexArn=found["Index"])["vectors"]] == ["a"]

    # Another dimension is another index.
    replaced = outputs(stacks.update("store", template(dimension=16)))
    assert replaced["Bucket"] == found["Bucket"]
    assert vectors.get_index(indexArn=replaced["Index"])["index"]["dimension"] == 16
    listed = vectors.list_indexes(vectorBucketArn=found["Bucket"])["indexes"]
    assert [index["indexArn"] for index in listed] == [replaced["Index"]]

    assert stacks.delete("store")["StackStatus"] == "DELETE_COMPLETE"
    assert vectors.list_vector_buckets()["vectorBuckets"] == []


def test_stack_changes_searchable_keys_in_place(stacks, vectors):
    def with_searchable(*configurations, keys=("text",)):
        searchable = [dict(zip(("MetadataKey", "Language"), one, strict=False)) for one in configurations]
        metadata = {"NonFilterableMetadataKeys": list(keys), "TextSearchConfigurations": searchable}
        return template("searchable", MetadataConfiguration=metadata)

    def searchable(arn):
        configuration = vectors.get_index(indexArn=arn)["index"]["metadataConfiguration"]
        return [
            (one["metadataKey"], one.get("language"), one["status"])
            for one in configuration.get("textSearchConfigurations", [])
        ]

    arn = outputs(stacks.create("searchable", with_searchable(("text", "en"), ("title",))))["Index"]
    assert searchable(arn) == [("text", "en", "ACTIVE"), ("title", None, "ACTIVE")]
    changed = stacks.update("searchable", with_searchable(("text", "de"), ("summary", "en")))
    assert outputs(changed)["Index"] == arn
    assert searchable(arn) == [("text", "de", "ACTIVE"), ("summary", "en", "ACTIVE")]
    replaced = stacks.update("searchable", with_searchable(("text", "de"), keys=("text", "other")))
    assert outputs(replaced)["Index"] != arn
    stacks.delete("searchable")
    invalid = template("invalid")
    status = {"TextSearchConfigurations": [{"MetadataKey": "text", "Status": "ACTIVE"}]}
    invalid["Resources"]["Index"]["Properties"]["MetadataConfiguration"] = status
    assert stacks.create("invalid", invalid)["StackStatus"] == "ROLLBACK_COMPLETE"
    assert "[Status] is not permitted" in stacks.reasons("invalid", "CREATE_FAILED")
    stacks.delete("invalid")


def test_stack_cannot_delete_a_bucket_with_other_indexes(stacks, vectors):
    stacks.create("filled", template("filled-by-others", IndexName="own"))
    vectors.create_index(
        vectorBucketName="filled-by-others", indexName="other", dataType="float32", dimension=2, distanceMetric="cosine"
    )
    failed = stacks.delete("filled")
    assert failed["StackStatus"] == "DELETE_FAILED"
    assert "failed to delete: [Bucket]" in failed["StackStatusReason"]
    reason = stacks.reasons("filled", "DELETE_FAILED")
    assert "The specified vector bucket is not empty (Service: S3Vectors, Status Code: 409" in reason
    assert "HandlerErrorCode: ResourceConflict" in reason
    vectors.delete_index(vectorBucketName="filled-by-others", indexName="other")
    assert stacks.delete("filled")["StackStatus"] == "DELETE_COMPLETE"


def test_rejected_resource_is_rolled_back(stacks, vectors):
    for name, change, reason in (
        (
            "too-long",
            {"dimension": 5000},
            "Member must be between 1 and 4096, inclusive (Service: S3Vectors, Status Code",
        ),
        ("no-number", {"dimension": "eight"}, "#/Dimension: expected type: Integer, found: String"),
        ("unknown", {"Nonsense": 1}, "extraneous key [Nonsense] is not permitted"),
        ("nested", {"MetadataConfiguration": {"Keys": []}}, "#/MetadataConfiguration: extraneous key [Keys]"),
    ):
        failed = stacks.create(name, template(**change))
        assert failed["StackStatus"] == "ROLLBACK_COMPLETE"
        assert reason in stacks.reasons(name, "CREATE_FAILED")
        stacks.delete(name)
    incomplete = template()
    del incomplete["Resources"]["Index"]["Properties"]["DataType"]
    assert stacks.create("incomplete", incomplete)["StackStatus"] == "ROLLBACK_COMPLETE"
    assert "#: required key [DataType] not found" in stacks.reasons("incomplete", "CREATE_FAILED")
    stacks.delete("incomplete")
    assert vectors.list_vector_buckets()["vectorBuckets"] == []


def test_index_with_custom_name_cannot_be_replaced(stacks):
    stacks.create("named", template("named-by-hand", IndexName="by-hand"))
    failed = stacks.update("named", template("named-by-hand", dimension=9, IndexName="by-hand"))
    assert failed["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert "Rename by-hand and update the stack again" in stacks.reasons("named", "UPDATE_FAILED")
    assert stacks.delete("named")["StackStatus"] == "DELETE_COMPLETE"
