"""The lines of the bill, with AWS's names of services and usage types.

The usage types of SageMaker (``Host:``, ``AsyncInf:``, ``ServerlessInf:Mem-nGB``, ``ProvisionedConcurrency:Mem-nGB``),
S3 Vectors and Titan embeddings are those of bills and of the Price List. Lambda's have no prefix in us-east-1. Usage
types of other Bedrock models are derived from the model id.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal

from embedstack.costs.products import COMPONENTS
from localaws.metering.usage import UsageLine

__all__ = [
    "bedrock_queries",
    "bedrock_tokens",
    "cloudwatch_alarms",
    "instance_hours",
    "lambda_compute",
    "lambda_requests",
    "lines_of_product",
    "sagemaker_data",
    "serverless_compute",
    "serverless_concurrency",
    "vector_processing",
    "vector_puts",
    "vector_queries",
    "vector_storage",
]

#: Prefixes of usage types ("Understanding your AWS billing reports for Amazon S3", "Region codes").
_PREFIXES = {
    "af-south-1": "AFS1", "ap-east-1": "APE1", "ap-northeast-1": "APN1", "ap-northeast-2": "APN2",
    "ap-northeast-3": "APN3", "ap-south-1": "APS3", "ap-southeast-1": "APS1", "ap-southeast-2": "APS2",
    "ca-central-1": "CAN1", "eu-central-1": "EUC1", "eu-central-2": "EUC2", "eu-north-1": "EUN1", "eu-south-1": "EUS1",
    "eu-west-1": "EU", "eu-west-2": "EUW2", "eu-west-3": "EUW3", "me-south-1": "MES1", "sa-east-1": "SAE1",
    "us-east-1": "USE1", "us-east-2": "USE2", "us-west-1": "USW1", "us-west-2": "USW2",
}  # fmt: skip
#: Memory sizes of serverless endpoints in GB ("Memory size", SageMaker developer guide).
_SERVERLESS_GB = range(1, 7)
_SAGEMAKER = "Amazon SageMaker"
_TITAN = {
    "amazon.titan-embed-text-v1": "TitanEmbeddingsG1-Text",
    "amazon.titan-embed-text-v2:0": "TitanEmbeddingV2-Text",
}
_MILLIONTH = Decimal("0.000001")
_THOUSANDTH = Decimal("0.001")

Tags = tuple[tuple[str, str], ...]


def instance_hours(account_id: str, region: str, kind: str, instance_type: str, tags: Tags) -> UsageLine:
    """Hours of instances, such as an endpoint's.

    Args:
        account_id: The account.
        region: The region.
        kind: The component, such as ``hosting`` or ``async``.
        instance_type: The instance type, such as ``ml.m5.xlarge``.
        tags: The endpoint's tags.
    """
    usage_type = f"{_prefix(region)}-{COMPONENTS[kind]}:{instance_type}"
    product = f"sagemaker/{kind}/{instance_type}"
    return UsageLine(account_id, region, _SAGEMAKER, usage_type, "Hrs", product, tags=tags)


def serverless_compute(account_id: str, region: str, memory_mb: int, tags: Tags) -> UsageLine:
    """Seconds of a serverless endpoint's requests, which are priced by memory."""
    memory = Decimal(memory_mb) / 1024
    usage_type = f"{_prefix(region)}-ServerlessInf:Mem-{memory}GB"
    product = "sagemaker/serverless/compute"
    return UsageLine(account_id, region, _SAGEMAKER, usage_type, "Second", product, memory, tags)


def serverless_concurrency(account_id: str, region: str, memory_mb: int, tags: Tags) -> UsageLine:
    """Seconds of a serverless endpoint's provisioned concurrency, which are priced by memory."""
    memory = Decimal(memory_mb) / 1024
    usage_type = f"{_prefix(region)}-ProvisionedConcurrency:Mem-{memory}GB"
    product = "sagemaker/serverless/provisioned-concurrency"
    return UsageLine(account_id, region, _SAGEMAKER, usage_type, "Second", product, memory, tags)


def sagemaker_data(account_id: str, region: str, direction: str, tags: Tags) -> UsageLine:
    """GB of request bodies (``in``) or response bodies (``out``)."""
    usage_type = f"{_prefix(region)}-Hst:Data-Bytes-{direction.capitalize()}"
    return UsageLine(account_id, region, _SAGEMAKER, usage_type, "GB", f"sagemaker/data-{direction}", tags=tags)


def bedrock_tokens(account_id: str, region: str, model: str, direction: str) -> UsageLine:
    """Thousands of tokens (``input`` or ``output``). Calls of a foundation model have no resource with tags."""
    usage_type = f"{_prefix(region)}-{_model_name(model)}-{direction}-tokens"
    product = f"bedrock/{model}/{direction}-tokens"
    return UsageLine(account_id, region, "Amazon Bedrock", usage_type, "1K tokens", product, _THOUSANDTH)


def bedrock_queries(account_id: str, region: str, model: str) -> UsageLine:
    """Queries of a reranker."""
    usage_type = f"{_prefix(region)}-{_model_name(model)}-queries"
    return UsageLine(account_id, region, "Amazon Bedrock", usage_type, "Queries", f"bedrock/{model}/query")


