"""An Ollama server as an :class:`Embedder`: ``POST /api/embed``."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import urllib3

from embedstack.embedders.base import Embedder
from embedstack.embedders.batching import Limits
from embedstack.errors import (
    DimensionMismatch,
    EndpointNotFound,
    EndpointUnavailable,
    InputError,
    IntegrityError,
    ModelFailed,
    PayloadTooLarge,
    Throttled,
)
from embedstack.settings import Settings, load_settings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from embedstack.embedders.core import Kind
    from embedstack.models import ModelInfo

__all__ = ["OllamaEmbedder"]

_CONNECT_TIMEOUT_SECONDS = 5
# A model that is not in memory is loaded by the first request.
_READ_TIMEOUT_SECONDS = 120
_QUOTED_CHARACTERS = 300


class OllamaEmbedder(Embedder):
    """Embeds by a model that Ollama serves."""

    # The members' names and the brackets of a request.
    envelope_bytes = 256

    def __init__(
        self,
        model: "ModelInfo",
        *,
        name: str | None = None,
        settings: Settings | None = None,
        limits: Limits | None = None,
        truncate: bool = False,
    ) -> None:
        """Prepare a client; nothing is called yet.

        Args:
            model: The model that is expected behind the name.
            name: Ollama's name of it; OLLAMA_MODEL otherwise.
            settings: Configuration; read from the environment otherwise.
            limits: What one request may carry. Ollama has no limits of its own.
            truncate: Cut texts that are longer than the model reads. Ollama does so silently by default; here they
                are refused by default.
        """
        settings = settings or load_settings()
        super().__init__(model, limits or Limits(max_items=64, concurrency=4))
        self._url = settings.ollama_host.rstrip("/")
        self._name = name or settings.ollama_model
        self._truncate = truncate
        self._http = urllib3.PoolManager(
            maxsize=self.limits.concurrency,
            block=True,
            retries=False,
            timeout=urllib3.Timeout(
                connect=_CONNECT_TIMEOUT_SECONDS, read=settings.embedding_timeout_seconds or _READ_TIMEOUT_SECONDS
            ),
        )

    def request_bytes(self, text: str) -> int:
        """Bytes of the text and its comma as JSON."""
        return len(json.dumps(text, ensure_ascii=False).encode("utf-8")) + 2

    def vector_identity(self) -> Mapping[str, Any]:
        """The model of that name on that server, and whether it truncates."""
        return {
            **super().vector_identity(),
            "backend": "ollama",
            "address": self._url,
            "name": self._name,
            "truncate": self._truncate,
        }

    def embed_batch(self, texts: Sequence[str], kind: "Kind") -> "NDArray[np.float32]":
        """One ``/api/embed``; see :meth:`Embedder.embed_batch`."""
        del kind  # its prompt is part of the texts
        body: dict[str, Any] = {"model": self._name, "input": list(texts), "truncate": self._truncate}
        if self.info.shortened_from is not None:
            body["dimensions"] = self.info.dimensions
        answer = self._post(json.dumps(body, ensure_ascii=False).encode("utf-8"))
        self.count_tokens(int(answer.get("prompt_eval_count") or 0))
        try:
            vectors = np.asarray(answer["embeddings"], np.float32)
        except (KeyError, TypeError):
            raise IntegrityError(f"Ollama at {self._url} answered without embeddings.") from None
        except ValueError:
            raise DimensionMismatch(f"Ollama at {self._url} answered vectors of unlike length.") from None
        return vectors.reshape(len(vectors), -1)

    def close(self) -> None:
        """Let go of threads and connections."""
        super().close()
        self._http.clear()

    def _post(self, body: bytes) -> dict[str, Any]:
        try:
            response = self._http.request(
                "POST", f"{self._url}/api/embed", body=body, headers={"Content-Type": "application/json"}
            )
        except (urllib3.exceptions.ConnectTimeoutError, urllib3.exceptions.NewConnectionError):
            raise EndpointUnavailable(
                f"Nothing answers at {self._url}: `ollama serve` starts Ollama; OLLAMA_HOST says where it is."
            ) from None
        except urllib3.exceptions.HTTPError as error:
            raise EndpointUnavailable(f"Ollama at {self._url} broke off: {type(error).__name__}.") from None
        if response.status != 200:
            self._refuse(response.status, response.data, response.headers.get("Retry-After"))
        self.received()
        try:
            answer: dict[str, Any] = json.loads(response.data)
        except ValueError:
            raise ModelFailed(
                f"Ollama answered {len(response.data)} bytes that are not JSON.", retryable=True
            ) from None
        return answer

    def _refuse(self, status: int, content: bytes, retry_after: str | None) -> NoReturn:
        try:
            said = str(json.loads(content)["error"])[:_QUOTED_CHARACTERS]
        except (ValueError, KeyError, TypeError):
            said = f"{len(content)} bytes"
        seconds = float(retry_after) if retry_after and retry_after.isdigit() else None
        match status:
            case 404:
                raise EndpointNotFound(
                    f"Ollama at {self._url} has no model {self._name!r}: `ollama pull {self._name}`. ({said})"
                )
            case 413:
                raise PayloadTooLarge(f"Ollama takes no such request: {said}")
            case 400 | 422:
                raise InputError(f"Ollama refused the request: {said}")
            case 429:
                raise Throttled(f"Ollama is overloaded: {said}", retry_after=seconds)
            case 503:
                raise EndpointUnavailable(f"Ollama is busy: {said}", retry_after=seconds)
            case _:
                raise ModelFailed(f"Ollama failed ({status}): {said}", original_status=status, retryable=True)
