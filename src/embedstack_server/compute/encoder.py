"""From texts to vectors on this machine's CPU."""

import asyncio
import logging
import math
import reprlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from embedstack.calls.process_local import Origin
from embedstack.errors import ConfigurationError, InputError, NonFiniteVector
from embedstack_server.compute.engine import Engine, OpenVinoEngine, Outputs, has_bf16
from embedstack_server.compute.exit_gate import ExitGate
from embedstack_server.compute.future_waiter import FutureWaiter
from embedstack_server.compute.scheduler import Scheduler
from embedstack_server.model.architectures import ArchitectureNotServed
from embedstack_server.model.manifest import Manifest
from embedstack_server.model.model_folder import ModelFolder
from embedstack_server.model.precision import Precision, PrecisionSetting
from embedstack_server.model.tokenizer import TextInput, TokenizedText, Tokenizer, TruncationDirection

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from embedstack_server.model.served_model import ServedModel

    Vectors = NDArray[np.float32]

__all__ = ["Encoded", "Encoder", "HiddenHook"]

_logger = logging.getLogger(__name__)

#: Computes a result from a text's position and its last hidden state, float32 (tokens, hidden size), which is valid
#: only during the call. Called in a worker thread; must not fail.
HiddenHook = Callable[[int, "Vectors"], Any]

_TINY = np.finfo(np.float32).tiny
# Characters up to which tokenizing takes less time than handing it to another thread would.
_TOKENIZED_IN_LOOP = 2_000
# Characters from which a call waits for others as large: one at a time bounds the memory that tokenizing takes.
_TOKENIZED_ALONE = 100_000
_FORKED = (
    "The model was loaded before this process was forked, and its threads do not exist here: load it in this process."
)


@dataclass(frozen=True, slots=True)
class Encoded:
    """What the model computed for the texts of one call, in their order.

    Attributes:
        ids: Tokens that were read of each text, special tokens included.
        pooled: float32 (texts, dimensions), as pooled and not normalised.
        derived: What ``hidden_hook`` returned for each text; empty without it.
    """

    ids: list[list[int]]
    pooled: "Vectors"
    derived: list[Any]

    @property
    def tokens(self) -> int:
        """Tokens read of all texts together."""
        return sum(map(len, self.ids))

    def vectors(self, dimensions: int | None = None, *, normalize: bool = True) -> "Vectors":
        """The texts' vectors, float32 (texts, dimensions), cut to their leading components and scaled to length 1."""
        vectors = self.pooled[:, :dimensions]
        return unit_rows(vectors) if normalize else vectors


