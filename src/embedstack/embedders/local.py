"""Embeds in this process with the model server's encoder. Needs the extra ``embedstack[server]``.

``embedstack[torch]`` adds GPUs and architectures that the encoder does not support.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedstack.calls.process_local import PerProcess, keep_forever
from embedstack.costs.accounting import Service
from embedstack.embedders.base import Embedder
from embedstack.embedders.batching import Limits
from embedstack.errors import ConfigurationError, InputError, ModelFailed
from embedstack.models.local_files import file_versions, require_model_folder
from embedstack.settings.settings import Settings, load_settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from embedstack.embedders.prompts import Kind
    from embedstack.embedders.spans import Span
    from embedstack.models.model_info import ModelInfo
    from embedstack_server.compute.encoder import Encoder

__all__ = ["LocalEmbedder"]

# Larger than a request over the network, since the encoder makes its own batches.
_MAX_BYTES = 64 * 1024 * 1024


class LocalEmbedder(Embedder):
    """Embeds on this machine. The model is loaded with the first text and shared by all threads.

    A forked child and a copy load it again.
    """

    def __init__(
        self,
        model: "ModelInfo",
        *,
        folder: Path | None = None,
        device: str | None = None,
        settings: Settings | None = None,
        truncate: bool = False,
    ) -> None:
        """Find the model's files; they are read with the first text.

        Args:
            model: The model.
            folder: Its sentence-transformers folder; defaults to the one in EMBEDSTACK_MODELS_DIR.
            device: Defaults to EMBEDDING_DEVICE. ``cpu`` is this project's own engine; on a torch device such as
                ``cuda``, and on ``cpu:0``, sentence-transformers computes.
            settings: Configuration; read from the environment by default.
            truncate: Truncate texts that are longer than the model reads instead of rejecting them.

        Raises:
            ConfigurationError: The model is not on this machine.
        """
        settings = settings or load_settings()
        # One request keeps all cores busy, while a second one is prepared.
        super().__init__(model, Limits(settings.embedding_local_batch_size, max_bytes=_MAX_BYTES, concurrency=2))
        folder = folder or require_model_folder(model.model_id, settings.embedstack_models_dir, model.revision)
        self._truncate = truncate
        options: dict[str, Any] = {"model_id": model.model_id}
        self._device = device or settings.embedding_device
        if self._device != "cpu":
            options |= {"device": self._device, "batch_size": settings.embedding_local_batch_size}
        self._folder = folder.absolute()
        # Its threads do not exist in a child, which loads the model again. Finalizing it would wait for them.
        self._encoder = PerProcess(partial(_load, self._folder, model, options), discard=keep_forever)

    @property
    def service(self) -> Service:
        """The model in this process."""
        return Service("local", "", self.info.model_id)

    def vector_identity(self) -> Mapping[str, Any]:
        """The model in these files on this device, and whether it truncates."""
        return {
            **super().vector_identity(),
            "backend": "local",
            "files": file_versions(self._folder),
            "device": self._device,
            "truncate": self._truncate,
        }

    def embed_batch(self, texts: Sequence[str], kind: "Kind") -> "NDArray[np.float32]":
        """Run the model once; see :meth:`Embedder.embed_batch`."""
        encoder = self._encoder.get()
        shortened = self.info.dimensions if self.info.shortened_from else None
        encoder.check_dimensions(shortened)
        try:
            encoded = encoder.encode(texts, truncate=self._truncate, prompt=self._model_prompt(kind))
        except RuntimeError as error:
            # Raised by the engine, for example when memory for the batch runs out.
            raise ModelFailed(f"The model failed in this process: {error}", retryable=True) from error
        self.count_tokens(encoded.tokens)
        return encoded.vectors(shortened, normalize=self.info.normalized is not False)

    def embed_span_batch(
        self, texts: Sequence[str], spans: "Sequence[Sequence[Span]]", kind: "Kind"
    ) -> "list[NDArray[np.float32]]":
        """Run the model once and pool each span; see :meth:`Embedder.embed_spans`."""
        encoder = self._encoder.get()
        from embedstack_server.compute.late_chunking import SpanPooling  # noqa: PLC0415 - an extra
        from embedstack_server.http.requests import RequestError  # noqa: PLC0415 - an extra

        prompt = encoder.prompt(None, self._model_prompt(kind))
        try:
            tokenized = encoder.tokenize(texts, truncate=False, prompt=prompt, offsets=True)
            pooling = SpanPooling(tokenized, spans, prompt, normalize=self.info.normalized is not False)
            encoded = encoder.compute([text.ids for text in tokenized], pooling)
        except RequestError as error:
            raise InputError(error.message, index=error.index) from None
        except RuntimeError as error:
            raise ModelFailed(f"The model failed in this process: {error}", retryable=True) from error
        self.count_tokens(encoded.tokens)
        return encoded.derived

    def _model_prompt(self, kind: "Kind") -> str | None:
        """The prompt that the model adds: none if the texts already have one, otherwise its default."""
        return "" if kind in self.prompts else None


def _load(folder: Path, info: "ModelInfo", options: dict[str, Any]) -> "Encoder":
    try:
        from embedstack_server.compute.encoder import Encoder  # noqa: PLC0415 - heavy, and an extra
        from embedstack_server.model.manifest import model_identity  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ConfigurationError(
            "Embedding in this process needs the extra: pip install 'embedstack[server]'."
        ) from error
    identity = model_identity(folder)
    if identity is not None:
        identity.require(info, f"The folder {folder}")
    return Encoder.load(folder, **options)
