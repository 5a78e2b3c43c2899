"""An endpoint that takes its requests from a queue: the request by ``InvokeEndpointAsync``, the answer from S3."""

import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from embedstack.aws.clients import AwsClient
from embedstack.calls.http_responses import read_body
from embedstack.embedders.base import Embedder
from embedstack.embedders.batching import Limits, TextSizes
from embedstack.embedders.json_encoding import json_bytes
from embedstack.embedders.response_vectors import response_limit
from embedstack.embedders.sagemaker.model_identity import served_models
from embedstack.embedders.sagemaker.requests import TEXT_SIZES, request_body
from embedstack.embedders.sagemaker.responses import JSON, read_vectors
from embedstack.errors import ConfigurationError, EndpointUnavailable, ModelFailed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from embedstack.embedders.prompts import Kind
    from embedstack.models.model_info import ModelInfo
    from embedstack.settings.settings import Settings

__all__ = ["AsyncEmbedder", "AsyncEndpoint", "AsyncOutputNotReadable"]

#: Bytes of a request that needs no object in S3 (API reference of InvokeEndpointAsync).
_BODY_BYTES = 128_000
# What is kept of an answer where its right size is not known.
_RESPONSE_BYTES = 64 * 1024 * 1024
#: RequestTTLSeconds must be at least this.
_LEAST_TTL_SECONDS = 60
_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.05, 2.0
_QUOTED_CHARACTERS = 300
_CONNECTIONS = 10
# Without its bucket the answer cannot be there, and the failure can.
_ABSENT = {"404", "NoSuchBucket", "NoSuchKey"}
_DENIED = {"403", "AccessDenied"}


class AsyncOutputNotReadable(ConfigurationError):
    """The endpoint took a request, and its answer may not be read."""


class AsyncEndpoint:
    """Asks an asynchronous endpoint and waits for the answer."""

    def __init__(self, name: str, settings: "Settings", *, wait_seconds: float) -> None:
        """Prepare; nothing is called yet.

        Args:
            name: The endpoint's.
            settings: Region, credentials and address of AWS.
            wait_seconds: For how long to wait for an answer.

        Raises:
            ConfigurationError: No region is set, or it is not an allowed one.
        """
        self.name = name
        self._settings = settings
        self._wait_seconds = wait_seconds
        self._runtime = AwsClient("sagemaker-runtime", settings, max_connections=_CONNECTIONS)
        self._s3 = AwsClient("s3", settings, max_connections=_CONNECTIONS)

    @property
    def address(self) -> str:
        """URL of the service that is called."""
        return self._runtime.endpoint_url

    def ask(self, body: bytes, limit: int = _RESPONSE_BYTES) -> bytes:
        """The answer to a request of JSON, up to 128,000 bytes.

        The answer is removed from S3 where these credentials allow that: nobody else waits for it.

        Args:
            body: The request.
            limit: Bytes that a right answer has at most.

        Raises:
            AsyncOutputNotReadable: The answer may not be read.
            EndpointNotFound: There is no such endpoint in this account and region.
            EndpointUnavailable: There is no answer within the time to wait, or AWS cannot be reached.
            IntegrityError: The answer is larger.
            ModelFailed: The container failed, or its answer could not be put into S3.
        """
        try:
            accepted = self._runtime.call(
                lambda client: client.invoke_endpoint_async(
                    EndpointName=self.name,
                    ContentType=JSON,
                    Accept=JSON,
                    Body=body,
                    # Who asks has gone by then: the request need not keep an instance, or start one.
                    RequestTTLSeconds=max(_LEAST_TTL_SECONDS, int(self._wait_seconds)),
                )
            )
            return self._await(accepted, limit)
        except (BotoCoreError, ClientError) as error:
            raise self._runtime.translate(error, resource=self.name) from error

    def verify(self, model: "ModelInfo") -> None:
        """Compare the endpoint's description with the expected model, where it may be read.

        Raises:
            ModelMismatch: It names another one.
        """
        for served in served_models(self._settings, self.name, {}):
            served.require(model, f"Endpoint {self.name}")

    def _await(self, accepted: dict[str, Any], limit: int) -> bytes:
        answer, failure = accepted.get("OutputLocation"), accepted.get("FailureLocation")
        deadline, pause, denied = time.monotonic() + self._wait_seconds, _PAUSE_SECONDS, False
        while True:
            for location in filter(None, (answer, failure)):
                try:
                    content = self._take(location, limit)
                except ClientError as error:
                    code = error.response["Error"]["Code"]
                    if code not in _ABSENT | _DENIED:
                        raise
                    denied |= code in _DENIED
                    continue
                if location == failure:
                    said = content[:_QUOTED_CHARACTERS].decode("utf-8", errors="replace")
                    raise ModelFailed(f"{self.name} failed a request: {said}")
                return content
            if time.monotonic() >= deadline:
                raise self._nothing_came(answer, denied=denied)
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _take(self, location: str, limit: int) -> bytes:
        """Read an object and remove it."""
        bucket, key = _bucket_and_key(location)

        def take(s3: Any) -> bytes:
            found = s3.get_object(Bucket=bucket, Key=key)
            with found["Body"] as stream:
                content = read_body(stream, limit, self.name)
            with contextlib.suppress(ClientError):
                s3.delete_object(Bucket=bucket, Key=key)
            return content

        return self._s3.call(take)

    def _nothing_came(self, location: str | None, *, denied: bool) -> Exception:
        waited = f"{self.name} took a request, and gave no answer within {self._wait_seconds:.0f} s"
        if denied:
            # Without s3:ListBucket an object that is not there is denied too.
            bucket, _ = _bucket_and_key(str(location))
            return AsyncOutputNotReadable(
                f"{waited} that these credentials may read: allow s3:GetObject in the bucket {bucket}, and "
                "s3:ListBucket on it."
            )
        return EndpointUnavailable(
            f"{waited}: see whether an instance runs (`aws sagemaker describe-endpoint --endpoint-name {self.name}`), "
            f"and the log group /aws/sagemaker/Endpoints/{self.name}."
        )


