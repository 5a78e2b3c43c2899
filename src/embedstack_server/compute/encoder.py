"""The encoder: tokenizes texts, schedules their batches and returns their vectors."""

import logging
import math
import reprlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from embedstack.errors import ConfigurationError, InputError, NonFiniteVector
from embedstack_server.compute.engine import Engine, OpenVinoEngine, Outputs, chosen_precision
from embedstack_server.compute.model_runner import ModelRunner
from embedstack_server.compute.scheduler import Workload
from embedstack_server.compute.static_engine import StaticEngine
from embedstack_server.model.architectures import UnsupportedArchitecture
from embedstack_server.model.embedding_folder import EmbeddingFolder, read_embedding_folder
from embedstack_server.model.manifest import Manifest
from embedstack_server.model.precision import PrecisionSetting
from embedstack_server.model.static_folder import StaticFolder
from embedstack_server.model.static_tokenizer import StaticTokenizer
from embedstack_server.model.tokenizer import PromptedTokens, TextInput, TokenizedText, Tokenizer, TruncationDirection

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from embedstack_server.model.served_model import ServedModel

    Vectors = NDArray[np.float32]

__all__ = ["Encoded", "Encoder", "HiddenHook"]

_logger = logging.getLogger(__name__)

#: Computes a result from a text's index and its last hidden state, float32 (tokens, hidden size). The hidden state is
#: valid only during the call. Called in a worker thread; must not raise.
HiddenHook = Callable[[int, "Vectors"], Any]

_TINY = np.finfo(np.float32).tiny


@dataclass(frozen=True, slots=True)
class Encoded:
    """The results for the texts of one call, in their order.

    Attributes:
        ids: Token ids of each text, special tokens included.
        pooled: Pooled vectors, not normalized, float32 (texts, dimensions).
        derived: Results of ``hidden_hook`` for each text; empty without a hook.
        layer_norm_before_cut: Whether a vector is layer-normalized before its leading components are taken.
    """

    ids: list[list[int]]
    pooled: "Vectors"
    derived: list[Any]
    layer_norm_before_cut: bool = False

    @property
    def tokens(self) -> int:
        """Total number of tokens of all texts."""
        return sum(map(len, self.ids))

    def vectors(self, dimensions: int | None = None, *, normalize: bool = True) -> "Vectors":
        """The texts' vectors, float32 (texts, dimensions): the leading components, scaled to unit length."""
        vectors = self.pooled
        if self.layer_norm_before_cut and dimensions is not None and dimensions < vectors.shape[1]:
            vectors = _layer_normed(vectors)
        vectors = vectors[:, :dimensions]
        return unit_rows(vectors) if normalize else vectors


