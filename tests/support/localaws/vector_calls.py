"""Calls to S3 Vectors, short enough to read."""

import pytest
from botocore.exceptions import ClientError

BUCKET = "vectors-of-tests"
ARN = f"arn:aws:s3vectors:us-east-1:123456789012:bucket/{BUCKET}"
INDEX = {"vectorBucketName": BUCKET, "indexName": "texts"}


def create(vectors, name, dimension=4, metric="cosine", **more):
    return vectors.create_index(
        vectorBucketName=BUCKET, indexName=name, dataType="float32", dimension=dimension, distanceMetric=metric, **more
    )["indexArn"]


def vector(key, *values, **metadata):
    return {"key": key, "data": {"float32": values or (1.0, 0.0, 0.0, 0.0)}, "metadata": metadata}


def put(vectors, *records):
    vectors.put_vectors(**INDEX, vectors=list(records))


def query(vectors, *values, k=10, **options):
    query_vector = {"float32": values or (1.0, 0.0, 0.0, 0.0)}
    return vectors.query_vectors(**INDEX, queryVector=query_vector, topK=k, **options)["vectors"]


def refusal(call, *arguments, **parameters):
    with pytest.raises(ClientError) as raised:
        call(*arguments, **parameters)
    return raised.value.response


def error_text(call, *arguments, **parameters):
    error = refusal(call, *arguments, **parameters)["Error"]
    return f"{error['Code']}: {error['Message']}"