class Encoder:
    """A model that is ready. Safe to call from several threads and tasks, which share its batches.

    Attributes:
        model: The model's description.
        precision: The arithmetic that it computes in.
    """

    def __init__(self, model: "ServedModel", tokenizer: Tokenizer, engine: Engine) -> None:
        """Put a model together; see :meth:`load`."""
        self.model = model
        self.precision = engine.precision
        self._tokenizer = tokenizer
        self._engine = engine
        self._waiter: FutureWaiter | None = None
        self._origin = Origin()
        self._gate = ExitGate()
        self._large_texts = ThreadPoolExecutor(1, "tokenize-large-texts")
        self._scheduler = Scheduler(self._run, engine.workers, engine.tokens_per_batch)
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
        """Load a sentence-transformers folder; one that was packaged is compared with its manifest first.

        Args:
            folder: The model's folder.
            model_id: The name to report; the folder's own otherwise.
            precision: ``auto`` takes what a packaged model was packaged for; otherwise bfloat16 where the processor
                multiplies it natively, and float32 elsewhere. ``int8`` stores and multiplies the weights in eight bits:
                less memory, and vectors that are a little off.
            device: A torch device such as ``cuda``: the model runs there, by sentence-transformers. None and ``cpu``
                mean this product's own computation on the processor, for every architecture that it has.
            batch_size: Texts of 256 tokens in one of sentence-transformers' batches; ours need no such limit.

        Raises:
            ConfigurationError: The folder cannot be served, a file of a package is missing or damaged, the precision
                is not to be had on this processor, or sentence-transformers is needed and not installed.
        """
        if manifest := Manifest.read_optional(folder):
            manifest.verify()
            model_id = model_id or manifest.model_id
            precision = manifest.precision if precision == "auto" else precision
        if device not in (None, "cpu"):
            return cls._of_torch(folder, model_id, precision, device, batch_size)
        try:
            model = ModelFolder.read(folder, model_id)
        except ArchitectureNotServed as error:
            return cls._of_torch(folder, model_id, precision, device, batch_size, error)
        if manifest:
            manifest.check_model(model)
        return cls.of_folder(model, precision)

    @classmethod
    def of_folder(cls, model: ModelFolder, precision: PrecisionSetting) -> "Encoder":
        """Compile a folder that is read already; see :meth:`load`.

        Raises:
            ConfigurationError: The weights or the tokenizer cannot be read, or the precision is not to be had.
        """
        if precision == "bf16" and not has_bf16():
            raise ConfigurationError("This processor has no bfloat16 arithmetic; use the precision fp32 or auto.")
        chosen: Precision = ("bf16" if has_bf16() else "fp32") if precision == "auto" else precision
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
        refusal: ArchitectureNotServed | None = None,
    ) -> "Encoder":
        try:
            from embedstack_server.compute.sentence_transformers_engine import (  # noqa: PLC0415 - heavy, and an extra
                SentenceTransformersEngine,
                SentenceTransformersModel,
            )
        except ImportError as error:
            why = refusal or f"{folder} cannot run on {device} without sentence-transformers."
            raise ConfigurationError(
                f"{why} sentence-transformers serves it where it is installed: pip install 'embedstack[torch]'."
            ) from error
        chosen: Precision = "fp32" if precision == "auto" else precision
        model = SentenceTransformersModel.read(folder, model_id, device=device, precision=chosen)
        tokenizer = Tokenizer(model.tokenizer, model.max_tokens)
        return cls(model, tokenizer, SentenceTransformersEngine(model, chosen, tokenizer.pad_id, batch_size=batch_size))

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
            texts: The texts, or their token ids; none of them empty.
            truncate: Cut a text that is longer than the model reads; otherwise such a text is an error.
            direction: Which end of a long text is cut off.
            prompt_name: Put the model's prompt of this name before every text; its default prompt, where it has one,
                is put there otherwise.
            prompt: Put this before every text instead; "" for nothing.
            hidden_hook: Computes a result from each text's last hidden state, as soon as its batch is done.

        Raises:
            TextTooLong: A text is too long and ``truncate`` is off.
            InputError: A text is empty, or the model knows no such prompt.
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
        """:meth:`encode` without holding up the event loop; rows that have not started are dropped when cancelled."""
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
            PayloadTooLarge: The texts have more than ``most_tokens`` tokens together.
            TextTooLong: A text is too long and ``truncate`` is off.
            InputError: A text is empty, or the model knows no such prompt.
        """
        self._origin.check(_FORKED)
        for index, text in enumerate(texts):
            if not text:
                raise InputError(f"Text {index} is empty; an empty text has no meaning to embed.", index=index)
        with self._gate:
            return self._tokenizer.tokenize(
                texts,
                truncate=truncate,
                direction=direction,
                prompt=self.prompt(prompt_name, prompt),
                offsets=offsets,
                most_tokens=most_tokens,
            )

    async def atokenize(self, texts: "Sequence[TextInput]", **options: Any) -> list[TokenizedText]:
        """:meth:`tokenize` without holding up the event loop."""
        size = sum(map(len, texts))
        if size <= _TOKENIZED_IN_LOOP:
            return self.tokenize(texts, **options)
        executor = self._large_texts if size > _TOKENIZED_ALONE else None
        return await asyncio.get_running_loop().run_in_executor(executor, lambda: self.tokenize(texts, **options))

    async def acount(self, text: str) -> int:
        """Tokens of a whole text, special tokens included, whatever the model reads.

        Raises:
            TextTooLong: The text is too long to be tokenized.
        """
        return await asyncio.get_running_loop().run_in_executor(self._large_texts, self._tokenizer.count, text)

    def compute(self, ids: list[list[int]], hidden_hook: HiddenHook | None = None) -> Encoded:
        """Run the model over tokenized texts; see :meth:`encode`.

        Raises:
            NonFiniteVector: The model computed a NaN or an infinity.
        """
        rows = _Rows(ids, self.model.dimensions, hidden_hook)
        if len(rows.ids) == 1 and self._scheduler.claim():
            # Nobody else is there: no other thread needs to be woken for it.
            try:
                with self._gate:
                    rows.deliver(self._engine.run_alone(rows.ids[0]), 0, 0)
            finally:
                self._scheduler.release()
        else:
            self._scheduler.submit(rows.ids, rows.deliver).result()
        return rows.encoded()

    async def acompute(self, ids: list[list[int]], hidden_hook: HiddenHook | None = None) -> Encoded:
        """:meth:`compute` without holding up the event loop; rows that have not started are dropped when cancelled."""
        rows = _Rows(ids, self.model.dimensions, hidden_hook)
        future = self._scheduler.submit(ids, rows.deliver)
        await self._waiter_of(asyncio.get_running_loop()).wait(future)
        return rows.encoded()

    def prompt(self, name: str | None, text: str | None = None) -> str:
        """What is put before a text, as sentence-transformers' ``encode`` decides it.

        Args:
            name: A prompt of the model; its default prompt for None.
            text: The prompt itself; it wins over the name.

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
            known = ", ".join(sorted(self.model.prompts)) or "none"
            raise InputError(f"The model has no prompt {reprlib.repr(name)}; its prompts: {known}.") from None

    def check_dimensions(self, dimensions: int | None) -> None:
        """Refuse a length to which the model's vectors may not be cut.

        Raises:
            InputError: The model was not trained for it.
        """
        allowed = (*self.model.matryoshka_dimensions, self.model.dimensions)
        if dimensions is not None and dimensions not in allowed:
            raise InputError(
                f"The model gives vectors of {' or '.join(map(str, allowed))} dimensions, not {dimensions}."
            )

    @property
    def is_healthy(self) -> bool:
        """Whether texts can be embedded: False once a worker thread has died, or after :meth:`close`."""
        return self._scheduler.is_healthy

    def close(self) -> None:
        """End the worker threads."""
        self._large_texts.shutdown(wait=False, cancel_futures=True)
        self._scheduler.close()

    def _waiter_of(self, loop: asyncio.AbstractEventLoop) -> FutureWaiter:
        wakeups = self._waiter
        if wakeups is None or wakeups.loop is not loop:
            # A loop that comes in between keeps its own: whoever waits in it holds on to it.
            wakeups = self._waiter = FutureWaiter(loop)
        return wakeups

    def _run(self, ids: list[list[int]], alone: bool) -> Outputs:
        with self._gate:
            return self._engine.run_alone(ids[0]) if alone and len(ids) == 1 else self._engine.run(ids)


