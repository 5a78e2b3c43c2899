"""The products that have a price, and the unit of each.

A product's key begins with the service, as ``sagemaker/hosting/ml.m5.xlarge``. SageMaker has a different price for each
component (Hosting, AsyncInf, Tsform and others) of the same instance type, so the component is part of the key. KB, GB
and TB are powers of 1,024, as in AWS's worked examples.
"""

import re
from typing import Final, NamedTuple

__all__ = ["COMPONENTS", "PRODUCTS", "Product", "find_product"]


class Product(NamedTuple):
    """A kind of product.

    Attributes:
        key: The key, with the variable part in angle brackets.
        unit: What a price is paid for.
        meaning: What is counted, for the reference page.
    """

    key: str
    unit: str
    meaning: str


#: SageMaker's components by the name in a key, with the usage type that AWS bills.
COMPONENTS: Final = {
    "hosting": "Host",
    "async": "AsyncInf",
    "transform": "Tsform",
    "training": "Train",
    "notebook": "Notebk",
    "studio": "Studio",
}

PRODUCTS: Final = (
    Product("sagemaker/hosting/<instance type>", "hour", "instance of a real-time endpoint"),
    Product("sagemaker/async/<instance type>", "hour", "instance of an asynchronous endpoint"),
    Product("sagemaker/transform/<instance type>", "hour", "instance of a batch transform job"),
    Product("sagemaker/training/<instance type>", "hour", "instance of a training job"),
    Product("sagemaker/notebook/<instance type>", "hour", "notebook instance"),
    Product("sagemaker/studio/<instance type>", "hour", "instance of Studio"),
    Product("sagemaker/serverless/compute", "GB-second", "processing time of a serverless endpoint"),
    Product("sagemaker/serverless/provisioned-concurrency", "GB-second", "concurrency that is kept ready"),
    Product("sagemaker/data-in", "GB", "request bodies"),
    Product("sagemaker/data-out", "GB", "response bodies"),
    Product("sagemaker/volume", "GB-month", "volume of an instance of an endpoint"),
    Product("bedrock/<model>/input-tokens", "million tokens", "tokens of requests"),
    Product("bedrock/<model>/output-tokens", "million tokens", "generated tokens"),
    Product("bedrock/<model>/batch-input-tokens", "million tokens", "tokens of batch jobs"),
    Product("bedrock/<model>/batch-output-tokens", "million tokens", "generated tokens of batch jobs"),
    Product("bedrock/<model>/query", "query", "query of a reranker, with up to 100 documents"),
    Product("s3vectors/storage", "GB-month", "vectors, metadata and keys"),
    Product("s3vectors/put", "GB", "vectors, metadata and keys; at least 128 KB a request"),
    Product("s3vectors/query", "million queries", "query requests"),
    Product("s3vectors/processed-first", "TB", "vectors that a query compares, up to 100,000 of an index"),
    Product("s3vectors/processed-beyond", "TB", "vectors that a query compares, beyond 100,000 of an index"),
    Product("lambda/requests", "million requests", "invocations"),
    Product("lambda/compute", "GB-second", "duration on x86"),
    Product("lambda/compute-arm64", "GB-second", "duration on arm64"),
    Product("lambda/ephemeral-storage", "GB-second", "ephemeral storage beyond 512 MB"),
    Product("lambda/provisioned-concurrency", "GB-second", "concurrency that is kept ready"),
    Product("lambda/provisioned-compute", "GB-second", "duration on provisioned concurrency"),
    Product("aurora/acu", "ACU-hour", "capacity of Aurora Serverless v2"),
    Product("aurora/storage", "GB-month", "storage of Aurora"),
    Product("aurora/io", "million requests", "I/O of Aurora Standard"),
    Product("cloudwatch/metric", "metric-month", "custom metric, by name and dimension values"),
    Product("cloudwatch/alarm", "alarm-month", "alarm on a standard-resolution metric"),
    Product("cloudwatch/composite-alarm", "alarm-month", "composite alarm"),
    Product("cloudwatch/dashboard", "dashboard-month", "dashboard"),
    Product("cloudwatch/logs", "GB", "ingested logs"),
    Product("cloudwatch/logs-storage", "GB-month", "archived logs"),
    Product("cloudwatch/get-metric-data", "thousand metrics", "metrics that GetMetricData returns"),
    Product("cloudwatch/put-metric-data", "thousand requests", "PutMetricData requests"),
    Product("transfer/out-first", "GB", "out of AWS: up to 10 TB a month, after the free 100 GB"),
    Product("transfer/out-second", "GB", "out of AWS: the next 40 TB"),
    Product("transfer/out-third", "GB", "out of AWS: the next 100 TB"),
    Product("transfer/out-beyond", "GB", "out of AWS: beyond 150 TB"),
    Product("transfer/out-region", "GB", "to another region"),
    Product("sqs/requests", "million requests", "requests to a standard queue"),
    Product("s3/put-requests", "thousand requests", "PUT, COPY, POST and LIST"),
    Product("s3/get-requests", "thousand requests", "GET and HEAD"),
    Product("s3/storage", "GB-month", "S3 Standard, first tier"),
    Product("scheduler/invocations", "million requests", "invocations of EventBridge Scheduler"),
    Product("ec2/<EC2 instance type>", "hour", "instance of EC2, which SageMaker's prices are checked against"),
    Product("kms/key", "key-month", "customer managed key"),
    Product("secretsmanager/secret", "secret-month", "secret"),
)

#: A variable part: an instance type, a model id such as cohere.rerank-v3-5:0, or * in a rule for all of them.
_VARIABLE = {
    "<instance type>": r"(ml\.[a-z0-9-]+\.[a-z0-9-]+|\*)",
    "<EC2 instance type>": r"[a-z0-9-]+\.[a-z0-9-]+",
    "<model>": r"[a-z0-9-]+\.[A-Za-z0-9.:-]+",
}


def _pattern(key: str) -> re.Pattern[str]:
    parts = re.split(r"(<[^>]+>)", key)
    return re.compile("".join(_VARIABLE.get(part, re.escape(part)) for part in parts))


_PATTERNS: Final = tuple((_pattern(product.key), product) for product in PRODUCTS)


def find_product(key: str) -> Product | None:
    """The kind of product that a key belongs to; None if no product has such a key."""
    return next((product for pattern, product in _PATTERNS if pattern.fullmatch(key)), None)
