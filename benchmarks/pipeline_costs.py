"""Cost of the document pipeline on AWS, at list prices."""

from pipeline_audit import Chunks

__all__ = ["PRICES", "costs"]

#: List prices of us-east-1 in US dollars, first tier, without free tiers, as known in June 2026: aws.amazon.com's pages
#: lambda/pricing (x86), sqs/pricing (standard), s3/pricing (Standard requests; S3 Vectors: PUT by GB, at least 128 KB a
#: request) and sagemaker/pricing (serverless inference by GB-second, and its data in and out). The figures come from
#: copies of those pages, and SageMaker's from the least certain of them: ask the Price List API before relying on one.
PRICES = {
    "lambda_gb_second": 0.0000166667,
    "lambda_request": 0.20e-6,
    "sqs_request": 0.40e-6,
    "s3_put": 0.005e-3,
    "s3_get": 0.0004e-3,
    "vectors_put_gb": 0.20,
    "serverless_gb_second": 0.00002,
    "serverless_data_gb": 0.016,
}
GB = 1e9
ENDPOINT_GB, FUNCTION_GB = 2, 1
VECTOR_BYTES = 4 * 384
LEAST_PUT_BYTES = 128 * 1024
# Bytes transferred per chunk in addition to its text: JSON syntax, and 384 numbers of 4 bytes.
EXCHANGED_BYTES = VECTOR_BYTES + 16


def costs(
    documents: int, chunks: Chunks, function_seconds: float, invocations: float, model_seconds: float, *, store: str
) -> dict[str, float]:
    """US dollars per 1,000 documents, by service; excludes Aurora, which is billed per hour."""
    texts = sum(len(text.encode()) for parts in chunks.values() for _, text in parts)
    count = sum(map(len, chunks.values()))
    put = sum(
        max(LEAST_PUT_BYTES, sum(VECTOR_BYTES + len(text.encode()) + 200 for _, text in parts))
        for parts in chunks.values()
    )
    paid = {
        "Lambda": function_seconds * FUNCTION_GB * PRICES["lambda_gb_second"] + invocations * PRICES["lambda_request"],
        # Sent by S3; received and deleted in batches. Polling of an empty queue is not included.
        "SQS": (documents + 2 * invocations) * PRICES["sqs_request"],
        # One PUT, one GET and one HEAD.
        "S3": documents * (PRICES["s3_put"] + 2 * PRICES["s3_get"]),
        **({"S3 Vectors": put / GB * PRICES["vectors_put_gb"]} if store == "s3vectors" else {}),
        "SageMaker serverless": model_seconds * ENDPOINT_GB * PRICES["serverless_gb_second"]
        + (texts + count * EXCHANGED_BYTES) / GB * PRICES["serverless_data_gb"],
    }
    return {name: dollars * 1000 / documents for name, dollars in paid.items()}
