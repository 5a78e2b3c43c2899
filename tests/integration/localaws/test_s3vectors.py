"""S3 Vectors over HTTP: what it keeps, finds and refuses, in AWS's words."""

import json
from itertools import chain
from typing import Any

import numpy as np
import pytest
from botocore.exceptions import ClientError

from tests.integration.localaws.harness import Aws

BUCKET = "vectors-of-tests"
ARN = f"arn:aws:s3vectors:us-east-1:123456789012:bucket/{BUCKET}"
INDEX = {"vectorBucketName": BUCKET, "indexName": "texts"}


@pytest.fixture(scope="module")
def vectors(aws: Aws) -> Any:
    """A client, and a bucket."""
    # The service is to refuse what botocore would.
    client = aws.client("s3vectors", parameter_validation=False)
    assert client.create_vector_bucket(vectorBucketName=BUCKET)["vectorBucketArn"] == ARN
    return client


@pytest.fixture
def index(vectors):
    """An empty index of four dimensions, of which ``text`` cannot be filtered by."""
    create(vectors, "texts", metadataConfiguration={"nonFilterableMetadataKeys": ["text"]})
    yield vectors
    vectors.delete_index(**INDEX)


def create(vectors, name, dimension=4, metric="cosine", **more):
    return vectors.create_index(
        vectorBucketName=BUCKET, indexName=name, dataType="float32", dimension=dimension, distanceMetric=metric, **more
    )["indexArn"]


def vector(key, *values, **metadata):
    return {"key": key, "data": {"float32": values or (1.0, 0.0, 0.0, 0.0)}, "metadata": metadata}


def put(vectors, *records):
    vectors.put_vectors(**INDEX, vectors=list(records))


def query(vectors, *values, k=10, **options):
    asked = {"float32": values or (1.0, 0.0, 0.0, 0.0)}
    return vectors.query_vectors(**INDEX, queryVector=asked, topK=k, **options)["vectors"]


def refusal(call, *arguments, **parameters):
    with pytest.raises(ClientError) as raised:
        call(*arguments, **parameters)
    return raised.value.response


def said(call, *arguments, **parameters):
    error = refusal(call, *arguments, **parameters)["Error"]
    return f"{error['Code']}: {error['Message']}"


def test_buckets_come_and_go(aws, vectors):
    encryption = {"encryptionConfiguration": {"sseType": "AES256"}}
    for name in ("a-first", "a-second", "b-third"):
        vectors.create_vector_bucket(vectorBucketName=name, **encryption, tags={"team": "search"})
    found = vectors.get_vector_bucket(vectorBucketName="a-first")["vectorBucket"]
    assert found.pop("creationTime").timestamp() > 1.7e9
    assert found == {
        "vectorBucketName": "a-first",
        "vectorBucketArn": ARN.replace(BUCKET, "a-first"),
        **encryption,
        "defaultIndexMode": "ENHANCED",
    }
    assert vectors.get_vector_bucket(vectorBucketArn=found["vectorBucketArn"])["vectorBucket"][
        "encryptionConfiguration"
    ]
    pages = vectors.get_paginator("list_vector_buckets").paginate(PaginationConfig={"PageSize": 2})
    listed = [[bucket["vectorBucketName"] for bucket in page["vectorBuckets"]] for page in pages]
    assert listed == [["a-first", "a-second"], ["b-third", BUCKET]]
    assert len(vectors.list_vector_buckets(prefix="a-")["vectorBuckets"]) == 2
    # Names are an account's own in each region.
    elsewhere = aws.client("s3vectors", "eu-central-1")
    assert elsewhere.list_vector_buckets()["vectorBuckets"] == []
    assert said(vectors.create_vector_bucket, vectorBucketName="a-first") == (
        "ConflictException: A vector bucket with the specified name already exists"
    )
    for name in ("a-first", "a-second", "b-third"):
        vectors.delete_vector_bucket(vectorBucketName=name)
    assert said(vectors.get_vector_bucket, vectorBucketName="a-first") == (
        "NotFoundException: The specified vector bucket could not be found"
    )


def test_a_bucket_with_an_index_stays(index):
    assert said(index.delete_vector_bucket, vectorBucketName=BUCKET) == (
        "ConflictException: The specified vector bucket is not empty"
    )


