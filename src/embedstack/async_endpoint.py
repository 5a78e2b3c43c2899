"""An endpoint that takes its requests from a queue: the request by ``InvokeEndpointAsync``, the answer from S3."""

import contextlib
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from embedstack.aws import create_client, translate_error
from embedstack.confidential import confidential
from embedstack.embedders.base import Embedder
from embedstack.embedders.batching import Limits
from embedstack.embedders.sagemaker_answers import JSON, read_answer
from embedstack.embedders.sagemaker_requests import ENVELOPE_BYTES, json_bytes, request_body, text_bytes
from embedstack.errors import ConfigurationError, EndpointUnavailable, ModelFailed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from embedstack.embedders.core import Kind
    from embedstack.models import ModelInfo
    from embedstack.settings import Settings

__all__ = ["AnswerOutOfReach", "AsyncEmbedder", "AsyncEndpoint"]

#: Bytes of a request that needs no object in S3 (API reference of InvokeEndpointAsync).
_BODY_BYTES = 128_000
#: RequestTTLSeconds must be at least this.
_LEAST_TTL_SECONDS = 60
_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.05, 2.0
_QUOTED_CHARACTERS = 300
# Without its bucket the answer cannot be there, and the failure can.
_ABSENT = {"404", "NoSuchBucket", "NoSuchKey"}
_DENIED = {"403", "AccessDenied"}


class AnswerOutOfReach(ConfigurationError):
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
        self._wait_seconds = wait_seconds
        self._runtime = create_client("sagemaker-runtime", settings)
        self._s3 = create_client("s3", settings)

    def ask(self, body: bytes) -> tuple[bytes, str]:
        """The answer to a request of JSON, up to 128,000 bytes, and its media type.

        The answer is removed from S3 where these credentials allow that: nobody else waits for it.

        Raises:
            AnswerOutOfReach: The answer may not be read.
            EndpointNotFound: There is no such endpoint in this account and region.
            EndpointUnavailable: There is no answer within the time to wait, or AWS cannot be reached.
            ModelFailed: The container failed, or its answer could not be put into S3.
        """
        try:
            with confidential():
                accepted = self._runtime.invoke_endpoint_async(
                    EndpointName=self.name,
                    ContentType=JSON,
                    Accept=JSON,
                    Body=body,
                    # Who asks has gone by then: the request need not keep an instance, or start one.
                    RequestTTLSeconds=max(_LEAST_TTL_SECONDS, int(self._wait_seconds)),
                )
                return self._await(accepted)
        except (BotoCoreError, ClientError) as error:
            raise translate_error(error, endpoint=self.name, region=self._runtime.meta.region_name) from error

    def _await(self, accepted: dict[str, Any]) -> tuple[bytes, str]:
        answer, failure = accepted.get("OutputLocation"), accepted.get("FailureLocation")
        deadline, pause, denied = time.monotonic() + self._wait_seconds, _PAUSE_SECONDS, False
        while True:
            for location in filter(None, (answer, failure)):
                try:
                    content, content_type = self._take(location)
                except ClientError as error:
                    code = error.response["Error"]["Code"]
                    if code not in _ABSENT | _DENIED:
                        raise
                    denied |= code in _DENIED
                    continue
                if location == failure:
                    said = content[:_QUOTED_CHARACTERS].decode("utf-8", errors="replace")
                    raise ModelFailed(f"{self.name} failed a request: {said}")
                return content, content_type
            if time.monotonic() >= deadline:
                raise self._nothing_came(answer, denied=denied)
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _take(self, location: str) -> tuple[bytes, str]:
        """Read an object and remove it."""
        bucket, key = _bucket_and_key(location)
        found = self._s3.get_object(Bucket=bucket, Key=key)
        with found["Body"] as stream:
            content = stream.read()
        with contextlib.suppress(ClientError):
            self._s3.delete_object(Bucket=bucket, Key=key)
        return content, found.get("ContentType", JSON)

    def _nothing_came(self, location: str | None, *, denied: bool) -> Exception:
        waited = f"{self.name} took a request, and gave no answer within {self._wait_seconds:.0f} s"
        if denied:
            # Without s3:ListBucket an object that is not there is denied too.
            bucket, _ = _bucket_and_key(str(location))
            return AnswerOutOfReach(
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
        self._truncate = truncate

    envelope_bytes = ENVELOPE_BYTES

    def request_bytes(self, text: str) -> int:
        """Bytes of the text and its comma as JSON."""
        return text_bytes(text)

    def embed_batch(self, texts: Sequence[str], kind: "Kind") -> "NDArray[np.float32]":
        """One ``InvokeEndpointAsync``; see :meth:`Embedder.embed_batch`."""
        body = request_body(self.info, texts, truncate=self._truncate, has_prompt=kind in self.prompts)
        content, content_type = self._endpoint.ask(json_bytes(body))
        self.received()
        return read_answer(content, content_type, pooling=None, normalized=self.info.normalized)


def _bucket_and_key(location: str) -> tuple[str, str]:
    bucket, _, key = location.removeprefix("s3://").partition("/")
    return bucket, key
