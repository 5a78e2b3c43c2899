"""From texts to vectors on this machine's CPU."""

import asyncio
import logging
import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import openvino as ov

from embedstack.errors import ConfigurationError, InputError, NonFiniteVector
from embedstack.serving.graph import INT8_GROUP_SIZE, build_graph
from embedstack.serving.model_folder import ModelFolder
from embedstack.serving.scheduler import Scheduler
from embedstack.serving.tokenizer import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

__all__ = ["Encoded", "Encoder", "Precision", "PrecisionSetting"]

_logger = logging.getLogger(__name__)

Precision = Literal["bf16", "fp32", "int8"]
# What may be asked for; "auto" becomes one of the above by the processor.
PrecisionSetting = Literal["auto", "bf16", "fp32", "int8"]

# Texts of one batch share its length, so a batch is bounded by its padded size and not by its count. Throughput was
# best near this size on two cores: larger batches fall out of the cache, smaller ones pay the call more often.
_TOKENS_PER_BATCH = 512
# Characters up to which tokenizing takes less time than handing it to another thread would.
_TOKENIZED_IN_LOOP = 2_000


@dataclass(frozen=True, slots=True)
class Encoded:
    """What the model computed for the texts of one call, in their order.

    Attributes:
        ids: Tokens that were read of each text, special tokens included.
        pooled: float32 (texts, dimensions), as pooled and not normalised.
        hidden: The last hidden state of each text, float32 (tokens, hidden size); empty unless it was asked for.
    """

    ids: list[list[int]]
    pooled: "Vectors"
    hidden: "list[Vectors]"

    @property
    def tokens(self) -> int:
        """Tokens read of all texts together."""
        return sum(map(len, self.ids))

    def vectors(self, dimensions: int | None = None, *, normalize: bool = True) -> "Vectors":
        """The texts' vectors, float32 (texts, dimensions), cut to their leading components and scaled to length 1."""
        vectors = self.pooled[:, :dimensions]
        return unit_rows(vectors) if normalize else vectors


class _Outputs(NamedTuple):
    """The tensors of one batch, valid until their worker's next."""

    pooled: "Vectors"
    hidden: "Vectors"


