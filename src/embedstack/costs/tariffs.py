"""How AWS charges for the requests to a backend."""

import logging
import math
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from embedstack.aws.bedrock import base_model_id
from embedstack.aws.clients import aws_response_errors, create_client
from embedstack.costs.money import to_picodollars
from embedstack.costs.price_book import PriceBook
from embedstack.errors import EmbedStackError, ModelFailed, UnknownPrice

if TYPE_CHECKING:
    from collections.abc import Mapping

    import boto3

    from embedstack.settings.settings import Settings

__all__ = [
    "FREE",
    "DurationTariff",
    "FreeTariff",
    "QueryTariff",
    "SharedTariff",
    "Tariff",
    "TokenTariff",
    "Unpriced",
    "Usage",
    "bedrock_query_tariff",
    "bedrock_token_tariff",
    "sagemaker_tariff",
]

_logger = logging.getLogger(__name__)

# https://aws.amazon.com/bedrock/pricing/: "A query can contain up to 100 document chunks."
_DOCUMENTS_OF_A_QUERY = 100
_MILLION = 10**6
# A description must not delay the first request for long.
_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Usage:
    """What a request used.

    Attributes:
        texts: Texts.
        tokens: Input tokens.
        output_tokens: Generated tokens.
        milliseconds: Duration in milliseconds.
    """

    texts: int = 0
    tokens: int = 0
    output_tokens: int = 0
    milliseconds: float = 0.0


class Tariff(Protocol):
    """How requests to one backend are charged.

    Attributes:
        is_shared: The backend is billed by instance-hours, which a report divides among the calls.
    """

    @property
    def is_shared(self) -> bool: ...

    def cost(self, usage: Usage) -> int | None:
        """Cost of a request with a response in picodollars; None if the price is unknown."""

    def failure_cost(self, error: EmbedStackError, usage: Usage) -> int | None:
        """Cost of a request that failed."""


class FreeTariff:
    """A backend that costs nothing per request, such as a model in this process."""

    is_shared = False

    def cost(self, usage: Usage) -> int | None:
        """Nothing."""
        del usage
        return 0

    def failure_cost(self, error: EmbedStackError, usage: Usage) -> int | None:
        """Nothing."""
        del error, usage
        return 0


FREE = FreeTariff()


class SharedTariff(FreeTariff):
    """An endpoint that is billed by instance-hours."""

    is_shared = True


@dataclass(frozen=True, slots=True)
class Unpriced:
    """A backend whose price is unknown.

    Attributes:
        reason: Why, and what to do.
    """

    reason: str
    is_shared = False

    def cost(self, usage: Usage) -> int | None:
        """Unknown."""
        del usage
        return None

    def failure_cost(self, error: EmbedStackError, usage: Usage) -> int | None:
        """Unknown."""
        del error, usage
        return None


class TokenTariff(FreeTariff):
    """Charged by tokens. AWS does not charge for a request that failed."""

    def __init__(self, input_price: Decimal, output_price: Decimal = Decimal(0)) -> None:
        """Prices in US dollars per million tokens."""
        self._input, self._output = to_picodollars(input_price), to_picodollars(output_price)

    def cost(self, usage: Usage) -> int | None:
        """By the tokens of the request and of the reply."""
        return round((usage.tokens * self._input + usage.output_tokens * self._output) / _MILLION)


class QueryTariff(FreeTariff):
    """A reranker that is charged by queries of up to 100 documents."""

    def __init__(self, price: Decimal) -> None:
        """Price in US dollars per query."""
        self._price = to_picodollars(price)

    def cost(self, usage: Usage) -> int | None:
        """By the queries that the texts fill."""
        return self._price * math.ceil(usage.texts / _DOCUMENTS_OF_A_QUERY)


class DurationTariff:
    """A serverless endpoint: charged by milliseconds and memory, also when its container fails.

    AWS documents neither how it rounds nor whether the start of a container is billed. A request is rounded up to a
    millisecond here. Its duration is measured by the client, so it includes the network and a cold start.
    """

    is_shared = False

    def __init__(self, price: Decimal, memory_mb: int) -> None:
        """Price in US dollars per GB-second."""
        self._per_millisecond = to_picodollars(price * memory_mb / 1024 / 1000)

    def cost(self, usage: Usage) -> int | None:
        """By the duration."""
        return self._per_millisecond * math.ceil(usage.milliseconds)

    def failure_cost(self, error: EmbedStackError, usage: Usage) -> int | None:
        """By the duration, if the container processed the request."""
        return self.cost(usage) if isinstance(error, ModelFailed) else 0


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
        return _unpriced(error)


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
        return _unpriced(error)


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
                return _unpriced(
                    UnknownPrice(
                        f"Requests to {endpoint} run on provisioned concurrency as far as it reaches, which is charged "
                        "differently. Set SAGEMAKER_SERVERLESS_MEMORY_MB to price all requests as on-demand ones."
                    )
                )
        price = PriceBook.load(settings.costs_prices_file).price(region, "sagemaker/serverless/compute")
        return DurationTariff(price.amount, memory_mb)
    except UnknownPrice as error:
        return _unpriced(error)
    except (BotoCoreError, ClientError, EmbedStackError) as error:
        return _unpriced(
            UnknownPrice(
                f"Whether endpoint {endpoint} is serverless cannot be read from SageMaker ({type(error).__name__}). "
                "Allow sagemaker:DescribeEndpoint and sagemaker:DescribeEndpointConfig, or set "
                "SAGEMAKER_SERVERLESS_MEMORY_MB."
            )
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


def _unpriced(error: UnknownPrice) -> Unpriced:
    _logger.warning("Calls are recorded without a cost: %s", error)
    return Unpriced(str(error))
