"""From texts to vectors on this machine's CPU."""

import logging
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import openvino as ov

from embedstack.errors import ConfigurationError, InputError, NonFiniteVector
from embedstack.serving.graph import build_graph
from embedstack.serving.model_folder import ModelFolder
from embedstack.serving.tokenizer import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

__all__ = ["Embeddings", "Encoder", "Precision"]

_logger = logging.getLogger(__name__)

Precision = Literal["bf16", "fp32"]

# Texts of one batch share its length, so a batch is bounded by its padded size and not by its count. Throughput was
# best near this size on two cores: larger batches fall out of the cache, smaller ones pay the call more often.
_TOKENS_PER_BATCH = 512


@dataclass(frozen=True, slots=True)
class Embeddings:
    """The vectors of one call.

    Attributes:
        vectors: float32 (texts, dimensions), in the order of the texts.
        token_counts: Tokens that the model read of each text.
    """

    vectors: "Vectors"
    token_counts: tuple[int, ...]


class Encoder:
    """A compiled model. Safe to call from several threads."""

    def __init__(self, folder: ModelFolder, precision: Precision) -> None:
        """Build and compile the graph; see :meth:`load`."""
        self.folder = folder
        self.precision = precision
        self._tokenizer = Tokenizer(folder.tokenizer, folder.max_tokens, folder.config.vocabulary_size)
        self._streams = os.cpu_count() or 1
        config = {
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
            "NUM_STREAMS": str(self._streams),
            "INFERENCE_NUM_THREADS": str(self._streams),
        }
        self._compiled = ov.Core().compile_model(build_graph(folder), "CPU", config)
        self._workers = ThreadPoolExecutor(self._streams, thread_name_prefix="encoder")
        self._request = threading.local()
        _logger.info(
            "model %s ready: %d dimensions, %d tokens, %s pooling, %s",
            folder.model_id, folder.dimensions, folder.max_tokens, folder.pooling, precision,
        )  # fmt: skip

    @classmethod
    def load(
        cls,
        folder: "Path",
        *,
        model_id: str | None = None,
        precision: Literal["auto", "bf16", "fp32"] = "auto",
    ) -> "Encoder":
        """Load a sentence-transformers folder.

        Args:
            folder: The model's folder.
            model_id: The name to report; the folder's own otherwise.
            precision: ``auto`` takes bfloat16 where the processor multiplies it natively, float32 elsewhere.

        Raises:
            ConfigurationError: The folder cannot be served, or the precision is not to be had on this processor.
        """
        has_bf16 = "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if precision == "bf16" and not has_bf16:
            raise ConfigurationError("This processor has no bfloat16 arithmetic; use the precision fp32 or auto.")
        chosen: Precision = "fp32" if precision == "fp32" or not has_bf16 else "bf16"
        return cls(ModelFolder.read(folder, model_id), chosen)

    def encode(
        self,
        texts: "Sequence[str]",
        *,
        normalize: bool = True,
        truncate: bool = True,
        dimensions: int | None = None,
        prompt_name: str | None = None,
    ) -> Embeddings:
        """One vector per text.

        Args:
            texts: The texts, none of them empty.
            normalize: Scale every vector to unit length.
            truncate: Cut a text that is longer than the model reads; otherwise such a text is an error.
            dimensions: Keep this many leading components, for models trained for it.
            prompt_name: Put the model's prompt of this name before every text.

        Raises:
            TextTooLong: A text is too long and ``truncate`` is off.
            InputError: A text is empty, or the model knows no such prompt or length.
            NonFiniteVector: The model computed a NaN or an infinity.
        """
        self._check_dimensions(dimensions)
        ids = self._tokenize(texts, truncate=truncate, prompt_name=prompt_name)
        vectors = np.empty((len(ids), self.folder.dimensions), np.float32)

        def infer(rows: "Sequence[int]") -> None:
            vectors[rows] = self._infer("pooled", *self._pad([ids[row] for row in rows]))

        list(self._workers.map(infer, _batches([len(tokens) for tokens in ids])))
        _check_finite(vectors)
        vectors = vectors[:, :dimensions]
        if normalize:
            vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)
        return Embeddings(vectors, tuple(map(len, ids)))

    def encode_tokens(self, texts: "Sequence[str]", *, truncate: bool = True) -> "list[Vectors]":
        """The last hidden state of each text, float32 (tokens, dimensions), special tokens included.

        Raises:
            TextTooLong: A text is too long and ``truncate`` is off.
            InputError: A text is empty.
            NonFiniteVector: The model computed a NaN or an infinity.
        """
        ids = self._tokenize(texts, truncate=truncate, prompt_name=None)
        hidden: dict[int, Vectors] = {}

        def infer(rows: "Sequence[int]") -> None:
            states = self._infer("hidden", *self._pad([ids[row] for row in rows]))
            for row, state in zip(rows, states, strict=True):
                hidden[row] = state[: len(ids[row])].copy()

        list(self._workers.map(infer, _batches([len(tokens) for tokens in ids])))
        ordered = [hidden[row] for row in range(len(ids))]
        for index, state in enumerate(ordered):
            if not np.isfinite(state).all():
                raise NonFiniteVector(f"The model computed a non-finite token vector for text {index}.", index=index)
        return ordered

    def _tokenize(self, texts: "Sequence[str]", *, truncate: bool, prompt_name: str | None) -> list[list[int]]:
        for index, text in enumerate(texts):
            if not text:
                raise InputError(f"Text {index} is empty; an empty text has no meaning to embed.", index=index)
        prompt = ""
        if prompt_name is not None:
            try:
                prompt = self.folder.prompts[prompt_name]
            except KeyError:
                known = ", ".join(sorted(self.folder.prompts)) or "none"
                raise InputError(f"The model has no prompt {prompt_name!r}; its prompts: {known}.") from None
        return self._tokenizer.encode([prompt + text for text in texts], truncate=truncate)

    def _check_dimensions(self, dimensions: int | None) -> None:
        allowed = (*self.folder.matryoshka_dimensions, self.folder.dimensions)
        if dimensions is not None and dimensions not in allowed:
            raise InputError(
                f"The model gives vectors of {' or '.join(map(str, allowed))} dimensions, not {dimensions}."
            )

    def _pad(self, ids: list[list[int]]) -> "tuple[NDArray[np.int32], NDArray[np.int32]]":
        width = max(map(len, ids))
        padded = np.full((len(ids), width), self._tokenizer.pad_id, np.int32)
        mask = np.zeros((len(ids), width), np.int32)
        for row, tokens in enumerate(ids):
            padded[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        return padded, mask

    def _infer(self, name: str, ids: "NDArray[np.int32]", mask: "NDArray[np.int32]") -> "Vectors":
        """One output of a batch, run in the calling worker's own inference request and valid until its next batch."""
        if not hasattr(self._request, "infer"):
            self._request.infer = self._compiled.create_infer_request()
        self._request.infer.infer({"input_ids": ids, "attention_mask": mask}, share_inputs=True)
        output: Vectors = self._request.infer.get_tensor(name).data
        return output


def _batches(lengths: "Sequence[int]") -> list[list[int]]:
    """Group rows of like length, longest first, so that little of a batch is padding."""
    batches: list[list[int]] = []
    width = 0
    for row in sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True):
        if not batches or (len(batches[-1]) + 1) * width > _TOKENS_PER_BATCH:
            batches.append([])
            width = lengths[row]
        batches[-1].append(row)
    return batches


def _check_finite(vectors: "Vectors") -> None:
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        index = int(np.argmin(finite))
        raise NonFiniteVector(f"The model computed a non-finite vector for text {index}.", index=index)