class Encoder:
    """A compiled model. Safe to call from several threads and tasks, which share its batches.

    Attributes:
        folder: The model's description.
        precision: The arithmetic that it computes in.
    """

    def __init__(self, folder: ModelFolder, precision: Precision) -> None:
        """Build and compile the graph; see :meth:`load`."""
        self.folder = folder
        self.precision = precision
        self._tokenizer = Tokenizer(folder.tokenizer, folder.max_tokens, folder.config.vocabulary_size)
        streams = os.cpu_count() or 1
        # What int8 leaves in floating point runs in bfloat16 where the processor has it.
        bf16 = precision == "bf16" or (precision == "int8" and _has_bf16())
        config = {
            "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
            "NUM_STREAMS": str(streams),
            "INFERENCE_NUM_THREADS": str(streams),
            **({"DYNAMIC_QUANTIZATION_GROUP_SIZE": str(INT8_GROUP_SIZE)} if precision == "int8" else {}),
        }
        self._compiled = ov.Core().compile_model(build_graph(folder, int8=precision == "int8"), "CPU", config)
        self._worker = threading.local()
        self._scheduler = Scheduler(self._infer, streams, _TOKENS_PER_BATCH)
        _logger.info(
            "model %s ready: %d dimensions, %d tokens, %s pooling, %s",
            folder.model_id, folder.dimensions, folder.max_tokens, folder.pooling, precision,
        )  # fmt: skip

    @classmethod
    def load(cls, folder: "Path", *, model_id: str | None = None, precision: PrecisionSetting = "auto") -> "Encoder":
        """Load a sentence-transformers folder.

        Args:
            folder: The model's folder.
            model_id: The name to report; the folder's own otherwise.
            precision: ``auto`` takes bfloat16 where the processor multiplies it natively, float32 elsewhere. ``int8``
                stores and multiplies the weights in eight bits: less memory, and vectors that are a little off.

        Raises:
            ConfigurationError: The folder cannot be served, or the precision is not to be had on this processor.
        """
        if precision == "bf16" and not _has_bf16():
            raise ConfigurationError("This processor has no bfloat16 arithmetic; use the precision fp32 or auto.")
        chosen: Precision = ("bf16" if _has_bf16() else "fp32") if precision == "auto" else precision
        return cls(ModelFolder.read(folder, model_id), chosen)

    def encode(
        self, texts: "Sequence[str]", *, truncate: bool = True, prompt_name: str | None = None, hidden: bool = False
    ) -> Encoded:
        """Run the model over texts.

        Args:
            texts: The texts, none of them empty.
            truncate: Cut a text that is longer than the model reads; otherwise such a text is an error.
            prompt_name: Put the model's prompt of this name before every text.
            hidden: Keep the last hidden states too.

        Raises:
            TextTooLong: A text is too long and ``truncate`` is off.
            InputError: A text is empty, or the model knows no such prompt.
            NonFiniteVector: The model computed a NaN or an infinity.
        """
        rows = _Rows(self._tokenize(texts, truncate, prompt_name), self.folder.dimensions, hidden=hidden)
        self._scheduler.submit(rows.ids, rows.deliver).result()
        return rows.encoded()

    async def aencode(
        self, texts: "Sequence[str]", *, truncate: bool = True, prompt_name: str | None = None, hidden: bool = False
    ) -> Encoded:
        """:meth:`encode` without holding up the event loop; rows that have not started are dropped when cancelled."""
        if sum(map(len, texts)) <= _TOKENIZED_IN_LOOP:
            ids = self._tokenize(texts, truncate, prompt_name)
        else:
            ids = await asyncio.to_thread(self._tokenize, texts, truncate, prompt_name)
        rows = _Rows(ids, self.folder.dimensions, hidden=hidden)
        await asyncio.wrap_future(self._scheduler.submit(ids, rows.deliver))
        return rows.encoded()

    def prompt(self, name: str | None) -> str:
        """The model's prompt of this name; empty for None.

        Raises:
            InputError: The model has no such prompt.
        """
        if name is None:
            return ""
        try:
            return self.folder.prompts[name]
        except KeyError:
            known = ", ".join(sorted(self.folder.prompts)) or "none"
            raise InputError(f"The model has no prompt {name!r}; its prompts: {known}.") from None

    def check_dimensions(self, dimensions: int | None) -> None:
        """Refuse a length to which the model's vectors may not be cut.

        Raises:
            InputError: The model was not trained for it.
        """
        allowed = (*self.folder.matryoshka_dimensions, self.folder.dimensions)
        if dimensions is not None and dimensions not in allowed:
            raise InputError(
                f"The model gives vectors of {' or '.join(map(str, allowed))} dimensions, not {dimensions}."
            )

    def token_offsets(self, text: str) -> list[tuple[int, int]]:
        """Where each token that is read of a text stands in it, as code points; (0, 0) for special tokens."""
        return self._tokenizer.offsets(text)

    def close(self) -> None:
        """End the worker threads."""
        self._scheduler.close()

    def _tokenize(self, texts: "Sequence[str]", truncate: bool, prompt_name: str | None) -> list[list[int]]:
        for index, text in enumerate(texts):
            if not text:
                raise InputError(f"Text {index} is empty; an empty text has no meaning to embed.", index=index)
        prompt = self.prompt(prompt_name)
        return self._tokenizer.encode([prompt + text for text in texts] if prompt else texts, truncate=truncate)

    def _infer(self, ids: list[list[int]]) -> _Outputs:
        """Run one batch in the calling worker's own inference request."""
        width = max(map(len, ids))
        padded = np.full((len(ids), width), self._tokenizer.pad_id, np.int32)
        mask = np.zeros((len(ids), width), np.int32)
        for row, tokens in enumerate(ids):
            padded[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        if not hasattr(self._worker, "request"):
            self._worker.request = self._compiled.create_infer_request()
        request = self._worker.request
        request.infer({"input_ids": padded, "attention_mask": mask}, share_inputs=True)
        return _Outputs(request.get_tensor("pooled").data, request.get_tensor("hidden").data)


class _Rows:
    """The rows of one call, filled as batches finish."""

    def __init__(self, ids: list[list[int]], dimensions: int, *, hidden: bool) -> None:
        self.ids = ids
        self._pooled = np.empty((len(ids), dimensions), np.float32)
        self._hidden: list[Vectors] | None = [self._pooled] * len(ids) if hidden else None

    def deliver(self, outputs: _Outputs, position: int, index: int) -> None:
        """Copy a row out of a batch."""
        self._pooled[index] = outputs.pooled[position]
        if self._hidden is not None:
            self._hidden[index] = outputs.hidden[position, : len(self.ids[index])].copy()

    def encoded(self) -> Encoded:
        """The finished rows, checked.

        Raises:
            NonFiniteVector: One of them holds a NaN or an infinity.
        """
        # A sum is finite only if every component is, and one number per row is quicker to look at.
        finite = np.isfinite(self._pooled.sum(axis=1))
        for index, states in enumerate(self._hidden or ()):
            finite[index] &= bool(np.isfinite(states.sum()))
        if not finite.all():
            index = int(np.argmin(finite))
            raise NonFiniteVector(f"The model computed a non-finite vector for text {index}.", index=index)
        return Encoded(self.ids, self._pooled, self._hidden or [])


def _has_bf16() -> bool:
    return "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def unit_rows(vectors: "Vectors") -> "Vectors":
    """Rows scaled to length 1; a row of zeros stays one."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Vectors = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
    return scaled
