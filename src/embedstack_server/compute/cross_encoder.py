"""The cross-encoder: scores pairs of a query and a text."""

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from embedstack.errors import ConfigurationError, NonFiniteVector
from embedstack_server.compute.engine import OpenVinoEngine, chosen_precision
from embedstack_server.compute.model_runner import ModelRunner
from embedstack_server.model.cross_encoder_folder import CrossEncoderFolder
from embedstack_server.model.manifest import Manifest
from embedstack_server.model.pair_tokenizer import PairTokenizer
from embedstack_server.model.tokenizer import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from embedstack_server.compute.engine import Engine, Outputs
    from embedstack_server.compute.scheduler import Workload
    from embedstack_server.model.pair_tokenizer import PairTokens
    from embedstack_server.model.precision import PrecisionSetting
    from embedstack_server.model.tokenizer import TruncationDirection

    Floats = NDArray[np.float32]

__all__ = ["CrossEncoder", "Scores"]

_logger = logging.getLogger(__name__)


def _sigmoid(logits: "Floats") -> "Floats":
    # The exponent is never positive, so that no exponential overflows.
    exponential = np.exp(-np.abs(logits))
    scores: Floats = np.where(logits < 0, exponential, np.float32(1)) / (1 + exponential)
    return scores


# By the names of SCORE_ACTIVATIONS.
_ACTIVATIONS: "dict[str, Callable[[Floats], Floats]]" = {
    "Identity": lambda logits: logits,
    "Sigmoid": _sigmoid,
    "Tanh": np.tanh,
}


@dataclass(frozen=True, slots=True)
class Scores:
    """The scores of one query's texts, in their order.

    Attributes:
        logits: The model's outputs, float32 (texts, 1). They order the texts: an activation may round two of them to
            the same score.
        tokens: Total number of tokens of all pairs.
        activation: The model's activation.
    """

    logits: "Floats"
    tokens: int
    activation: str

    def values(self, raw: bool = False) -> "Floats":
        """One score per text, float32 (texts,).

        Args:
            raw: Return the logits instead of applying the model's activation.
        """
        logits = self.logits[:, 0]
        return logits if raw else _ACTIVATIONS[self.activation](logits)