def test_a_policy_is_kept(vectors):
    assert said(vectors.get_vector_bucket_policy, vectorBucketName=BUCKET).startswith("NotFoundException")
    policy = json.dumps({"Version": "2012-10-17", "Statement": []})
    vectors.put_vector_bucket_policy(vectorBucketArn=ARN, policy=policy)
    assert vectors.get_vector_bucket_policy(vectorBucketName=BUCKET)["policy"] == policy
    vectors.delete_vector_bucket_policy(vectorBucketName=BUCKET)
    vectors.delete_vector_bucket_policy(vectorBucketName=BUCKET)
    assert said(vectors.get_vector_bucket_policy, vectorBucketName=BUCKET).startswith("NotFoundException")


def test_an_index_says_what_it_is(index):
    found = index.get_index(indexArn=f"{ARN}/index/texts")["index"]
    assert found.pop("creationTime").timestamp() > 1.7e9
    assert found == {
        **INDEX,
        "indexArn": f"{ARN}/index/texts",
        "dataType": "float32",
        "dimension": 4,
        "distanceMetric": "cosine",
        "metadataConfiguration": {"nonFilterableMetadataKeys": ["text"]},
        "encryptionConfiguration": {"sseType": "AES256"},
        "indexMode": "ENHANCED",
    }
    assert [one["indexName"] for one in index.list_indexes(vectorBucketName=BUCKET, prefix="te")["indexes"]] == [
        "texts"
    ]
    assert index.list_indexes(vectorBucketArn=ARN, prefix="x")["indexes"] == []
    index.update_index_mode(**INDEX, indexMode="ENHANCED")
    assert said(index.update_index_mode, **INDEX, indexMode="CLASSIC").startswith("ValidationException")
    assert said(create, index, "texts") == "ConflictException: An index with the specified name already exists"


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
def test_an_index_that_cannot_be_is_refused(vectors, change, message):
    response = refusal(create, vectors, **{"name": "refused", **change})
    assert response["Error"]["Code"] == "ValidationException"
    assert message in response["Error"]["Message"]
    assert response["fieldList"][0]["message"] in response["Error"]["Message"]
    assert vectors.list_indexes(vectorBucketName=BUCKET)["indexes"] == []


def test_every_violation_is_listed(vectors):
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
    assert said(index.list_tags_for_resource, resourceArn=f"{ARN}/index/none").startswith("NotFoundException")


def test_vectors_are_kept_as_float32(index):
    put(index, vector("a", 0.1, 0.2, 0.3, 0.4, text="long", n=1), {"key": "b", "data": {"float32": [1, 0, 0, 0]}})
    assert index.get_vectors(**INDEX, keys=["b", "none", "a", "a"])["vectors"] == [{"key": "b"}, {"key": "a"}]
    found = index.get_vectors(**INDEX, keys=["a", "b"], returnData=True, returnMetadata=True)["vectors"]
    assert found[0]["data"]["float32"] == np.array([0.1, 0.2, 0.3, 0.4], np.float32).tolist()
    assert [one["metadata"] for one in found] == [{"text": "long", "n": 1}, {}]
    put(index, vector("a", 1.0, 0.0, 0.0, 0.0))
    (again,) = index.get_vectors(**INDEX, keys=["a"], returnData=True, returnMetadata=True)["vectors"]
    assert again == {"key": "a", "data": {"float32": [1.0, 0.0, 0.0, 0.0]}, "metadata": {}}
    index.delete_vectors(**INDEX, keys=["a", "none"])
    assert [one["key"] for one in index.list_vectors(**INDEX)["vectors"]] == ["b"]


def test_listing_goes_by_pages_and_segments(index):
    put(index, *(vector(f"v{number:03}", text="x" * 30_000) for number in range(100)))
    pages = list(index.get_paginator("list_vectors").paginate(**INDEX))
    assert len(pages) == 3  # a page ends with a megabyte
    assert [one["key"] for page in pages for one in page["vectors"]] == [f"v{number:03}" for number in range(100)]
    assert len(index.list_vectors(**INDEX, maxResults=7)["vectors"]) == 7
    listing = index.get_paginator("list_vectors")
    shares = [
        [
            one["key"]
            for page in listing.paginate(**INDEX, segmentCount=3, segmentIndex=share)
            for one in page["vectors"]
        ]
        for share in range(3)
    ]
    assert all(shares)
    assert sorted(chain.from_iterable(shares)) == [f"v{number:03}" for number in range(100)]
    # What is deleted or put between two pages shifts nothing.
    first = index.list_vectors(**INDEX, maxResults=10)
    index.delete_vectors(**INDEX, keys=[f"v{number:03}" for number in range(8, 80)])
    put(index, vector("v000"))
    rest = index.list_vectors(**INDEX, nextToken=first["nextToken"])["vectors"]
    assert [one["key"] for one in rest] == [f"v{number:03}" for number in range(80, 100)]
    assert said(index.list_vectors, **INDEX, nextToken="nonsense").startswith("ValidationException")
    assert said(index.list_vectors, **INDEX, segmentCount=2, segmentIndex=2).startswith("ValidationException")