def lambda_requests(account_id: str, region: str, tags: Tags) -> UsageLine:
    """Invocations of functions."""
    return UsageLine(
        account_id, region, "AWS Lambda", _lambda(region, "Request"), "Requests", "lambda/requests", _MILLIONTH, tags
    )


def lambda_compute(account_id: str, region: str, architecture: str, tags: Tags) -> UsageLine:
    """GB-seconds of functions on ``x86_64`` or ``arm64``."""
    name, product = ("GB-Second-ARM", "compute-arm64") if architecture == "arm64" else ("GB-Second", "compute")
    usage_type = _lambda(region, f"Lambda-{name}")
    return UsageLine(account_id, region, "AWS Lambda", usage_type, "Lambda-GB-Second", f"lambda/{product}", tags=tags)


def vector_storage(account_id: str, region: str, tags: Tags) -> UsageLine:
    """GB-months of vectors, metadata and keys."""
    return _vectors(account_id, region, "TimedStorage-ByteHrs", "GB-Mo", "storage", Decimal(1), tags)


def vector_puts(account_id: str, region: str, tags: Tags) -> UsageLine:
    """GB of PutVectors requests."""
    return _vectors(account_id, region, "Put-Bytes", "GB", "put", Decimal(1), tags)


def vector_queries(account_id: str, region: str, tags: Tags) -> UsageLine:
    """QueryVectors requests."""
    return _vectors(account_id, region, "Request-Tier2", "Requests", "query", _MILLIONTH, tags)


def vector_processing(account_id: str, region: str, tier: int, tags: Tags) -> UsageLine:
    """GB that queries process: of the first 100,000 vectors of an index (tier 1), or beyond (tier 2)."""
    product = "processed-first" if tier == 1 else "processed-beyond"
    return _vectors(account_id, region, f"Query-ProcessedBytes-Tier{tier}", "GB", product, Decimal(1) / 1024, tags)


def cloudwatch_alarms(account_id: str, region: str) -> UsageLine:
    """Alarm-months."""
    usage_type = f"{_prefix(region)}-CW:AlarmMonitorUsage"
    return UsageLine(account_id, region, "AmazonCloudWatch", usage_type, "Alarms", "cloudwatch/alarm")


def lines_of_product(region: str, product: str) -> list[UsageLine]:
    """The lines that a product of the price book is billed on; empty for one that is not metered."""
    folder, _, name = product.partition("/")
    kind, _, rest = name.rpartition("/")
    match folder:
        case "sagemaker" if kind in COMPONENTS and rest != "*":
            return [instance_hours("", region, kind, rest, ())]
        case "sagemaker" if kind == "serverless":
            memory_line = serverless_compute if rest == "compute" else serverless_concurrency
            return [memory_line("", region, 1024 * memory, ()) for memory in _SERVERLESS_GB]
        case "sagemaker" if rest in ("data-in", "data-out"):
            return [sagemaker_data("", region, rest.removeprefix("data-"), ())]
        case "bedrock" if rest == "query":
            return [bedrock_queries("", region, kind)]
        case "bedrock" if rest in ("input-tokens", "output-tokens"):
            return [bedrock_tokens("", region, kind, rest.removesuffix("-tokens"))]
        case "bedrock" if rest in ("batch-input-tokens", "batch-output-tokens"):
            line = bedrock_tokens("", region, kind, rest.removeprefix("batch-").removesuffix("-tokens"))
            return [replace(line, usage_type=f"{line.usage_type}-batch", product=product)]
        case _:
            line_of = _OTHERS.get(product)
            return [line_of(region)] if line_of is not None else []


def _vectors(
    account_id: str, region: str, name: str, unit: str, product: str, price_units: Decimal, tags: Tags
) -> UsageLine:
    usage_type = f"{_prefix(region)}-Vectors-{name}"
    service = "Amazon Simple Storage Service"
    return UsageLine(account_id, region, service, usage_type, unit, f"s3vectors/{product}", price_units, tags)


def _lambda(region: str, name: str) -> str:
    return name if region == "us-east-1" else f"{_prefix(region)}-{name}"


def _prefix(region: str) -> str:
    """A region's prefix; of an unlisted region, one of the same form."""
    geography, *_, number = region.split("-")
    return _PREFIXES.get(region) or f"{geography}{region.split('-')[1][0]}{number}".upper()


def _model_name(model: str) -> str:
    return _TITAN.get(model) or re.sub(r"[^A-Za-z0-9]", "-", model.partition(".")[2] or model)


_OTHERS: Mapping[str, Callable[[str], UsageLine]] = {
    "cloudwatch/alarm": lambda region: cloudwatch_alarms("", region),
    "lambda/compute": lambda region: lambda_compute("", region, "x86_64", ()),
    "lambda/compute-arm64": lambda region: lambda_compute("", region, "arm64", ()),
    "lambda/requests": lambda region: lambda_requests("", region, ()),
    "s3vectors/processed-beyond": lambda region: vector_processing("", region, 2, ()),
    "s3vectors/processed-first": lambda region: vector_processing("", region, 1, ()),
    "s3vectors/put": lambda region: vector_puts("", region, ()),
    "s3vectors/query": lambda region: vector_queries("", region, ()),
    "s3vectors/storage": lambda region: vector_storage("", region, ()),
}