class AsyncEmbedder(Embedder):
    """Embeds through an asynchronous endpoint, a batch per request.

    For looking at what an endpoint answers; who has a great deal to embed puts requests into S3 and reads the answers
    when a topic tells.
    """

    def __init__(self, model: "ModelInfo", endpoint: AsyncEndpoint, *, truncate: bool) -> None:
        """Prepare; nothing is called yet.

        Args:
            model: The model that the endpoint is expected to serve.
            endpoint: Who is asked.
            truncate: Cut texts that are longer than the model reads instead of refusing them.
        """
        super().__init__(model, Limits(max_bytes=_BODY_BYTES))
        self._endpoint = endpoint
        self._is_verified = False
        self._truncate = truncate

    def vector_identity(self) -> Mapping[str, Any]:
        """The model as this endpoint serves it, and whether it truncates."""
        return {
            **super().vector_identity(),
            "backend": "sagemaker-async",
            "address": self._endpoint.address,
            "endpoint": self._endpoint.name,
            "truncate": self._truncate,
        }

    def text_sizes(self) -> TextSizes:
        """Bytes that texts take in a request."""
        return TEXT_SIZES

    def embed_batch(self, texts: Sequence[str], kind: "Kind") -> "NDArray[np.float32]":
        """One ``InvokeEndpointAsync``; see :meth:`Embedder.embed_batch`."""
        body = request_body(self.info, texts, truncate=self._truncate, has_prompt=kind in self.prompts)
        request = json_bytes(body)
        if not self._is_verified:
            self._endpoint.verify(self.info)
            self._is_verified = True
        content = self._endpoint.ask(request, response_limit(len(texts), self.info.dimensions, len(request)))
        self.release_slot()
        return read_vectors(content, len(texts), pooling=None, normalized=self.info.normalized)


def _bucket_and_key(location: str) -> tuple[str, str]:
    bucket, _, key = location.removeprefix("s3://").partition("/")
    return bucket, key