class _Rows:
    """The rows of one call, filled as batches finish."""

    def __init__(self, ids: list[list[int]], dimensions: int, hidden_hook: HiddenHook | None) -> None:
        self.ids = ids
        self._pooled = np.empty((len(ids), dimensions), np.float32)
        self._hidden_hook = hidden_hook
        self._derived: list[Any] = [None] * len(ids) if hidden_hook else []
        self._non_finite: list[int] = []  # texts whose hidden states are

    def deliver(self, outputs: Outputs, position: int, index: int) -> None:
        """Take a row out of a batch."""
        self._pooled[index] = outputs.pooled[position]
        if self._hidden_hook is None:
            return
        # Hidden states are hundreds of times as large as what is made of them: a batch's are not kept.
        hidden = outputs.hidden(position)[: len(self.ids[index])]
        if np.isfinite(hidden).all():
            self._derived[index] = self._hidden_hook(index, hidden)
        else:
            self._non_finite.append(index)

    def encoded(self) -> Encoded:
        """The finished rows, checked.

        Raises:
            NonFiniteVector: One of them holds a NaN or an infinity.
        """
        # A sum is finite only if every number is, and one number is quicker to look at.
        if self._non_finite or not math.isfinite(self._pooled.sum()):
            rows = [index for index, pooled in enumerate(self._pooled) if not np.isfinite(pooled).all()]
            if wrong := rows + self._non_finite:
                index = min(wrong)
                raise NonFiniteVector(f"The model computed a non-finite vector for text {index}.", index=index)
        return Encoded(self.ids, self._pooled, self._derived)


def unit_rows(vectors: "Vectors") -> "Vectors":
    """Rows scaled to length 1; a row of zeros stays one."""
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))  # a third of what linalg.norm takes for one row
    scaled: Vectors = vectors / np.maximum(lengths, _TINY)[:, np.newaxis]
    return scaled