class Encoder:
    """A loaded model. Safe to call from several threads and tasks, whose texts share batches.

    Attributes:
        model: The model's description.
        precision: Arithmetic that it computes in.
    """

    def __init__(self, model: "ServedModel", tokenizer: Tokenizer | StaticTokenizer, engine: Engine) -> None:
        """Combine a model's parts; see :meth:`load`."""
        self.model = model
        self.precision = engine.precision
        self._tokenizer = tokenizer
        self._runner = ModelRunner(engine)
        _logger.info(
            "model %s ready: %d dimensions, %d tokens, %s pooling, %s",
            model.model_id, model.dimensions, model.max_tokens, model.pooling, engine.precision,
        )  # fmt: skip

    @classmethod
    def load(
        cls,
        folder: "Path",
        *,
        model_id: str | None = None,
        precision: PrecisionSetting = "auto",
        device: str | None = None,
        batch_size: int = 32,
    ) -> "Encoder":
        """Load a sentence-transformers folder. A package is first verified against its manifest.

        Args:
            folder: The model's folder.
            model_id: Name to report; defaults to the folder's own.
            precision: ``auto`` uses the precision of a package; without a package, bfloat16 if the processor or the
                GPU multiplies it natively (on a GPU, only if the vectors stay accurate), otherwise float32. ``int8``
                stores and multiplies weights as 8-bit integers, which takes less memory and makes vectors slightly
                less accurate.
            device: Torch device such as ``cuda``, on which sentence-transformers runs the model. With None or ``cpu``,
                :class:`OpenVinoEngine` runs the model if it supports the architecture. ``auto`` is ``cuda`` on a
                machine with a GPU for which torch is installed, otherwise ``cpu``.
            batch_size: Texts of 256 tokens per batch of sentence-transformers; ignored by :class:`OpenVinoEngine`.

        Raises:
            ConfigurationError: The model is not supported, a file of a package is missing or damaged, the processor
                does not support the precision, or sentence-transformers is needed but not installed.
        """
        if manifest := Manifest.read_optional(folder):
            manifest.verify()
            model_id = model_id or manifest.model_id
            precision = manifest.precision if precision == "auto" else precision
        if device == "auto":
            device = "cuda" if _has_gpu() else "cpu"
        if device not in (None, "cpu"):
            return cls._of_torch(folder, model_id, precision, device, batch_size)
        try:
            model = read_embedding_folder(folder, model_id)
        except UnsupportedArchitecture as error:
            return cls._of_torch(folder, model_id, precision, device, batch_size, error)
        if manifest:
            manifest.check_model(model)
        return cls.of_folder(model, precision)

    @classmethod
    def of_folder(cls, model: EmbeddingFolder, precision: PrecisionSetting) -> "Encoder":
        """Compile a folder that was already read; see :meth:`load`.

        Raises:
            ConfigurationError: The weights or the tokenizer cannot be read, or the precision is not supported.
        """
        if isinstance(model, StaticFolder):
            return cls(model, StaticTokenizer(model), StaticEngine(model, precision))
        chosen = chosen_precision(precision)
        tokenizer = Tokenizer(model.tokenizer, model.max_tokens, model.config.vocabulary_size)
        return cls(model, tokenizer, OpenVinoEngine(model, chosen, tokenizer.pad_id))

    @classmethod
    def _of_torch(
        cls,
        folder: "Path",
        model_id: str | None,
        precision: PrecisionSetting,
        device: str | None,
        batch_size: int,
        unsupported: UnsupportedArchitecture | None = None,
    ) -> "Encoder":
        try:
            from embedstack_server.compute.sentence_transformers_engine import (  # noqa: PLC0415 - slow import of an optional extra
                SentenceTransformersEngine,
                SentenceTransformersModel,
                load_fastest,
            )
        except ImportError as error:
            raise unsupported or ConfigurationError(
                f"{folder} cannot run on {device} without sentence-transformers: pip install 'embedstack[torch]'."
            ) from error
        if precision == "auto":
            model = load_fastest(folder, model_id, device)
        else:
            model = SentenceTransformersModel.read(folder, model_id, device=device, precision=precision)
        tokenizer = Tokenizer(model.tokenizer, model.max_tokens)
        return cls(model, tokenizer, SentenceTransformersEngine(model, tokenizer.pad_id, batch_size=batch_size))

    def encode(
        self,
        texts: "Sequence[TextInput]",
        *,
        truncate: bool = True,
        direction: TruncationDirection = "right",
        prompt_name: str | None = None,
        prompt: str | None = None,
        hidden_hook: HiddenHook | None = None,
    ) -> Encoded:
        """Run the model over texts.

        Args:
            texts: Non-empty texts, or lists of token ids.
            truncate: Truncate texts that are longer than the model reads, instead of raising an error.
            direction: Which end of a long text is cut off.
            prompt_name: Name of the model's prompt to prepend to every text; defaults to the model's default prompt,
                if it has one.
            prompt: Text to prepend to every text instead; "" for none.
            hidden_hook: Computes a result from each text's last hidden state, as soon as its batch is done.

        Raises:
            TextTooLong: A text is too long and ``truncate`` is off.
            InputError: A text is empty, or the model has no such prompt.
            NonFiniteVector: The model computed a NaN or an infinity.
        """
        tokenized = self.tokenize(texts, truncate=truncate, direction=direction, prompt_name=prompt_name, prompt=prompt)
        return self.compute([text.ids for text in tokenized], hidden_hook)

    async def aencode(
        self,
        texts: "Sequence[TextInput]",
        *,
        truncate: bool = True,
        direction: TruncationDirection = "right",
        prompt_name: str | None = None,
        prompt: str | None = None,
        hidden_hook: HiddenHook | None = None,
    ) -> Encoded:
        """:meth:`encode` without blocking the event loop; cancelling drops the rows that have not started."""
        tokenized = await self.atokenize(
            texts, truncate=truncate, direction=direction, prompt_name=prompt_name, prompt=prompt
        )
        return await self.acompute([text.ids for text in tokenized], hidden_hook)

    def tokenize(
        self,
        texts: "Sequence[TextInput]",
        *,
        truncate: bool = True,
        direction: TruncationDirection = "right",
        prompt_name: str | None = None,
        prompt: str | None = None,
        offsets: bool = False,
        most_tokens: int | None = None,
    ) -> list[TokenizedText]:
        """The tokens of :meth:`encode`; see :meth:`Tokenizer.tokenize`.

        Raises:
            PayloadTooLarge: The texts have more than ``most_tokens`` tokens in total.
            TextTooLong: A text is too long and ``truncate`` is off.
            InputError: A text is empty, or the model has no such prompt.
        """
        for index, text in enumerate(texts):
            if not text:
                raise InputError(f"Text {index} is empty. Remove it, or send a non-empty text.", index=index)
        prefix = self.prompt(prompt_name, prompt)

        def tokenized() -> list[TokenizedText]:
            tokens = self._tokenizer.tokenize(
                texts,
                truncate=truncate,
                direction=direction,
                prompt=prefix,
                offsets=offsets,
                most_tokens=most_tokens,
            )
            if not prefix or self.model.pools_prompt:
                return tokens
            length = self._tokenizer.prompt_length(prefix)
            return [
                TokenizedText(PromptedTokens(text.ids, min(length, len(text.ids) - 1)), text.offsets) for text in tokens
            ]

        return self._runner.tokenize(tokenized)

    async def atokenize(self, texts: "Sequence[TextInput]", **options: Any) -> list[TokenizedText]:
        """:meth:`tokenize` without blocking the event loop."""
        return await self._runner.in_background(lambda: self.tokenize(texts, **options), sum(map(len, texts)))

    async def acount(self, text: str) -> int:
        """Number of tokens of a whole text, special tokens included, even beyond the model's limit.

        Raises:
            TextTooLong: The text is too long to be tokenized.
        """
        return await self._runner.in_background(lambda: self._tokenizer.count(text), len(text))

    def compute(self, ids: list[list[int]], hidden_hook: HiddenHook | None = None) -> Encoded:
        """Run the model over tokenized texts; see :meth:`encode`.

        Raises:
            NonFiniteVector: The model computed a NaN or an infinity.
        """
        rows = _Rows(ids, self.model, hidden_hook)
        self._runner.compute(ids, rows.deliver)
        return rows.encoded()

    async def acompute(self, ids: list[list[int]], hidden_hook: HiddenHook | None = None) -> Encoded:
        """:meth:`compute` without blocking the event loop; cancelling drops the rows that have not started."""
        rows = _Rows(ids, self.model, hidden_hook)
        await self._runner.acompute(ids, rows.deliver)
        return rows.encoded()

    def prompt(self, name: str | None, text: str | None = None) -> str:
        """The prompt to prepend to a text, chosen as by sentence-transformers' ``encode``.

        Args:
            name: Name of one of the model's prompts; None for its default prompt.
            text: The prompt itself; overrides ``name``.

        Raises:
            InputError: The model has no such prompt.
        """
        if text is not None:
            return text
        if name is None:
            name = self.model.default_prompt_name
        if name is None:
            return ""
        try:
            return self.model.prompts[name]
        except KeyError:
            prompts = ", ".join(sorted(self.model.prompts)) or "none"
            raise InputError(f"The model has no prompt {reprlib.repr(name)}; its prompts: {prompts}.") from None

    def check_dimensions(self, dimensions: int | None) -> None:
        """Check the requested length of a vector.

        Raises:
            InputError: The model was not trained for this number of dimensions.
        """
        allowed = (*self.model.matryoshka_dimensions, self.model.dimensions)
        if dimensions is not None and dimensions not in allowed:
            raise InputError(
                f"The model supports vectors of {' or '.join(map(str, allowed))} dimensions, not {dimensions}."
            )

    @property
    def is_healthy(self) -> bool:
        """Whether texts can be embedded: False after a worker thread failed, or after :meth:`close`."""
        return self._runner.is_healthy

    def workload(self) -> Workload:
        """What waits to be computed, and what was computed."""
        return self._runner.workload()

    def close(self) -> None:
        """Stop the worker threads."""
        self._runner.close()


