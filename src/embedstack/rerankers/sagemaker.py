"""Reranks with a SageMaker endpoint."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from embedstack.calls.http_responses import parse_json
from embedstack.embedders.batching import Limits
from embedstack.embedders.json_encoding import json_bytes
from embedstack.embedders.sagemaker.invocation import EndpointInvoker
from embedstack.rerankers.base import Reranker
from embedstack.rerankers.responses import read_scores, response_limit
from embedstack.settings.settings import Settings, load_settings

if TYPE_CHECKING:
    import boto3
    import numpy as np
    from numpy.typing import NDArray

    from embedstack.costs.accounting import Service
    from embedstack.embedders.usage import Price
    from embedstack.models.model_info import ModelIdentity, ModelInfo

__all__ = ["SageMakerReranker"]


class SageMakerReranker(Reranker):
    """Reranks with ``InvokeEndpoint``.

    Sends the request of Text Embeddings Inference's ``/rerank``, which this project's model server reads too. The
    score of a text does not depend on the others, so texts are split into requests within the endpoint's limit.
    """

    def __init__(  # noqa: PLR0913 - by keyword, each its own concern
        self,
        model: "ModelInfo",
        *,
        endpoint: str | None = None,
        settings: Settings | None = None,
        limits: Limits | None = None,
        truncate: bool = False,
        raw_scores: bool = False,
        target_variant: str | None = None,
        inference_component: str | None = None,
        price: "Price | None" = None,
        session: "boto3.Session | None" = None,
    ) -> None:
        """Create a client. No request is sent.

        Args:
            model: The expected model.
            endpoint: Name of the endpoint; defaults to RERANKER_ENDPOINT.
            settings: Configuration; read from the environment by default.
            limits: Limits of one request.
            truncate: Truncate pairs that are longer than the model reads instead of rejecting them.
            raw_scores: Return logits instead of the model's activation of them, which is a sigmoid by default.
            target_variant: Production variant to call; chosen by the variants' weights by default.
            inference_component: Inference component to call; on the configured endpoint, it defaults to
                RERANKER_INFERENCE_COMPONENT.
            price: Price of the endpoint.
            session: A custom boto3 session.

        Raises:
            ConfigurationError: No endpoint or region is set, or the region is not allowed.
        """
        settings = settings or load_settings()
        limits = limits or Limits(max_items=settings.sagemaker_batch_size, concurrency=settings.embedding_concurrency)
        super().__init__(model, limits, price=price)
        if inference_component is None and endpoint in (None, settings.reranker_endpoint):
            inference_component = settings.reranker_inference_component
        self._options = {"truncate": truncate, "raw_scores": raw_scores}
        self._invoker = EndpointInvoker(
            model,
            endpoint or settings.required_reranker_endpoint(),
            settings,
            concurrency=limits.concurrency,
            target_variant=target_variant,
            inference_component=inference_component,
            session=session,
        )

    @property
    def endpoint(self) -> str:
        """Name of the endpoint."""
        return self._invoker.endpoint

    @property
    def served_model(self) -> "ModelIdentity | None":
        """The model that the endpoint's responses name; None if they name none."""
        return self._invoker.served_model

    @property
    def service(self) -> "Service":
        """The endpoint."""
        return self._invoker.service

    def disable_retries(self) -> None:
        """Send every request once from now on."""
        self._invoker.disable_retries()

    def score_identity(self) -> Mapping[str, Any]:
        """The model, the endpoint, variant or component that serves it, and the options of a request."""
        return {
            **super().score_identity(),
            "backend": "sagemaker",
            "address": self._invoker.address,
            "endpoint": self.endpoint,
            "routing": self._invoker.routing,
            **self._options,
        }

    def score_batch(self, query: str, texts: Sequence[str]) -> "NDArray[np.float32]":
        """Send one ``InvokeEndpoint``; see :meth:`Reranker.score_batch`."""
        body = json_bytes({"query": query, "texts": list(texts), **self._options})
        content = self._invoker.invoke(body, limit=response_limit(len(texts), len(body)))
        self.release_slot()
        scores = read_scores(parse_json(content, self._invoker.source), len(texts), "score", self._invoker.source)
        self._invoker.verify_description()
        return scores