def test_the_nearest_are_found_by_cosine_distance(index):
    put(
        index,
        vector("far", -1.0, 0.0, 0.0, 0.0),
        vector("near", 2.0, 0.0, 0.0, 0.0),
        vector("side", 0.0, 0.5, 0.0, 0.0),
    )
    answer = index.query_vectors(**INDEX, queryVector={"float32": [3.0, 0.0, 0.0, 0.0]}, topK=3, returnDistance=True)
    assert answer["distanceMetric"] == "cosine"
    assert answer["vectors"] == [
        {"key": "near", "distance": 0.0}, {"key": "side", "distance": 1.0}, {"key": "far", "distance": 2.0},
    ]  # fmt: skip
    assert query(index, k=1) == [{"key": "near"}]


def test_the_nearest_are_found_by_euclidean_distance(vectors):
    arn = create(vectors, "euclidean", dimension=3, metric="euclidean")
    points = {"origin": (0.0, 0.0, 0.0), "ones": (1.0, 1.0, 1.0), "axis": (0.0, 0.0, 2.0)}
    vectors.put_vectors(
        indexArn=arn, vectors=[{"key": key, "data": {"float32": values}} for key, values in points.items()]
    )
    answer = vectors.query_vectors(
        indexArn=arn, queryVector={"float32": [0.0, 0.0, 0.0]}, topK=10, returnDistance=True, returnMetadata=True
    )
    assert [one["key"] for one in answer["vectors"]] == ["origin", "ones", "axis"]
    np.testing.assert_allclose([one["distance"] for one in answer["vectors"]], [0, 3**0.5, 2], rtol=1e-6)
    assert [one["metadata"] for one in answer["vectors"]] == [{}, {}, {}]
    vectors.delete_index(indexArn=arn)


def test_many_results_come_in_pages_that_writes_do_not_change(index):
    directions = [(1.0, number / 100, 0.0, 0.0) for number in range(250)]
    put(index, *(vector(f"v{number:03}", *values) for number, values in enumerate(directions)))
    asked = {**INDEX, "queryVector": {"float32": [1.0, 0.0, 0.0, 0.0]}, "topK": 220}
    first = index.query_vectors(**asked)
    assert len(first["vectors"]) == 100
    index.delete_vectors(**INDEX, keys=[f"v{number:03}" for number in range(100)])
    second = index.query_vectors(**asked, nextToken=first["nextToken"])
    third = index.query_vectors(**asked, nextToken=second["nextToken"])
    assert "nextToken" not in third
    found = [one["key"] for page in (first, second, third) for one in page["vectors"]]
    assert found == [f"v{number:03}" for number in range(220)]
    assert said(index.query_vectors, **{**asked, "topK": 9}, nextToken=first["nextToken"]).startswith(
        "ValidationException"
    )
    assert "between 1 and 10000" in said(index.query_vectors, **{**asked, "topK": 10_001})