class CrossEncoder:
    """A loaded cross-encoder. Safe to call from several threads and tasks, whose pairs share batches.

    Attributes:
        model: The model's description.
        precision: Arithmetic of the encoder; the logits are computed in float32.
    """

    def __init__(self, model: CrossEncoderFolder, tokenizer: PairTokenizer, engine: "Engine") -> None:
        """Combine a model's parts; see :meth:`load`."""
        self.model = model
        self.precision = engine.precision
        self._tokenizer = tokenizer
        self._runner = ModelRunner(engine)
        _logger.info(
            "reranker %s ready: %d tokens, %s, %s", model.model_id, model.max_tokens, model.activation, engine.precision
        )

    @classmethod
    def load(
        cls, folder: "Path", *, model_id: str | None = None, precision: "PrecisionSetting" = "auto"
    ) -> "CrossEncoder":
        """Load a cross-encoder's folder. A package is first verified against its manifest.

        Args:
            folder: The model's folder.
            model_id: Name to report; defaults to the folder's own.
            precision: As for :meth:`~embedstack_server.compute.encoder.Encoder.load`.

        Raises:
            ConfigurationError: The model is not supported or no cross-encoder, a file of a package is missing or
                damaged, or the processor does not support the precision.
        """
        manifest = Manifest.read_optional(folder)
        if manifest:
            manifest.verify()
            model_id = model_id or manifest.model_id
            precision = manifest.precision if precision == "auto" else precision
        model = CrossEncoderFolder.read(folder, model_id)
        if manifest:
            manifest.check_model(model)
        return cls.of_folder(model, precision)

    @classmethod
    def of_folder(cls, model: CrossEncoderFolder, precision: "PrecisionSetting") -> "CrossEncoder":
        """Compile a folder that was already read; see :meth:`load`.

        Raises:
            ConfigurationError: The weights or the tokenizer cannot be read, or the precision is not supported.
        """
        tokenizer = Tokenizer(model.tokenizer, model.max_tokens, model.config.vocabulary_size)
        if not tokenizer.has_padding:
            raise ConfigurationError(
                f"{model.path}: the tokenizer has no padding token, which batches of pairs need. Name it in "
                "tokenizer_config.json as pad_token."
            )
        pairs = PairTokenizer(tokenizer, has_types=model.reads_token_types)
        if pairs.has_types and pairs.largest_type >= model.config.token_types:
            raise ConfigurationError(
                f"{model.path}: the tokenizer has token types up to {pairs.largest_type}, but the model has only "
                f"{model.config.token_types} (type_vocab_size). The files belong to different models. Download them "
                "again."
            )
        return cls(model, pairs, OpenVinoEngine(model, chosen_precision(precision), tokenizer.pad_id))

    def score(
        self,
        query: str,
        texts: "Sequence[str]",
        *,
        truncate: bool = True,
        direction: "TruncationDirection" = "right",
        most_tokens: int | None = None,
    ) -> Scores:
        """Score texts by their relevance to a query.

        Args:
            query: The query, not empty.
            texts: Non-empty texts.
            truncate: Truncate pairs that are longer than the model reads, the longer one of query and text first,
                instead of raising an error.
            direction: Which end of the query and of the text is cut off.
            most_tokens: Maximum total number of tokens; None for no limit.

        Raises:
            PayloadTooLarge: The pairs have more than ``most_tokens`` tokens.
            TextTooLong: A pair is too long and ``truncate`` is off.
            InputError: The query or a text is empty or not valid Unicode.
            NonFiniteVector: The model computed a NaN or an infinity.
        """
        rows = _Rows(self._tokenize(query, texts, truncate, direction, most_tokens))
        self._runner.compute(rows.pairs, rows.deliver)
        return rows.scores(self.model.activation)

    async def ascore(
        self,
        query: str,
        texts: "Sequence[str]",
        *,
        truncate: bool = True,
        direction: "TruncationDirection" = "right",
        most_tokens: int | None = None,
    ) -> Scores:
        """:meth:`score` without blocking the event loop; cancelling drops the pairs that have not started."""
        characters = len(query) + sum(map(len, texts))
        pairs = await self._runner.in_background(
            lambda: self._tokenize(query, texts, truncate, direction, most_tokens), characters
        )
        rows = _Rows(pairs)
        await self._runner.acompute(rows.pairs, rows.deliver)
        return rows.scores(self.model.activation)

    def workload(self) -> "Workload":
        """What waits to be computed, and what was computed."""
        return self._runner.workload()

    @property
    def is_healthy(self) -> bool:
        """Whether pairs can be scored: False after a worker thread failed, or after :meth:`close`."""
        return self._runner.is_healthy

    def close(self) -> None:
        """Stop the worker threads."""
        self._runner.close()

    def _tokenize(
        self,
        query: str,
        texts: "Sequence[str]",
        truncate: bool,
        direction: "TruncationDirection",
        most_tokens: int | None,
    ) -> "list[PairTokens]":
        prompt = self.model.prompts[self.model.default_prompt_name] if self.model.default_prompt_name else ""
        return self._runner.tokenize(
            lambda: self._tokenizer.tokenize(
                query, texts, prompt=prompt, truncate=truncate, direction=direction, most_tokens=most_tokens
            )
        )


class _Rows:
    """The pairs of one call, whose logits are filled in as batches finish."""

    def __init__(self, pairs: "list[PairTokens]") -> None:
        self.pairs: list[list[int]] = [*pairs]
        self._logits = np.empty((len(pairs), 1), np.float32)

    def deliver(self, outputs: "Outputs", position: int, index: int) -> None:
        """Copy a row from a batch's outputs."""
        self._logits[index] = outputs.pooled[position]

    def scores(self, activation: str) -> Scores:
        """Check and return the finished rows.

        Raises:
            NonFiniteVector: A logit is NaN or infinity.
        """
        finite = np.isfinite(self._logits[:, 0])
        if not finite.all():
            index = int(finite.argmin())
            raise NonFiniteVector(f"The model computed a non-finite score for text {index}.", index=index)
        return Scores(self._logits, sum(map(len, self.pairs)), activation)
