"""An Ollama server as an :class:`Embedder`: ``POST /api/embed``."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import urllib3

from embedstack.calls.http_responses import parse_json, read_body, response_errors, retry_after_seconds, token_count
from embedstack.calls.process_local import PerProcess, close_inherited_pools
from embedstack.costs.accounting import Service
from embedstack.embedders.base import Embedder
from embedstack.embedders.batching import Limits, TextSizes
from embedstack.embedders.json_encoding import json_bytes, json_text_sizes
from embedstack.embedders.response_vectors import read_rows, response_limit
from embedstack.errors import (
    EmbedStackError,
    EndpointNotFound,
    EndpointUnavailable,
    InputError,
    IntegrityError,
    ModelFailed,
    PayloadTooLarge,
    TextTooLong,
    Throttled,
)
from embedstack.settings.settings import Settings, load_settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from embedstack.embedders.prompts import Kind
    from embedstack.models.model_info import ModelInfo

__all__ = ["OllamaEmbedder"]

_CONNECT_TIMEOUT_SECONDS = 5
# The first request loads a model that is not in memory.
_READ_TIMEOUT_SECONDS = 120
_QUOTED_CHARACTERS = 300
# The envelope is the members' names and the brackets.
_TEXT_SIZES = json_text_sizes(envelope=256)
_NOT_CONNECTED = (urllib3.exceptions.ConnectTimeoutError, urllib3.exceptions.NewConnectionError)


class OllamaEmbedder(Embedder):
    """Embeds with a model that Ollama serves."""

    def __init__(
        self,
        model: "ModelInfo",
        *,
        name: str | None = None,
        settings: Settings | None = None,
        limits: Limits | None = None,
        truncate: bool = False,
    ) -> None:
        """Create a client. No request is sent.

        Args:
            model: The expected model.
            name: Ollama's name of the model; defaults to OLLAMA_MODEL.
            settings: Configuration; read from the environment by default.
            limits: Limits of one request. Ollama has none.
            truncate: Truncate texts that are longer than the model reads. Ollama does so silently by default; here they
                are rejected by default.
        """
        settings = settings or load_settings()
        super().__init__(model, limits or Limits(max_items=64, concurrency=4))
        self._url = settings.ollama_host.rstrip("/")
        self._name = name or settings.ollama_model
        self._source = f"Ollama at {self._url}"
        self._truncate = truncate
        read_timeout = settings.embedding_timeout_seconds or _READ_TIMEOUT_SECONDS
        self._http = PerProcess(
            partial(_connections, self.limits.concurrency, read_timeout), discard=close_inherited_pools
        )

    @property
    def service(self) -> Service:
        """The model on Ollama."""
        return Service("ollama", "", self.info.model_id)

    def text_sizes(self) -> TextSizes:
        """Bytes that texts take in a request."""
        return _TEXT_SIZES

    def vector_identity(self) -> Mapping[str, Any]:
        """The model of this name on this server, and whether it truncates."""
        return {
            **super().vector_identity(),
            "backend": "ollama",
            "address": self._url,
            "name": self._name,
            "truncate": self._truncate,
        }

    def embed_batch(self, texts: Sequence[str], kind: "Kind") -> "NDArray[np.float32]":
        """Send one ``/api/embed``; see :meth:`Embedder.embed_batch`."""
        del kind  # the texts already have its prompt
        body: dict[str, Any] = {"model": self._name, "input": list(texts), "truncate": self._truncate}
        if self.info.shortened_from is not None:
            body["dimensions"] = self.info.dimensions
        document = self._post(json_bytes(body), len(texts))
        tokens = token_count(document.get("prompt_eval_count"))
        if tokens is not None:
            self.count_tokens(tokens)
        return read_rows(document, len(texts), self._source)

    def close(self) -> None:
        """Release threads and connections."""
        super().close()
        manager = self._http.take()
        if manager is not None:
            manager.clear()

    def _post(self, body: bytes, count: int) -> dict[str, Any]:
        limit = response_limit(count, self.info.dimensions, len(body))
        try:
            with response_errors(self._source, passing=_NOT_CONNECTED):
                response = self._http.get().request(
                    "POST",
                    f"{self._url}/api/embed",
                    body=body,
                    # A compressed response could have any size.
                    headers={"Content-Type": "application/json", "Accept-Encoding": "identity"},
                    preload_content=False,
                    decode_content=False,
                )
        except _NOT_CONNECTED:
            raise EndpointUnavailable(
                f"Ollama does not respond at {self._url}. Start it with `ollama serve`, or set OLLAMA_HOST to its "
                "address."
            ) from None
        try:
            with response_errors(self._source):
                content = self._read(response, limit)
        except BaseException:
            response.close()
            raise
        finally:
            # A connection that is not returned is lost to the pool. A closed one is opened again.
            response.release_conn()
        if response.status != 200:
            self._refuse(response.status, content, response.headers.get("Retry-After"))
        self.release_slot()
        document = parse_json(content, self._source)
        if not isinstance(document, dict):
            raise IntegrityError(f"{self._source} sent JSON that is not an object. Check the server.")
        return document

    def _read(self, response: urllib3.BaseHTTPResponse, limit: int) -> bytes:
        encoding = response.headers.get("Content-Encoding", "identity")
        if encoding.strip().lower() not in ("", "identity"):
            raise IntegrityError(
                f"{self._source} sent a compressed response, which was not requested. Check the proxies on the way."
            )
        return read_body(response, limit, self._source)

    def _refuse(self, status: int, content: bytes, retry_after: str | None) -> NoReturn:
        try:
            reason = str(parse_json(content, self._source)["error"])[:_QUOTED_CHARACTERS]
        except (EmbedStackError, LookupError, TypeError):
            reason = f"{len(content)} bytes"
        seconds = retry_after_seconds(retry_after)
        match status:
            case 404:
                raise EndpointNotFound(
                    f"Ollama at {self._url} has no model {self._name!r}. Run `ollama pull {self._name}`. ({reason})"
                )
            case 413:
                raise PayloadTooLarge(f"The request is too large for Ollama ({reason}). Split the text.")
            case 400 | 422 if "context length" in reason:
                raise TextTooLong(f"The text is too long for the model: {reason}. Split it, or truncate it.")
            case 400 | 422:
                raise InputError(f"Ollama rejected the request: {reason}")
            case 429:
                raise Throttled(f"Ollama is overloaded: {reason}", retry_after=seconds)
            case 503:
                raise EndpointUnavailable(f"Ollama is busy: {reason}", retry_after=seconds)
            case _:
                raise ModelFailed(f"Ollama failed ({status}): {reason}", original_status=status, retryable=True)


def _connections(maximum: int, read_timeout: float) -> urllib3.PoolManager:
    return urllib3.PoolManager(
        maxsize=maximum,
        block=True,
        retries=False,
        timeout=urllib3.Timeout(connect=_CONNECT_TIMEOUT_SECONDS, read=read_timeout),
    )