def test_filters_choose_by_metadata(index):
    put(index, vector("a", n=1, tags=["x", "y"]), vector("b", n=2, kept=True), vector("c", n=3.5, path="/docs/c"))
    for where, keys in (
        ({"n": 1}, "a"),
        ({"n": {"$gte": 2, "$lt": 3}}, "b"),
        ({"$or": [{"n": {"$eq": 1}}, {"$and": [{"path": {"$startsWith": "/docs"}}, {"n": {"$gt": 3}}]}]}, "ac"),
        ({"kept": {"$ne": True}}, "ac"),
        ({"tags": {"$nin": ["y"]}}, "bc"),
        ({"tags": {"$in": ["y", 7]}}, "a"),
        ({"path": {"$exists": False}}, "ab"),
        ({"kept": {"$eq": "true"}}, ""),
        ({"kept": 1}, ""),
    ):
        assert sorted(one["key"] for one in query(index, filter=where)) == list(keys), where
    response = refusal(query, index, filter={"text": "x"})
    assert response["Error"]["Message"] == "Invalid use of non-filterable metadata in filter"
    response = refusal(query, index, filter={"n": 1, "kept": True})
    assert response["fieldList"] == [{"path": "filter", "message": "Invalid filter"}]


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        (vector("v", 1.0, 2.0), "vector must have length 4, but has length 2"),
        (vector("v", 0.0, 0.0, 0.0, 0.0), "cosine distance does not support vectors with zero norm"),
        (vector("v", 1e-46, 0.0, 0.0, 0.0), "cosine distance does not support vectors with zero norm"),
        (vector("v", 1e39, 0.0, 0.0, 0.0), "vector contains NaNs or Infs"),
        (vector("v", text="x" * 40_945), "Metadata object must have at most 40960 bytes"),
        (vector("v", note="x" * 2033), "Filterable metadata must have at most 2048 bytes"),
        (vector("v", **{str(number): True for number in range(51)}), "Metadata object must have at most 50 keys"),
        (vector("v", tags=[]), "Empty arrays are not allowed in metadata"),
        (vector("v", tags=[True]), "Metadata array values must be strings or numbers"),
        (vector("v", none=None), "Metadata values must be strings, numbers, booleans, or arrays"),
    ],
)
def test_what_cannot_be_kept_is_refused_with_all_that_comes_with_it(index, record, problem):
    response = refusal(put, index, vector("good"), record)
    assert response["Error"]["Code"] == "ValidationException"
    assert response["Error"]["Message"] == f"Invalid record for key 'v': {problem}"
    (field,) = response["fieldList"]
    assert field["path"].startswith("vectors[1]")
    assert index.list_vectors(**INDEX)["vectors"] == []


def test_what_cannot_be_searched_with_is_refused(index):
    for values in ((1.0,), (0.0, 0.0, 0.0, 0.0), (1e39, 0.0, 0.0, 0.0)):
        message = "ValidationException: Query vector contains invalid values or is invalid for this index"
        assert said(query, index, *values) == message
    assert said(query, index, queryMode="CLASSIC").startswith("ValidationException")
    assert said(index.query_vectors, **INDEX, topK=1).startswith("ValidationException")
    texts = [{"text": "a", "metadataKey": "text"}]
    assert said(index.query_vectors, **INDEX, topK=1, queryTexts=texts).startswith("NotImplementedException")


def test_a_request_has_its_limits(index):
    assert "'/vectors' failed" in said(put, index, *(vector(str(number)) for number in range(501)))
    for call, size in ((index.delete_vectors, 501), (index.get_vectors, 101)):
        assert f"Value with length {size} at '/keys'" in said(
            call, **INDEX, keys=[str(number) for number in range(size)]
        )
    assert "'/vectors/0/key'" in said(put, index, vector("x" * 1025))
    assert said(put, index, vector("v", text="x" * (21 << 20))) == (
        "ValidationException: Request body exceeds max allowed size"
    )
    assert said(put, index, vector("v", text="\ud800")) == "SerializationException: UnknownError"
    put(index, vector("v", text="😀 \\ud800"))


def test_an_index_is_named_by_one_way(index):
    both = {"indexArn": f"{ARN}/index/texts", **INDEX}
    for parameters in (both, {}, {"indexName": "texts"}):
        assert said(index.list_vectors, **parameters) == (
            "ValidationException: Must specify either indexArn or both vectorBucketName and indexName"
        )
    assert said(index.list_vectors, vectorBucketName=BUCKET, indexName="none") == (
        "NotFoundException: The specified index could not be found"
    )


def test_a_key_that_cannot_be_used_is_refused(aws, vectors):
    kms = aws.client("kms")
    key = kms.create_key()["KeyMetadata"]
    encryption = {"sseType": "aws:kms", "kmsKeyArn": key["Arn"]}
    arn = create(vectors, "encrypted", encryptionConfiguration=encryption)
    assert vectors.get_index(indexArn=arn)["index"]["encryptionConfiguration"] == encryption
    kms.disable_key(KeyId=key["KeyId"])
    assert said(vectors.get_vectors, indexArn=arn, keys=["a"]).startswith("KmsDisabledException")
    kms.schedule_key_deletion(KeyId=key["KeyId"], PendingWindowInDays=7)
    assert said(vectors.delete_vectors, indexArn=arn, keys=["a"]).startswith("KmsInvalidStateException")
    vectors.delete_index(indexArn=arn)
    missing = {**encryption, "kmsKeyArn": key["Arn"].replace("key/", "key/0")}
    assert said(create, vectors, "encrypted", encryptionConfiguration=missing).startswith("AccessDeniedException")
