"""A SageMaker endpoint as an :class:`Embedder`."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from embedstack.aws import AwsClient, translate_error
from embedstack.embedders.base import Embedder
from embedstack.embedders.batching import Limits
from embedstack.embedders.sagemaker_answers import JSON, NPY, ClientPooling, read_answer, read_spans
from embedstack.embedders.sagemaker_requests import ENVELOPE_BYTES, json_bytes, request_body, text_bytes
from embedstack.errors import EndpointError, InputError, ModelFailed
from embedstack.settings import Settings, load_settings

if TYPE_CHECKING:
    import boto3
    import numpy as np
    from numpy.typing import NDArray

    from embedstack.embedders.core import Kind
    from embedstack.embedders.spans import Span
    from embedstack.embedders.usage import Price
    from embedstack.models import ModelInfo

__all__ = ["SageMakerEmbedder"]


class SageMakerEmbedder(Embedder):
    """Embeds through ``InvokeEndpoint``.

    Speaks what Text Embeddings Inference, the product's own model server and, with ``client_pooling``, the HuggingFace
    toolkit understand. Whether the endpoint answers arrays, which are several times faster to read than JSON, is
    found out once, with the second request.
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
        """Prepare a client; nothing is called yet.

        Args:
            model: The model that the endpoint is expected to serve.
            endpoint: Its name; the configured one otherwise.
            settings: Configuration; read from the environment otherwise.
            limits: What one request may carry.
            truncate: Cut texts that are longer than the model reads instead of refusing them.
            client_pooling: ``mean`` pools the token vectors of a HuggingFace container, which are refused otherwise.
            target_variant: Production variant to call; by their weights otherwise.
            inference_component: Inference component to call, on an endpoint that has them; the configured one
                otherwise, on the configured endpoint.
            prompts: Text put before an input, by kind or context, beside the model's own.
            price: What the endpoint charges.
            session: A boto3 session of the caller's.

        Raises:
            ConfigurationError: No endpoint or no region is set, or the region is not an allowed one.
        """
        settings = settings or load_settings()
        limits = limits or Limits(max_items=settings.sagemaker_batch_size)
        super().__init__(model, limits, prompts=prompts, price=price)
        self.endpoint = endpoint or settings.required_endpoint()
        self.truncate = truncate
        self._client_pooling = client_pooling
        inference_component = inference_component or settings.component_of(endpoint)
        self._routing = {
            name: value
            for name, value in (("TargetVariant", target_variant), ("InferenceComponentName", inference_component))
            if value is not None
        }
        self._client = AwsClient(
            "sagemaker-runtime",
            settings,
            max_connections=limits.concurrency,
            read_timeout=settings.embedding_timeout_seconds,
            session=session,
        )
        # None until an endpoint has answered rows once: a HuggingFace container fails when asked for an array.
        self._gives_arrays: bool | None = None if client_pooling is None else False
        self._has_answered = False

    envelope_bytes = ENVELOPE_BYTES

    def request_bytes(self, text: str) -> int:
        """Bytes of the text and its comma as JSON."""
        return text_bytes(text)

    def hand_over_retries(self) -> None:
        """Leave retries to a wrapper."""
        self._client.hand_over_retries()

    def embed_batch(self, texts: Sequence[str], kind: "Kind") -> "NDArray[np.float32]":
        """One ``InvokeEndpoint``; see :meth:`Embedder.embed_batch`."""
        body = json_bytes(self._request(texts, kind))
        if self._gives_arrays is None and self._has_answered:
            content, content_type = self._probe_arrays(body)
        else:
            content, content_type = self._invoke(body, NPY if self._gives_arrays else JSON)
        self.received()
        vectors = read_answer(content, content_type, pooling=self._client_pooling, normalized=self.info.normalized)
        self._has_answered = True
        return vectors

    def embed_span_batch(
        self, texts: Sequence[str], spans: "Sequence[Sequence[Span]]", kind: "Kind"
    ) -> "list[NDArray[np.float32]]":
        """One ``InvokeEndpoint`` with spans, for this project's model server; see :meth:`Embedder.embed_spans`."""
        # Not cut: a span in what was cut off would have no vector.
        body = {**self._request(texts, kind), "truncate": False, "spans": spans, "encoding_format": "base64"}
        content, _ = self._invoke(json_bytes(body), JSON)
        self.received()
        return read_spans(content, self.endpoint)

    def invoke(self, body: dict[str, Any]) -> Any:
        """Send a request as it is and return the parsed answer.

        Raises:
            EmbedStackError: As :meth:`Embedder.embed`.
        """
        content, _ = self._invoke(json_bytes(body), JSON)
        try:
            return json.loads(content)
        except ValueError as error:
            raise ModelFailed(
                f"Endpoint {self.endpoint} answered {len(content)} bytes that are not JSON.", retryable=True
            ) from error

    def _request(self, texts: Sequence[str], kind: "Kind") -> dict[str, Any]:
        body = request_body(self.info, texts, truncate=self.truncate, has_prompt=kind in self.prompts)
        if self._client_pooling is not None and self.truncate:
            # How transformers' pipeline is told; the servers that give pooled vectors read `truncate`.
            body["parameters"] = {"truncation": True}
        return body

    def _probe_arrays(self, body: bytes) -> tuple[bytes, str]:
        """Ask for an array; a server that refuses that is asked again for JSON and never again for an array."""
        try:
            content, content_type = self._invoke(body, NPY)
        except (InputError, EndpointError) as error:
            if error.retryable:
                raise
            # Where the request itself is at fault this raises too, and says nothing about arrays.
            answer = self._invoke(body, JSON)
            self._gives_arrays = False
            return answer
        self._gives_arrays = content_type.startswith(NPY)
        return content, content_type

    def _invoke(self, body: bytes, accept: str) -> tuple[bytes, str]:
        def call(client: Any) -> tuple[bytes, str]:
            response = client.invoke_endpoint(
                EndpointName=self.endpoint, ContentType=JSON, Accept=accept, Body=body, **self._routing
            )
            return response["Body"].read(), response.get("ContentType", JSON)

        try:
            return self._client.call(call)
        except (BotoCoreError, ClientError) as error:
            raise translate_error(error, endpoint=self.endpoint, region=self._client.region) from error
