"""Embeds with a SageMaker endpoint."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from embedstack.calls.http_responses import parse_json
from embedstack.embedders.base import Embedder
from embedstack.embedders.batching import Limits, TextSizes
from embedstack.embedders.json_encoding import json_bytes
from embedstack.embedders.response_vectors import response_limit
from embedstack.embedders.sagemaker.invocation import JSON, EndpointInvoker
from embedstack.embedders.sagemaker.requests import TEXT_SIZES, request_body
from embedstack.embedders.sagemaker.response_format import ResponseFormat
from embedstack.embedders.sagemaker.responses import NPY, ClientPooling, is_array, read_spans, read_vectors
from embedstack.errors import EmbedStackError
from embedstack.settings.settings import Settings, load_settings

if TYPE_CHECKING:
    import boto3
    import numpy as np
    from numpy.typing import NDArray

    from embedstack.costs.accounting import Service
    from embedstack.embedders.prompts import Kind
    from embedstack.embedders.spans import Span
    from embedstack.embedders.usage import Price
    from embedstack.models.model_info import ModelIdentity, ModelInfo

__all__ = ["SageMakerEmbedder"]

# Payload limit of a real-time response (https://docs.aws.amazon.com/sagemaker/latest/dg/realtime-endpoints.html).
_RESPONSE_BYTES = 25 * 1024 * 1024


class SageMakerEmbedder(Embedder):
    """Embeds with ``InvokeEndpoint``.

    Supports Text Embeddings Inference, this project's model server and, with ``client_pooling``, the Hugging Face
    inference toolkit. The second request tries whether the endpoint returns arrays, which are several times faster to
    read than JSON.

    A response that names its model is compared with the expected model. If the first response names none, the
    endpoint's description in SageMaker is compared, if the credentials allow that.
    """

    def __init__(  # noqa: PLR0913 - by keyword, each its own concern
        self,
        model: "ModelInfo",
        *,
        endpoint: str | None = None,
        settings: Settings | None = None,
        limits: Limits | None = None,
        truncate: bool = False,
        client_pooling: ClientPooling | None = None,
        target_variant: str | None = None,
        inference_component: str | None = None,
        prompts: Mapping[str, str] | None = None,
        price: "Price | None" = None,
        session: "boto3.Session | None" = None,
    ) -> None:
        """Create a client. No request is sent.

        Args:
            model: The expected model.
            endpoint: Name of the endpoint; defaults to SAGEMAKER_ENDPOINT.
            settings: Configuration; read from the environment by default.
            limits: Limits of one request.
            truncate: Truncate texts that are longer than the model reads instead of rejecting them.
            client_pooling: ``mean`` pools the token vectors of a Hugging Face container, which are rejected by default.
            target_variant: Production variant to call; chosen by the variants' weights by default.
            inference_component: Inference component to call; on the configured endpoint, it defaults to
                SAGEMAKER_INFERENCE_COMPONENT.
            prompts: Text put before an input, by kind or context, in addition to the model's own prompts.
            price: Price of the endpoint.
            session: A custom boto3 session.

        Raises:
            ConfigurationError: No endpoint or region is set, or the region is not allowed.
        """
        settings = settings or load_settings()
        limits = limits or Limits(max_items=settings.sagemaker_batch_size)
        super().__init__(model, limits, prompts=prompts, price=price)
        self.truncate = truncate
        self._client_pooling = client_pooling
        self._invoker = EndpointInvoker(
            model,
            endpoint or settings.required_endpoint(),
            settings,
            concurrency=limits.concurrency,
            target_variant=target_variant,
            inference_component=inference_component or settings.component_of(endpoint),
            prompts=self.prompts,
            session=session,
        )
        # A Hugging Face container fails when an array is requested.
        self._format = ResponseFormat(arrays=client_pooling is None)

    @property
    def endpoint(self) -> str:
        """Name of the endpoint."""
        return self._invoker.endpoint

    @property
    def served_model(self) -> "ModelIdentity | None":
        """The model that the endpoint's responses name; None if they name none."""
        return self._invoker.served_model

    def text_sizes(self) -> TextSizes:
        """Bytes that texts take in a request."""
        return TEXT_SIZES

    @property
    def service(self) -> "Service":
        """The endpoint."""
        return self._invoker.service

    def disable_retries(self) -> None:
        """Send every request once from now on."""
        self._invoker.disable_retries()

    def vector_identity(self) -> Mapping[str, Any]:
        """The model, the endpoint, variant or component that serves it, and how its response becomes a vector."""
        return {
            **super().vector_identity(),
            "backend": "sagemaker",
            "address": self._invoker.address,
            "endpoint": self.endpoint,
            "routing": self._invoker.routing,
            "truncate": self.truncate,
            "client_pooling": self._client_pooling,
        }

    def embed_batch(self, texts: Sequence[str], kind: "Kind") -> "NDArray[np.float32]":
        """Send one ``InvokeEndpoint``; see :meth:`Embedder.embed_batch`."""
        body = json_bytes(self._request(texts, kind))
        accept = self._format.choose()
        try:
            return self._embed(body, accept, len(texts))
        except EmbedStackError as error:
            if accept == JSON or not self._format.needs_json(error):
                raise
        # If the request itself is at fault, this raises too.
        vectors = self._embed(body, JSON, len(texts))
        self._format.disable_arrays()
        return vectors

    def embed_span_batch(
        self, texts: Sequence[str], spans: "Sequence[Sequence[Span]]", kind: "Kind"
    ) -> "list[NDArray[np.float32]]":
        """Send one ``InvokeEndpoint`` with spans, for this project's model server; see :meth:`Embedder.embed_spans`."""
        # Not truncated: a span in the removed part would have no vector.
        body = {**self._request(texts, kind), "truncate": False, "spans": spans, "encoding_format": "base64"}
        content = self._invoke(json_bytes(body), JSON, sum(map(len, spans)))
        self.release_slot()
        vectors = read_spans(content, self.endpoint)
        self._invoker.verify_description()
        return vectors

    def invoke(self, body: dict[str, Any]) -> Any:
        """Send a request body unchanged and return the parsed response.

        Raises:
            EmbedStackError: As :meth:`Embedder.embed`.
        """
        return parse_json(self._invoke(json_bytes(body), JSON, None), self._invoker.source)

    def _request(self, texts: Sequence[str], kind: "Kind") -> dict[str, Any]:
        body = request_body(self.info, texts, truncate=self.truncate, has_prompt=kind in self.prompts)
        if self._client_pooling is not None and self.truncate:
            # The option of transformers' pipeline; servers that pool read `truncate`.
            body["parameters"] = {"truncation": True}
        return body

    def _embed(self, body: bytes, accept: str, count: int) -> "NDArray[np.float32]":
        content = self._invoke(body, accept, count)
        self.release_slot()
        vectors = read_vectors(content, count, pooling=self._client_pooling, normalized=self.info.normalized)
        if accept == NPY or not self._invoker.is_verified:
            # Before the format is learned, since a container may return invalid arrays, and before the description is
            # read, which vectors of another length do not need.
            self.model.check(vectors, count)
        self._invoker.verify_description()
        self._format.record_response(accept, is_array=is_array(content))
        return vectors

    def _invoke(self, body: bytes, accept: str, count: int | None) -> bytes:
        """Send a request and read its response with ``count`` vectors; None for a response of another kind."""
        limit = _RESPONSE_BYTES if count is None else self._response_limit(count, len(body))
        return self._invoker.invoke(body, accept=accept, limit=limit)

    def _response_limit(self, count: int, request_bytes: int) -> int:
        limit = response_limit(count, self.info.dimensions, request_bytes)
        return limit if self._client_pooling is None else max(limit, _RESPONSE_BYTES)
