"""Reranks with Bedrock's reranking models: Cohere Rerank 3.5 and Amazon Rerank 1.0."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from embedstack.aws.bedrock import base_model_id, check_residency
from embedstack.aws.clients import AwsClient
from embedstack.calls.http_responses import parse_json, read_body
from embedstack.costs.accounting import Service
from embedstack.costs.aws_tariffs import bedrock_query_tariff
from embedstack.embedders.adaptive_limits import FixedBatchSizer
from embedstack.embedders.batching import Limits
from embedstack.embedders.json_encoding import json_bytes
from embedstack.errors import ConfigurationError, IntegrityError
from embedstack.models.catalogue import find_model
from embedstack.models.model_info import ModelInfo
from embedstack.rerankers.base import Reranker
from embedstack.rerankers.responses import read_scores, response_limit
from embedstack.settings.settings import Settings, load_settings

if TYPE_CHECKING:
    import boto3
    import numpy as np
    from numpy.typing import NDArray

    from embedstack.embedders.usage import Price

__all__ = ["BedrockReranker"]

_AMAZON, _COHERE = "amazon.rerank-", "cohere.rerank-"
# Bedrock rejects the first version of Cohere's request.
_COHERE_API_VERSION = 2
# https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent-runtime_Rerank.html: documents of one query.
_MAX_DOCUMENTS = 1000
# Under the 25,000,000 bytes of a request (https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html).
_MAX_BYTES = 24_000_000


class BedrockReranker(Reranker):
    """Reranks with ``InvokeModel``. A request is priced by the query, so texts are not split into small requests.

    Cohere's model scores a text that is longer than its context in parts, and returns the highest score
    (https://docs.cohere.com/docs/reranking-best-practices).
    """

    def __init__(
        self,
        model_id: str,
        *,
        settings: Settings | None = None,
        concurrency: int = 16,
        price: "Price | None" = None,
        session: "boto3.Session | None" = None,
    ) -> None:
        """Create a client. No request is sent.

        Args:
            model_id: Bedrock's id of the model.
            settings: Configuration; read from the environment by default.
            concurrency: Requests in flight at the same time.
            price: Bedrock's price of the model.
            session: A custom boto3 session.

        Raises:
            ConfigurationError: The model is not a reranker of Bedrock, or may compute outside the allowed regions.
        """
        settings = settings or load_settings()
        check_residency(model_id, settings)
        base = base_model_id(model_id)
        if not base.startswith((_AMAZON, _COHERE)):
            raise ConfigurationError(
                f"{model_id} is not a supported Bedrock reranker. Use cohere.rerank-v3-5:0 or amazon.rerank-v1:0."
            )
        limits = Limits(_MAX_DOCUMENTS, max_bytes=_MAX_BYTES, concurrency=concurrency)
        super().__init__(find_model(base) or ModelInfo(base, kind="reranker"), limits, price=price)
        self.runner.sizer = FixedBatchSizer(limits.max_items)
        self._settings = settings.without_secrets()
        self._model_id = model_id
        self._options = {"api_version": _COHERE_API_VERSION} if base.startswith(_COHERE) else {}
        self._client = AwsClient(
            "bedrock-runtime",
            settings,
            max_connections=concurrency,
            read_timeout=settings.embedding_timeout_seconds,
            session=session,
        )

    @property
    def service(self) -> Service:
        """The model on Bedrock, charged by queries."""
        tariff = partial(bedrock_query_tariff, self._settings, self._client.region, self._model_id)
        return Service("bedrock", self._model_id, self.info.model_id, tariff)

    def disable_retries(self) -> None:
        """Send every request once from now on."""
        self._client.disable_retries()

    def score_identity(self) -> Mapping[str, Any]:
        """The model, and the address that serves it (Bedrock or a local AWS)."""
        return {**super().score_identity(), "backend": "bedrock", "address": self._client.endpoint_url}

    def score_batch(self, query: str, texts: Sequence[str]) -> "NDArray[np.float32]":
        """Send one ``InvokeModel``; see :meth:`Reranker.score_batch`."""
        # Without top_n, a model may return fewer results than documents.
        body = json_bytes({"query": query, "documents": list(texts), "top_n": len(texts), **self._options})

        def call(client: Any) -> bytes:
            response = client.invoke_model(
                modelId=self._model_id, body=body, contentType="application/json", accept="application/json"
            )
            return read_body(response["body"], response_limit(len(texts), len(body)), self._model_id)

        try:
            content = self._client.call(call)
        except (BotoCoreError, ClientError) as error:
            raise self._client.translate(error, resource=self._model_id) from error
        self.release_slot()
        document = parse_json(content, self._model_id)
        if not isinstance(document, dict):
            raise IntegrityError(f"{self._model_id} sent JSON that is not an object. Check the server.")
        return read_scores(document.get("results"), len(texts), "relevance_score", self._model_id)
