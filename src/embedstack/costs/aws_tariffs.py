"""The tariffs of SageMaker endpoints and Bedrock models, by the price book."""

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from embedstack.aws.bedrock import base_model_id
from embedstack.aws.clients import aws_response_errors, create_client
from embedstack.costs.price_book import PriceBook
from embedstack.costs.tariffs import DurationTariff, QueryTariff, SharedTariff, Tariff, TokenTariff, Unpriced
from embedstack.errors import EmbedStackError, UnknownPrice

if TYPE_CHECKING:
    from collections.abc import Mapping

    import boto3

    from embedstack.settings.settings import Settings

__all__ = ["bedrock_query_tariff", "bedrock_token_tariff", "sagemaker_tariff"]

# A description must not delay the first request for long.
_SECONDS = 5.0


def bedrock_token_tariff(settings: "Settings", region: str, model_id: str, *, generates: bool = False) -> Tariff:
    """The tariff of a Bedrock model that is charged by tokens.

    Args:
        settings: COSTS_PRICES_FILE.
        region: The region of the client.
        model_id: Id of the model or of an inference profile, which costs the same.
        generates: Whether generated tokens are charged, too.
    """
    product = f"bedrock/{base_model_id(model_id)}"
    try:
        book = PriceBook.load(settings.costs_prices_file)
        price = book.price(region, f"{product}/input-tokens").amount
        return TokenTariff(price, book.price(region, f"{product}/output-tokens").amount if generates else Decimal(0))
    except UnknownPrice as error:
        return Unpriced(str(error))


def bedrock_query_tariff(settings: "Settings", region: str, model_id: str) -> Tariff:
    """The tariff of a Bedrock reranker.

    Args:
        settings: COSTS_PRICES_FILE.
        region: The region of the client.
        model_id: Id of the model or of an inference profile.
    """
    try:
        book = PriceBook.load(settings.costs_prices_file)
        return QueryTariff(book.price(region, f"bedrock/{base_model_id(model_id)}/query").amount)
    except UnknownPrice as error:
        return Unpriced(str(error))


def sagemaker_tariff(
    settings: "Settings", region: str, endpoint: str, routing: "Mapping[str, str]", session: "boto3.Session | None"
) -> Tariff:
    """The tariff of an endpoint: by the setting SAGEMAKER_SERVERLESS_MEMORY_MB, or by its description.

    Args:
        settings: Address of AWS, COSTS_PRICES_FILE and SAGEMAKER_SERVERLESS_MEMORY_MB.
        region: The region of the client.
        endpoint: Name of the endpoint.
        routing: ``TargetVariant`` or ``InferenceComponentName`` of the requests.
        session: A custom boto3 session.
    """
    memory_mb = settings.sagemaker_serverless_memory_mb
    try:
        if memory_mb is None:
            serverless = _serverless_config(settings, endpoint, routing, session)
            if serverless is None:
                return SharedTariff()
            memory_mb = int(serverless["MemorySizeInMB"])
            if serverless.get("ProvisionedConcurrency"):
                return Unpriced(
                    f"Requests to {endpoint} run on provisioned concurrency as far as it reaches, which is charged "
                    "differently. Set SAGEMAKER_SERVERLESS_MEMORY_MB to price all requests as on-demand ones."
                )
        price = PriceBook.load(settings.costs_prices_file).price(region, "sagemaker/serverless/compute")
        return DurationTariff(price.amount, memory_mb)
    except UnknownPrice as error:
        return Unpriced(str(error))
    except (BotoCoreError, ClientError, EmbedStackError) as error:
        return Unpriced(
            f"Whether endpoint {endpoint} is serverless cannot be read from SageMaker ({type(error).__name__}). "
            "Allow sagemaker:DescribeEndpoint and sagemaker:DescribeEndpointConfig, or set "
            "SAGEMAKER_SERVERLESS_MEMORY_MB."
        )


def _serverless_config(
    settings: "Settings", endpoint: str, routing: "Mapping[str, str]", session: "boto3.Session | None"
) -> "dict[str, Any] | None":
    if "InferenceComponentName" in routing:
        return None  # inference components run on instances
    client = create_client(
        "sagemaker", settings, attempts=1, connect_timeout=_SECONDS, read_timeout=_SECONDS, session=session
    )
    with aws_response_errors():
        name = client.describe_endpoint(EndpointName=endpoint)["EndpointConfigName"]
        variants = client.describe_endpoint_config(EndpointConfigName=name)["ProductionVariants"]
    target = routing.get("TargetVariant")
    variant = next((one for one in variants if one["VariantName"] == target), variants[0])
    serverless: dict[str, Any] | None = variant.get("ServerlessConfig")
    return serverless
