"""A model in this process, by the model server's own encoder. Needs the extra ``embedstack[serving]``.

With ``embedstack[torch]`` also on a GPU, and of architectures that the encoder does not compute itself.
"""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedstack.embedders.base import Embedder
from embedstack.embedders.batching import Limits
from embedstack.errors import ConfigurationError, InputError, ModelFailed
from embedstack.model_files import find_model_folder
from embedstack.settings import Settings, load_settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from embedstack.embedders.core import Kind
    from embedstack.embedders.spans import Span
    from embedstack.models import ModelInfo
    from embedstack.serving.encoder import Encoder

__all__ = ["LocalEmbedder"]

# More than a batch by length, since nothing is sent anywhere and the encoder makes its own batches.
_MAX_BYTES = 64 * 1024 * 1024


class LocalEmbedder(Embedder):
    """Embeds on this machine. The model is loaded with the first text and shared by all threads."""

    def __init__(
        self,
        model: "ModelInfo",
        *,
        folder: Path | None = None,
        device: str | None = None,
        settings: Settings | None = None,
        truncate: bool = False,
    ) -> None:
        """Find the model's files; they are read when the first text comes.

        Args:
            model: The model.
            folder: Its sentence-transformers folder; looked for in EMBEDSTACK_MODELS_DIR otherwise.
            device: A torch device such as ``cuda``, where sentence-transformers computes; ST_DEVICE otherwise. ``cpu``,
                the default, is this product's own computation, ``cpu:0`` is torch's on the processor.
            settings: Configuration; read from the environment otherwise.
            truncate: Cut texts that are longer than the model reads instead of refusing them.

        Raises:
            ConfigurationError: The model is not on this machine.
        """
        settings = settings or load_settings()
        # The encoder keeps all cores busy with one request; a second one is prepared meanwhile.
        super().__init__(model, Limits(settings.st_batch_size, max_bytes=_MAX_BYTES, concurrency=2))
        found = folder or find_model_folder(model.model_id, settings.embedstack_models_dir)
        if found is None:
            raise ConfigurationError(
                f"{model.model_id} is not on this machine: put its folder at "
                f"{settings.embedstack_models_dir / model.model_id}, or set EMBEDSTACK_MODELS_DIR."
            )
        self._folder = found
        self._device = device or settings.st_device
        self._batch_size = settings.st_batch_size
        self._truncate = truncate
        self._encoder: Encoder | None = None
        self._loading = threading.Lock()

    def embed_batch(self, texts: Sequence[str], kind: "Kind") -> "NDArray[np.float32]":
        """One pass of the model; see :meth:`Embedder.embed_batch`."""
        del kind  # its prompt is part of the texts
        encoder = self._load()
        shortened = self.info.dimensions if self.info.shortened_from else None
        encoder.check_dimensions(shortened)
        try:
            encoded = encoder.encode(texts, truncate=self._truncate)
        except RuntimeError as error:
            # What the engine raises, as when there is no memory left for the batch.
            raise ModelFailed(f"The model failed in this process: {error}", retryable=True) from error
        self.count_tokens(encoded.tokens)
        return encoded.vectors(shortened, normalize=self.info.normalized)

    def embed_span_batch(
        self, texts: Sequence[str], spans: "Sequence[Sequence[Span]]", kind: "Kind"
    ) -> "list[NDArray[np.float32]]":
        """One pass of the model, pooled per span; see :meth:`Embedder.embed_spans`."""
        del kind  # its prompt is part of the texts
        encoder = self._load()
        from embedstack.serving.requests import RequestError  # noqa: PLC0415 - an extra
        from embedstack.serving.spans import SpanPooling  # noqa: PLC0415 - an extra

        try:
            tokenized = encoder.tokenize(texts, truncate=False, offsets=True)
            pooling = SpanPooling(tokenized, spans, normalize=self.info.normalized)
            encoded = encoder.compute([text.ids for text in tokenized], pooling)
        except RequestError as error:
            raise InputError(error.message, index=error.index) from None
        except RuntimeError as error:
            raise ModelFailed(f"The model failed in this process: {error}", retryable=True) from error
        self.count_tokens(encoded.tokens)
        return encoded.derived

    def _load(self) -> "Encoder":
        with self._loading:
            if self._encoder is None:
                try:
                    from embedstack.serving.encoder import Encoder  # noqa: PLC0415 - heavy, and an extra
                except ImportError as error:
                    raise ConfigurationError(
                        "Embedding in this process needs more packages: pip install 'embedstack[serving]'."
                    ) from error
                options: dict[str, Any] = {"model_id": self.info.model_id}
                if self._device != "cpu":
                    options |= {"device": self._device, "batch_size": self._batch_size}
                self._encoder = Encoder.load(self._folder, **options)
            return self._encoder