class _Rows:
    """The rows of one call, filled as batches finish."""

    def __init__(self, ids: list[list[int]], model: "ServedModel", hidden_hook: HiddenHook | None) -> None:
        self.ids = ids
        self._layer_norm = model.matryoshka_layer_norm
        self._pooled = np.empty((len(ids), model.dimensions), np.float32)
        self._hidden_hook = hidden_hook
        self._derived: list[Any] = [None] * len(ids) if hidden_hook else []
        self._non_finite: list[int] = []  # indices of texts with a non-finite hidden state

    def deliver(self, outputs: Outputs, position: int, index: int) -> None:
        """Copy a row from a batch's outputs."""
        self._pooled[index] = outputs.pooled[position]
        if self._hidden_hook is None:
            return
        # Hidden states are not kept: they are hundreds of times larger than what is derived from them.
        hidden = outputs.hidden(position)[: len(self.ids[index])]
        if np.isfinite(hidden).all():
            self._derived[index] = self._hidden_hook(index, hidden)
        else:
            self._non_finite.append(index)

    def encoded(self) -> Encoded:
        """Check and return the finished rows.

        Raises:
            NonFiniteVector: A row contains NaN or infinity.
        """
        # A sum is finite only if every number is, and checking one number is faster.
        if self._non_finite or not math.isfinite(self._pooled.sum()):
            rows = [index for index, pooled in enumerate(self._pooled) if not np.isfinite(pooled).all()]
            if non_finite := rows + self._non_finite:
                index = min(non_finite)
                raise NonFiniteVector(f"The model computed a non-finite vector for text {index}.", index=index)
        return Encoded(self.ids, self._pooled, self._derived, self._layer_norm)


def _layer_normed(vectors: "Vectors") -> "Vectors":
    """Layer normalization without a scale and a shift, with torch's default epsilon."""
    centred = vectors - vectors.mean(axis=1, keepdims=True)
    normed: Vectors = centred / np.sqrt(np.square(centred).mean(axis=1, keepdims=True) + np.float32(1e-5))
    return normed


def unit_rows(vectors: "Vectors") -> "Vectors":
    """Rows scaled to unit length; a row of zeros stays unchanged."""
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))  # takes a third of the time of linalg.norm for one row
    scaled: Vectors = vectors / np.maximum(lengths, _TINY)[:, np.newaxis]
    return scaled


def _has_gpu() -> bool:
    try:
        import torch  # noqa: PLC0415 - slow import of an optional extra
    except ImportError:
        return False
    return bool(torch.cuda.is_available())
