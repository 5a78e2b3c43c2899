"""Asynchronous endpoints: requests through ``InvokeEndpointAsync``, responses from S3."""

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from embedstack.aws.clients import AwsClient, require_account
from embedstack.calls.http_responses import read_body
from embedstack.costs.accounting import Service, fixed
from embedstack.costs.tariffs import SharedTariff
from embedstack.embedders.base import Embedder
from embedstack.embedders.batching import Limits, TextSizes
from embedstack.embedders.json_encoding import json_bytes
from embedstack.embedders.response_vectors import response_limit
from embedstack.embedders.sagemaker.invocation import JSON
from embedstack.embedders.sagemaker.model_identity import served_models
from embedstack.embedders.sagemaker.requests import TEXT_SIZES, request_body
from embedstack.embedders.sagemaker.responses import read_vectors
from embedstack.errors import ConfigurationError, EndpointUnavailable, ModelFailed

if TYPE_CHECKING:
    import boto3
    import numpy as np
    from numpy.typing import NDArray

    from embedstack.embedders.prompts import Kind
    from embedstack.models.model_info import ModelInfo
    from embedstack.settings.settings import Settings

__all__ = ["AsyncEmbedder", "AsyncEndpoint", "AsyncOutputNotReadable"]

#: Largest request that needs no object in S3 (API reference of InvokeEndpointAsync).
_BODY_BYTES = 128_000
# Limit of a response whose expected size is unknown.
_RESPONSE_BYTES = 64 * 1024 * 1024
#: Minimum of RequestTTLSeconds.
_LEAST_TTL_SECONDS = 60
_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.05, 2.0
_QUOTED_CHARACTERS = 300
_CONNECTIONS = 10
# The failure bucket may exist even if the response bucket does not.
_ABSENT = {"404", "NoSuchBucket", "NoSuchKey"}
_DENIED = {"403", "AccessDenied"}


class AsyncOutputNotReadable(ConfigurationError):
    """The endpoint accepted a request, and these credentials may not read its response."""


class AsyncEndpoint:
    """Calls an asynchronous endpoint and waits for the response."""

    def __init__(
        self,
        name: str,
        settings: "Settings",
        *,
        wait_seconds: float,
        concurrency: int = _CONNECTIONS,
        session: "boto3.Session | None" = None,
    ) -> None:
        """Create a client. No request is sent.

        Args:
            name: Name of the endpoint.
            settings: Region and address of AWS.
            wait_seconds: Longest wait for a response, in seconds.
            concurrency: Requests in flight at the same time.
            session: A custom boto3 session.

        Raises:
            ConfigurationError: No region is set, or it is not allowed.
        """
        self.name = name
        self._settings, self._session = settings, session
        self._wait_seconds = wait_seconds
        self._runtime = AwsClient("sagemaker-runtime", settings, max_connections=concurrency, session=session)
        self._s3 = AwsClient("s3", settings, max_connections=concurrency, session=session)

    @property
    def address(self) -> str:
        """URL of the service that is called."""
        return self._runtime.endpoint_url

    def invoke(self, body: bytes, limit: int = _RESPONSE_BYTES) -> bytes:
        """Send a JSON request and wait for its response.

        The response is deleted from S3 if the credentials allow that, since nothing else reads it.

        Args:
            body: The request, up to 128,000 bytes.
            limit: Largest valid response in bytes.

        Raises:
            AsyncOutputNotReadable: These credentials may not read the response.
            EndpointNotFound: The endpoint does not exist in this account and region.
            EndpointUnavailable: No response arrived in time, or AWS cannot be reached.
            IntegrityError: The response is larger than ``limit``.
            ModelFailed: The container failed, or its response could not be written to S3.
        """
        try:
            accepted = self._runtime.call(
                lambda client: client.invoke_endpoint_async(
                    EndpointName=self.name,
                    ContentType=JSON,
                    Accept=JSON,
                    Body=body,
                    # The caller has given up by then, so the request need not keep or start an instance.
                    RequestTTLSeconds=max(_LEAST_TTL_SECONDS, int(self._wait_seconds)),
                )
            )
            return self._await(accepted, limit)
        except (BotoCoreError, ClientError) as error:
            raise self._runtime.translate(error, resource=self.name) from error

    def verify(self, model: "ModelInfo", prompts: Mapping[str, str]) -> None:
        """Compare the endpoint's description with the expected model and prompts, if the credentials allow that.

        Raises:
            ModelMismatch: The description names another model.
            ConfigurationError: Its container and the client would both add a prompt, or the credentials belong to
                another account than AWS_ACCOUNT_ID.
        """
        require_account(self._settings, self._session)
        for served in served_models(self._settings, self.name, {}, self._session):
            served.require(model, prompts, f"Endpoint {self.name}")

    def _await(self, accepted: dict[str, Any], limit: int) -> bytes:
        output, failure = accepted.get("OutputLocation"), accepted.get("FailureLocation")
        deadline, pause, denied = time.monotonic() + self._wait_seconds, _PAUSE_SECONDS, False
        while True:
            for location in filter(None, (output, failure)):
                try:
                    content = self._take(location, limit)
                except ClientError as error:
                    code = error.response["Error"]["Code"]
                    if code not in _ABSENT | _DENIED:
                        raise
                    denied |= code in _DENIED
                    continue
                if location == failure:
                    message = content[:_QUOTED_CHARACTERS].decode("utf-8", errors="replace")
                    raise ModelFailed(f"{self.name} failed to process a request: {message}")
                return content
            if time.monotonic() >= deadline:
                raise self._timed_out(output, denied=denied)
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _take(self, location: str, limit: int) -> bytes:
        """Read an object and delete it."""
        bucket, key = _bucket_and_key(location)

        def take(s3: Any) -> bytes:
            response = s3.get_object(Bucket=bucket, Key=key)
            with response["Body"] as stream:
                content = read_body(stream, limit, self.name)
            with contextlib.suppress(ClientError):
                s3.delete_object(Bucket=bucket, Key=key)
            return content

        return self._s3.call(take)

    def _timed_out(self, location: str | None, *, denied: bool) -> Exception:
        waited = f"{self.name} accepted a request, but no response arrived within {self._wait_seconds:.0f} s"
        if denied:
            # Without s3:ListBucket, a missing object is denied too.
            bucket, _ = _bucket_and_key(str(location))
            return AsyncOutputNotReadable(
                f"{waited} that these credentials may read. Allow s3:GetObject and s3:ListBucket on the "
                f"bucket {bucket}."
            )
        return EndpointUnavailable(
            f"{waited}. Check that an instance runs (`aws sagemaker describe-endpoint --endpoint-name {self.name}`), "
            f"and the log group /aws/sagemaker/Endpoints/{self.name}."
        )


