"""Embeds with Bedrock's embedding models: Titan v1 and v2, Nova 2 for text, Cohere v3 and v4."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from embedstack.aws.bedrock import base_model_id, check_residency
from embedstack.aws.clients import AwsClient
from embedstack.calls.http_responses import parse_json, read_body, token_count
from embedstack.costs.accounting import Service
from embedstack.costs.aws_tariffs import bedrock_token_tariff
from embedstack.embedders.base import Embedder
from embedstack.embedders.batching import Limits
from embedstack.embedders.json_encoding import json_bytes
from embedstack.embedders.response_vectors import read_rows, response_limit
from embedstack.errors import ConfigurationError, IntegrityError, TextTooLong
from embedstack.models.catalogue import find_model
from embedstack.settings.settings import Settings, load_settings

if TYPE_CHECKING:
    import boto3
    import numpy as np
    from numpy.typing import NDArray

    from embedstack.embedders.prompts import Kind
    from embedstack.embedders.usage import Price

__all__ = ["BedrockEmbedder"]

_TITAN = "amazon.titan-embed-text"
_NOVA = "amazon.nova-2-multimodal-embeddings"
_COHERE_V3 = ("cohere.embed-english-v3", "cohere.embed-multilingual-v3")
_COHERE_V4 = "cohere.embed-v4"
# https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed.html: texts per call of Cohere's models;
# Titan and Nova take one.
_COHERE_ITEMS = 96
# https://docs.aws.amazon.com/nova/latest/userguide/embeddings-schema.html: characters of a text, which the service
# rejects also when it truncates; and what a vector is for. Collections contain texts, not images.
_NOVA_CHARACTERS = 8192
_NOVA_PURPOSES = {"query": "TEXT_RETRIEVAL", "document": "GENERIC_INDEX"}
_TOKENS_HEADER = "x-amzn-bedrock-input-token-count"


class BedrockEmbedder(Embedder):
    """Embeds with ``InvokeModel``. Models that take one text per call get concurrent calls."""

    def __init__(
        self,
        model_id: str,
        *,
        dimensions: int | None = None,
        settings: Settings | None = None,
        concurrency: int = 16,
        truncate: bool = False,
        prompts: Mapping[str, str] | None = None,
        price: "Price | None" = None,
        session: "boto3.Session | None" = None,
    ) -> None:
        """Create a client. No request is sent.

        Args:
            model_id: Bedrock's id of the model, or of a cross-region inference profile of it.
            dimensions: A shorter vector length that the model was trained for.
            settings: Configuration; read from the environment by default.
            concurrency: Requests in flight at the same time.
            truncate: Truncate texts that are longer than the model reads; not Titan.
            prompts: Text put before an input, by kind or context. Requests name the kind of text too.
            price: Bedrock's price of the model.
            session: A custom boto3 session.

        Raises:
            ConfigurationError: The model is unknown, does not support the length, cannot truncate, or may compute
                outside the allowed regions.
        """
        settings = settings or load_settings()
        check_residency(model_id, settings)
        base = base_model_id(model_id)
        info = find_model(base)
        if info is None or not base.startswith((_TITAN, _NOVA, *_COHERE_V3, _COHERE_V4)):
            raise ConfigurationError(
                f"{model_id} is not a supported Bedrock embedding model. Use a Titan, Nova or Cohere model."
            )
        if truncate and base.startswith(_TITAN):
            raise ConfigurationError(f"{model_id} cannot truncate. Split long texts, or use a Nova or Cohere model.")
        takes_one_text = base.startswith((_TITAN, _NOVA))
        limits = Limits(1 if takes_one_text else _COHERE_ITEMS, concurrency=concurrency)
        super().__init__(info.shortened(dimensions) if dimensions else info, limits, prompts=prompts, price=price)
        self._settings = settings.without_secrets()
        self._model_id = model_id
        self._base = base
        self._truncate = truncate
        self._client = AwsClient(
            "bedrock-runtime",
            settings,
            max_connections=concurrency,
            read_timeout=settings.embedding_timeout_seconds,
            session=session,
        )

    @property
    def service(self) -> Service:
        """The model on Bedrock, charged by tokens."""
        tariff = partial(bedrock_token_tariff, self._settings, self._client.region, self._model_id)
        return Service("bedrock", self._model_id, self._base, tariff)

    def disable_retries(self) -> None:
        """Send every request once from now on."""
        self._client.disable_retries()

    def vector_identity(self) -> Mapping[str, Any]:
        """The model, the address that serves it (Bedrock or a local AWS), and whether it truncates."""
        address = self._client.endpoint_url
        return {**super().vector_identity(), "backend": "bedrock", "address": address, "truncate": self._truncate}

    def embed_batch(self, texts: Sequence[str], kind: "Kind") -> "NDArray[np.float32]":
        """Send one ``InvokeModel``; see :meth:`Embedder.embed_batch`."""
        document, headers = self._invoke(self._body(texts, kind), len(texts))
        vectors = read_rows(document, len(texts), self._model_id)
        tokens = token_count(document.get("inputTextTokenCount"))
        if tokens is None:
            tokens = token_count(headers.get(_TOKENS_HEADER))
        if tokens is not None:
            self.count_tokens(tokens)
        return vectors

    def _body(self, texts: Sequence[str], kind: "Kind") -> dict[str, Any]:
        if self._base.startswith(_TITAN):
            return self._titan_body(texts[0])
        if self._base.startswith(_NOVA):
            return self._nova_body(texts[0], kind)
        return self._cohere_body(texts, kind)

    def _titan_body(self, text: str) -> dict[str, Any]:
        body: dict[str, Any] = {"inputText": text}
        if not self._base.startswith("amazon.titan-embed-text-v1"):
            body |= {"dimensions": self.info.dimensions, "normalize": self.info.normalized}
        return body

    def _nova_body(self, text: str, kind: "Kind") -> dict[str, Any]:
        if len(text) > _NOVA_CHARACTERS:
            raise TextTooLong(
                f"The text has {len(text):,} characters; {self._model_id} takes {_NOVA_CHARACTERS:,}. Split it.",
                index=0,
            )
        return {
            "schemaVersion": "nova-multimodal-embed-v1",
            "taskType": "SINGLE_EMBEDDING",
            "singleEmbeddingParams": {
                "embeddingPurpose": _NOVA_PURPOSES[kind],
                "embeddingDimension": self.info.dimensions,
                "text": {"truncationMode": "END" if self._truncate else "NONE", "value": text},
            },
        }

    def _cohere_body(self, texts: Sequence[str], kind: "Kind") -> dict[str, Any]:
        is_v4 = self._base.startswith(_COHERE_V4)
        body: dict[str, Any] = {
            "texts": list(texts),
            "input_type": f"search_{kind}",
            "embedding_types": ["float"],
            "truncate": ("RIGHT" if is_v4 else "END") if self._truncate else "NONE",
        }
        if is_v4:
            body["output_dimension"] = self.info.dimensions
        return body

    def _invoke(self, body: dict[str, Any], count: int) -> tuple[dict[str, Any], dict[str, str]]:
        content = json_bytes(body)
        limit = response_limit(count, self.info.dimensions, len(content))

        def call(client: Any) -> tuple[bytes, dict[str, str]]:
            response = client.invoke_model(
                modelId=self._model_id, body=content, contentType="application/json", accept="application/json"
            )
            headers = response["ResponseMetadata"].get("HTTPHeaders", {})
            return read_body(response["body"], limit, self._model_id), headers

        try:
            response, headers = self._client.call(call)
        except (BotoCoreError, ClientError) as error:
            raise self._client.translate(error, resource=self._model_id) from error
        self.release_slot()
        document = parse_json(response, self._model_id)
        if not isinstance(document, dict):
            raise IntegrityError(f"{self._model_id} sent JSON that is not an object. Check the server.")
        return document, headers
