"""Reranks in this process with the model server's cross-encoder. Needs the extra ``embedstack[server]``."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedstack.calls.process_local import PerProcess, keep_forever
from embedstack.costs.accounting import Service
from embedstack.embedders.batching import Limits
from embedstack.errors import ConfigurationError, ModelFailed
from embedstack.models.local_files import file_versions, require_model_folder
from embedstack.rerankers.base import Reranker
from embedstack.settings.settings import Settings, load_settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from embedstack.models.model_info import ModelInfo
    from embedstack_server.compute.cross_encoder import CrossEncoder

__all__ = ["LocalReranker"]

# Larger than a request over the network, since the cross-encoder makes its own batches.
_MAX_BYTES = 64 * 1024 * 1024


class LocalReranker(Reranker):
    """Reranks on this machine. The model is loaded with the first text and shared by all threads.

    A forked child and a copy load it again.
    """

    def __init__(
        self,
        model: "ModelInfo",
        *,
        folder: Path | None = None,
        settings: Settings | None = None,
        truncate: bool = False,
        raw_scores: bool = False,
    ) -> None:
        """Find the model's files; they are read with the first text.

        Args:
            model: The model.
            folder: Its folder in the format of transformers; defaults to the one in EMBEDSTACK_MODELS_DIR.
            settings: Configuration; read from the environment by default.
            truncate: Truncate pairs that are longer than the model reads instead of rejecting them.
            raw_scores: Return logits instead of the model's activation of them, which is a sigmoid by default.

        Raises:
            ConfigurationError: The model is not on this machine.
        """
        settings = settings or load_settings()
        # One request keeps all cores busy, while a second one is prepared.
        super().__init__(model, Limits(settings.embedding_local_batch_size, max_bytes=_MAX_BYTES, concurrency=2))
        folder = folder or require_model_folder(model.model_id, settings.embedstack_models_dir, model.revision)
        self._folder = folder.absolute()
        self._options = {"truncate": truncate, "raw_scores": raw_scores}
        # Its threads do not exist in a child, which loads the model again. Finalizing it would wait for them.
        self._cross_encoder = PerProcess(partial(_load, self._folder, model), discard=keep_forever)

    @property
    def service(self) -> Service:
        """The model in this process."""
        return Service("local", "", self.info.model_id)

    def score_identity(self) -> Mapping[str, Any]:
        """The model in these files, and the options of a request."""
        files = file_versions(self._folder)
        return {**super().score_identity(), "backend": "local", "files": files, **self._options}

    def score_batch(self, query: str, texts: Sequence[str]) -> "NDArray[np.float32]":
        """Run the model once; see :meth:`Reranker.score_batch`."""
        cross_encoder = self._cross_encoder.get()
        try:
            scores = cross_encoder.score(query, texts, truncate=self._options["truncate"])
        except RuntimeError as error:
            # Raised by the engine, for example when memory for the batch runs out.
            raise ModelFailed(f"The model failed in this process: {error}", retryable=True) from error
        self.count_tokens(scores.tokens)
        return scores.values(raw=self._options["raw_scores"])


def _load(folder: Path, info: "ModelInfo") -> "CrossEncoder":
    try:
        from embedstack_server.compute.cross_encoder import CrossEncoder  # noqa: PLC0415 - heavy, and an extra
        from embedstack_server.model.manifest import model_identity  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ConfigurationError(
            "Reranking in this process needs the extra: pip install 'embedstack[server]'."
        ) from error
    identity = model_identity(folder)
    if identity is not None:
        identity.require(info, f"The folder {folder}")
    return CrossEncoder.load(folder, model_id=info.model_id)