class AsyncEmbedder(Embedder):
    """Embeds with an asynchronous endpoint, one batch per request.

    A request waits in the endpoint's queue, also while the endpoint starts its first instance. The credentials need
    ``s3:GetObject`` and ``s3:ListBucket`` on the bucket of the responses.
    """

    def __init__(
        self,
        model: "ModelInfo",
        endpoint: AsyncEndpoint,
        *,
        truncate: bool,
        limits: Limits | None = None,
        prompts: Mapping[str, str] | None = None,
    ) -> None:
        """Create a client. No request is sent.

        Args:
            model: The expected model.
            endpoint: The endpoint.
            truncate: Truncate texts that are longer than the model reads instead of rejecting them.
            limits: Limits of one request. A request has at most 128,000 bytes.
            prompts: Text put before an input, by kind or context, in addition to the model's own prompts.
        """
        limits = limits or Limits()
        super().__init__(model, replace(limits, max_bytes=min(limits.max_bytes, _BODY_BYTES)), prompts=prompts)
        self._endpoint = endpoint
        self._is_verified = False
        self._truncate = truncate

    @property
    def service(self) -> Service:
        """The endpoint, which is billed by instance-hours."""
        return Service("sagemaker-async", self._endpoint.name, self.info.model_id, fixed(SharedTariff()))

    def vector_identity(self) -> Mapping[str, Any]:
        """The model, the endpoint that serves it, and whether it truncates."""
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
        """Send one ``InvokeEndpointAsync``; see :meth:`Embedder.embed_batch`."""
        body = request_body(self.info, texts, truncate=self._truncate, has_prompt=kind in self.prompts)
        request = json_bytes(body)
        if not self._is_verified:
            self._endpoint.verify(self.info, self.prompts)
            self._is_verified = True
        content = self._endpoint.invoke(request, response_limit(len(texts), self.info.dimensions, len(request)))
        self.release_slot()
        return read_vectors(content, len(texts), pooling=None, normalized=self.info.normalized)


def _bucket_and_key(location: str) -> tuple[str, str]:
    bucket, _, key = location.removeprefix("s3://").partition("/")
    return bucket, key
