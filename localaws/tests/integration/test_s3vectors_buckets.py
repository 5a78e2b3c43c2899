"""Vector buckets and indexes of S3 Vectors over HTTP."""

import json

import pytest

from tests.support.localaws.vector_calls import ARN, BUCKET, INDEX, create, error_text, refusal


def test_vector_buckets_are_created_listed_and_deleted(aws, vectors):
    encryption = {"encryptionConfiguration": {"sseType": "AES256"}}
    for name in ("a-first", "a-second", "b-third"):
        vectors.create_vector_bucket(vectorBucketName=name, **encryption, tags={"team": "search"})
    description = vectors.get_vector_bucket(vectorBucketName="a-first")["vectorBucket"]
    assert description.pop("creationTime").timestamp() > 1.7e9
    assert description == {
        "vectorBucketName": "a-first",
        "vectorBucketArn": ARN.replace(BUCKET, "a-first"),
        **encryption,
        "defaultIndexMode": "ENHANCED",
    }
    assert vectors.get_vector_bucket(vectorBucketArn=description["vectorBucketArn"])["vectorBucket"][
        "encryptionConfiguration"
    ]
    pages = vectors.get_paginator("list_vector_buckets").paginate(PaginationConfig={"PageSize": 2})
    listed = [[bucket["vectorBucketName"] for bucket in page["vectorBuckets"]] for page in pages]
    assert listed == [["a-first", "a-second"], ["b-third", BUCKET]]
    assert len(vectors.list_vector_buckets(prefix="a-")["vectorBuckets"]) == 2
    # Names are an account's own in each region.
    elsewhere = aws.client("s3vectors", "eu-central-1")
    assert elsewhere.list_vector_buckets()["vectorBuckets"] == []
    assert error_text(vectors.create_vector_bucket, vectorBucketName="a-first") == (
        "ConflictException: A vector bucket with the specified name already exists"
    )
    for name in ("a-first", "a-second", "b-third"):
        vectors.delete_vector_bucket(vectorBucketName=name)
    assert error_text(vectors.get_vector_bucket, vectorBucketName="a-first") == (
        "NotFoundException: The specified vector bucket could not be found"
    )


def test_delete_vector_bucket_requires_an_empty_bucket(index):
    assert error_text(index.delete_vector_bucket, vectorBucketName=BUCKET) == (
        "ConflictException: The specified vector bucket is not empty"
    )


def test_vector_bucket_policy_is_stored(vectors):
    assert error_text(vectors.get_vector_bucket_policy, vectorBucketName=BUCKET).startswith("NotFoundException")
    policy = json.dumps({"Version": "2012-10-17", "Statement": []})
    vectors.put_vector_bucket_policy(vectorBucketArn=ARN, policy=policy)
    assert vectors.get_vector_bucket_policy(vectorBucketName=BUCKET)["policy"] == policy
    vectors.delete_vector_bucket_policy(vectorBucketName=BUCKET)
    vectors.delete_vector_bucket_policy(vectorBucketName=BUCKET)
    assert error_text(vectors.get_vector_bucket_policy, vectorBucketName=BUCKET).startswith("NotFoundException")


