"""Cost of the document pipeline on AWS, at the packaged list prices of us-east-1 and without free tiers."""

from decimal import Decimal

from pipeline_audit import Chunks

from embedstack.costs import formulas
from embedstack.costs.price_book import PACKAGED_PRICES, PriceBook

__all__ = ["costs"]

REGION = "us-east-1"
ENDPOINT_MB, FUNCTION_MB = 2048, 1024
VECTOR_BYTES = 4 * 384
# Bytes transferred per chunk in addition to its text: JSON syntax, and 384 numbers of 4 bytes.
EXCHANGED_BYTES = VECTOR_BYTES + 16
# Bytes stored per chunk in addition to its vector and its text: the key and the other metadata.
METADATA_BYTES = 200


def costs(
    documents: int, chunks: Chunks, function_seconds: float, invocations: float, model_seconds: float, *, store: str
) -> dict[str, float]:
    """US dollars per 1,000 documents, by service; excludes Aurora, which is billed per hour."""
    book = PriceBook.load(PACKAGED_PRICES)
    texts = sum(len(text.encode()) for parts in chunks.values() for _, text in parts)
    count = sum(map(len, chunks.values()))
    # One PutVectors request a document.
    written = sum(
        max(
            formulas.PUT_MINIMUM_BYTES,
            sum(VECTOR_BYTES + len(text.encode()) + METADATA_BYTES for _, text in parts),
        )
        for parts in chunks.values()
    )
    requests = max(round(invocations), 1)
    paid = {
        "Lambda": formulas.lambda_invocations(book, REGION, requests, function_seconds * 1000 / requests, FUNCTION_MB),
        # Sent by S3; received and deleted in batches. Polling of an empty queue is not included.
        "SQS": formulas.sqs_requests(book, REGION, documents + 2 * invocations),
        # One PUT, one GET and one HEAD.
        "S3": formulas.s3_requests(book, REGION, puts=documents, gets=2 * documents),
        **({"S3 Vectors": formulas.s3vectors_put(book, REGION, written)} if store == "s3vectors" else {}),
        "SageMaker serverless": formulas.serverless_compute(book, REGION, ENDPOINT_MB, model_seconds * 1000)
        + formulas.sagemaker_data(book, REGION, texts, count * EXCHANGED_BYTES),
    }
    return {name: float(dollars * 1000 / Decimal(documents)) for name, dollars in paid.items()}
