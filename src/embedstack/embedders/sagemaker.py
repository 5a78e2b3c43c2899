"""A SageMaker endpoint as an :class:`Embedder`."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from botocore.exceptions import BotoCoreError, ClientError

from embedstack.aws import create_client, translate_error
from embedstack.embedders.base import Embedder
from embedstack.embedders.batching import Limits
from embedstack.embedders.core import Kind
from embedstack.errors import DimensionMismatch, IntegrityError, ModelFailed
from embedstack.settings import Settings, load_settings

if TYPE_CHECKING:
    import boto3
    from numpy.typing import NDArray

    from embedstack.models import ModelInfo

__all__ = ["SageMakerEmbedder"]

_POOLING_REMEDY = (
    "one vector per token, as the HuggingFace container's feature-extraction gives. Deploy the model with the "
    'default container ("tei"), whose vectors are pooled.'
)


class SageMakerEmbedder(Embedder):
    """Embeds through ``InvokeEndpoint``.

    Speaks what Text Embeddings Inference and the product's own model server understand.
    """

    def __init__(
        self,
        model: "ModelInfo",
        *,
        endpoint: str | None = None,
        settings: Settings | None = None,
        limits: Limits | None = None,
        truncate: bool = False,
        session: "boto3.Session | None" = None,
    ) -> None:
        """Prepare a client; nothing is called yet.

        Args:
            model: The model that the endpoint is expected to serve.
            endpoint: Its name; the configured one otherwise.
            settings: Configuration; read from the environment otherwise.
            limits: What one request may carry.
            truncate: Cut texts that are longer than the model reads instead of refusing them.
            session: A boto3 session of the caller's.

        Raises:
            ConfigurationError: No endpoint or no region is set.
        """
        settings = settings or load_settings()
        super().__init__(model, limits or Limits(max_items=settings.sagemaker_batch_size))
        self.endpoint = endpoint or settings.required_endpoint()
        self.truncate = truncate
        self._runtime = create_client(
            "sagemaker-runtime", settings, max_connections=self.limits.concurrency, session=session
        )

    # The members' names, the options and the brackets of a request.
    envelope_bytes = 128

    def request_bytes(self, text: str) -> int:
        """Bytes of the text and its comma as JSON."""
        return len(_json_bytes(text)) + 2

    def embed_batch(self, texts: Sequence[str], kind: Kind) -> "NDArray[np.float32]":
        """One ``InvokeEndpoint``; see :meth:`Embedder.embed_batch`."""
        del kind  # no prompts yet: the models that are known make no difference between query and document
        body = {"inputs": list(texts), "normalize": self.info.normalized, "truncate": self.truncate}
        return _vectors(self.invoke(body))

    def invoke(self, body: dict[str, Any]) -> Any:
        """Send a request as it is and return the parsed answer.

        Raises:
            EmbedStackError: As :meth:`Embedder.embed`.
        """
        try:
            response = self._runtime.invoke_endpoint(
                EndpointName=self.endpoint,
                ContentType="application/json",
                Accept="application/json",
                Body=_json_bytes(body),
            )
            content = response["Body"].read()
        except (BotoCoreError, ClientError) as error:
            raise translate_error(error, endpoint=self.endpoint, region=self._runtime.meta.region_name) from error
        try:
            return json.loads(content)
        except ValueError as error:
            raise ModelFailed(
                f"Endpoint {self.endpoint} answered {len(content)} bytes that are not JSON.", retryable=True
            ) from error


def _json_bytes(value: Any) -> bytes:
    # Not ASCII with escapes: these would swell a Chinese text to twice its size.
    return json.dumps(value, ensure_ascii=False).encode("utf-8")


def _vectors(answer: Any) -> "NDArray[np.float32]":
    """Rows of an answer as float32 (texts, dimensions)."""
    if not isinstance(answer, list):
        raise IntegrityError(f"The endpoint answered a {type(answer).__name__}, not a list of vectors.")
    try:
        vectors = np.asarray(answer, np.float32)
    except (TypeError, ValueError):
        raise DimensionMismatch("The endpoint answered rows of unlike shape: " + _POOLING_REMEDY) from None
    if vectors.ndim != 2:
        raise DimensionMismatch(f"The endpoint answered {vectors.ndim} levels of lists: " + _POOLING_REMEDY)
    return vectors