def test_get_index_describes_the_index(index):
    description = index.get_index(indexArn=f"{ARN}/index/texts")["index"]
    assert description.pop("creationTime").timestamp() > 1.7e9
    assert description == {
        **INDEX,
        "indexArn": f"{ARN}/index/texts",
        "dataType": "float32",
        "dimension": 4,
        "distanceMetric": "cosine",
        "metadataConfiguration": {"nonFilterableMetadataKeys": ["text"]},
        "encryptionConfiguration": {"sseType": "AES256"},
        "indexMode": "ENHANCED",
    }
    assert [
        index_summary["indexName"]
        for index_summary in index.list_indexes(vectorBucketName=BUCKET, prefix="te")["indexes"]
    ] == ["texts"]
    assert index.list_indexes(vectorBucketArn=ARN, prefix="x")["indexes"] == []
    assert error_text(create, index, "texts") == "ConflictException: An index with the specified name already exists"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dimension": 4097}, "Value at '/dimension' failed to satisfy constraint: Member must be between 1 and 4096"),
        ({"metric": "dot"}, "Member must satisfy enum value set: [euclidean, cosine]"),
        ({"name": "ab"}, "Value with length 2 at '/indexName' failed to satisfy constraint: Member must have length"),
        ({"name": "With-Capitals"}, "Invalid index name"),
        (
            {"metadataConfiguration": {"nonFilterableMetadataKeys": [str(number) for number in range(11)]}},
            "Value with length 11 at '/metadataConfiguration/nonFilterableMetadataKeys'",
        ),
        ({"tags": {"a#b": "c"}}, "Member must satisfy regular expression pattern"),
        ({"tags": {"aws:own": "c"}}, "aws:"),
        ({"tags": {f"tag {number}": "ä" for number in range(51)}}, "50 tags"),
        (
            {"encryptionConfiguration": {"sseType": "aws:kms"}},
            "kmsKeyArn must be specified when sseType is set to aws:kms",
        ),
    ],
)
def test_create_index_rejects_invalid_requests(vectors, change, message):
    response = refusal(create, vectors, **{"name": "refused", **change})
    assert response["Error"]["Code"] == "ValidationException"
    assert message in response["Error"]["Message"]
    assert response["fieldList"][0]["message"] in response["Error"]["Message"]
    assert vectors.list_indexes(vectorBucketName=BUCKET)["indexes"] == []


def test_validation_error_lists_every_violation(vectors):
    response = refusal(create, vectors, "x", dimension=0)
    assert response["Error"]["Message"].startswith("2 validation errors detected. ")
    assert {field["path"] for field in response["fieldList"]} == {"/indexName", "/dimension"}


def test_tags_of_buckets_and_indexes(index):
    for arn in (ARN, f"{ARN}/index/texts"):
        index.tag_resource(resourceArn=arn, tags={"team": "search", "a b": "x/y=z"})
        index.tag_resource(resourceArn=arn, tags={"team": "vectors"})
        assert index.list_tags_for_resource(resourceArn=arn)["tags"] == {"team": "vectors", "a b": "x/y=z"}
        index.untag_resource(resourceArn=arn, tagKeys=["a b", "team", "none"])
        assert index.list_tags_for_resource(resourceArn=arn)["tags"] == {}
    assert error_text(index.list_tags_for_resource, resourceArn=f"{ARN}/index/none").startswith("NotFoundException")


def test_index_is_identified_by_name_or_arn(index):
    both = {"indexArn": f"{ARN}/index/texts", **INDEX}
    for parameters in (both, {}, {"indexName": "texts"}):
        assert error_text(index.list_vectors, **parameters) == (
            "ValidationException: Must specify either indexArn or both vectorBucketName and indexName"
        )
    assert error_text(index.list_vectors, vectorBucketName=BUCKET, indexName="none") == (
        "NotFoundException: The specified index could not be found"
    )


def test_unusable_kms_key_is_rejected(aws, vectors):
    kms = aws.client("kms")
    key = kms.create_key()["KeyMetadata"]
    encryption = {"sseType": "aws:kms", "kmsKeyArn": key["Arn"]}
    arn = create(vectors, "encrypted", encryptionConfiguration=encryption)
    assert vectors.get_index(indexArn=arn)["index"]["encryptionConfiguration"] == encryption
    kms.disable_key(KeyId=key["KeyId"])
    assert error_text(vectors.get_vectors, indexArn=arn, keys=["a"]).startswith("KmsDisabledException")
    kms.schedule_key_deletion(KeyId=key["KeyId"], PendingWindowInDays=7)
    assert error_text(vectors.delete_vectors, indexArn=arn, keys=["a"]).startswith("KmsInvalidStateException")
    vectors.delete_index(indexArn=arn)
    missing = {**encryption, "kmsKeyArn": key["Arn"].replace("key/", "key/0")}
    assert error_text(create, vectors, "encrypted", encryptionConfiguration=missing).startswith("AccessDeniedException")
