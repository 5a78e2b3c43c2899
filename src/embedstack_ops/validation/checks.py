"""The checks of an endpoint: its state, its vectors and its speed."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from embedstack.errors import CountMismatch, EndpointAsleep
from embedstack.models.golden import Golden, golden_texts
from embedstack.models.model_info import ModelIdentity
from embedstack_ops.validation.findings import Status

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from embedstack.embedders.base import Embedder
    from embedstack_ops.validation.endpoint_description import Deployment
    from embedstack_ops.validation.findings import Report, Targets
    from embedstack_ops.validation.wake_up import ScaleFromZero

    Vectors = NDArray[np.float32]

__all__ = ["EndpointChecks", "Result"]

#: A check's status, the measured value, and the expected value.
Result = tuple[Status, str, str]

# Minimum cosine to the reference. In float32 it differs by rounding only; bfloat16, float16 and int8 round more.
_MIN_COSINE = {"fp32": 0.9999, "reduced": 0.999}
_UNIT_NORM_TOLERANCE = 1e-3
_SAME_COSINE = 0.999999
_ORDER_TOLERANCE = 1e-3
# A model that returns the same vector for every text has a margin of zero, apart from rounding.
_MIN_MARGIN = 1e-3
_BATCH = 32
# Each request to an asynchronous endpoint takes a second or more and sends a notification.
_ALONE_ASYNC = 8
_LATENCY_SAMPLES = 30

_RELATED = [
    ("How do I reset my password?", "Steps to recover access when you have forgotten your login"),
    ("The invoice is due within thirty days.", "Payment has to arrive no later than a month after billing."),
    ("A cat is sleeping on the sofa.", "A kitten naps on the couch."),
    ("The train to Naples was delayed by snow.", "Snowfall made the Naples train late."),
]
_UNRELATED = "Photosynthesis converts carbon dioxide and water into glucose and oxygen."

_ASLEEP = "scaled to zero; nothing else was checked. --wake-minutes 15 wakes it up"
_ASYNC = "not measured for an asynchronous endpoint"


class EndpointChecks:
    """The checks. They share the vectors of the golden texts, which are computed once."""

    def __init__(
        self,
        embedder: "Embedder",
        deployment: "Deployment",
        targets: "Targets",
        intended_config: str | None,
        scale_from_zero: "ScaleFromZero | None",
        report: "Report",
        models_dir: "Path | None" = None,
    ) -> None:
        self._embedder = embedder
        self._deployment = deployment
        self._targets = targets
        self._intended_config = intended_config
        self._scale_from_zero = scale_from_zero
        self._report = report
        self._models_dir = models_dir
        # Responses determine an unknown number of dimensions.
        self._expected_dimensions = embedder.info.dimensions
        self._texts = golden_texts()
        self._vectors: Vectors | None = None
        self._latencies_ms: list[float] = []
        self._min_cosine = _MIN_COSINE[deployment.precision]
        self._alone = _ALONE_ASYNC if deployment.is_async else _BATCH

    def all(self) -> Iterator[tuple[str, Callable[[], Result]]]:
        """Name and function of each check, in the order in which they run."""
        yield "status", self._status
        yield "configuration", self._configuration
        yield "first call", self._first_call
        yield "model", self._model
        yield "dimension", self._dimension
        yield "finite values", self._finite
        yield "unit norm", self._unit_norm
        yield "determinism", self._determinism
        yield "batch invariance", self._batch_invariance
        yield "order", self._order
        yield "meaning", self._meaning
        yield "golden vectors", self._golden
        yield "latency p50", lambda: self._latency(50, self._targets.p50_ms)
        yield "latency p95", lambda: self._latency(95, self._targets.p95_ms)
        yield "throughput", self._throughput

    def _status(self) -> Result:
        figure = self._deployment.status
        if self._deployment.failure_reason:
            figure += f": {self._deployment.failure_reason}"
        # An endpoint at zero that is updating may be waking up for another client's request.
        wakes = self._deployment.capacity == 0 and self._deployment.status == "Updating"
        return _result(wakes or self._deployment.status == "InService", figure, "InService")

    def _configuration(self) -> Result:
        actual = self._deployment.config
        if self._intended_config is None:
            return "skipped", f"{actual}; not managed by Terraform here", ""
        return _result(actual == self._intended_config, actual, self._intended_config)

    def _first_call(self) -> Result:
        started = time.perf_counter()
        wakes = self._scale_from_zero is not None and self._scale_from_zero.seconds > 0
        if self._deployment.capacity == 0 and not wakes:
            return "skipped", _ASLEEP, ""  # a request would wake it up
        try:
            if self._scale_from_zero is None:
                self._call()
            else:
                self._scale_from_zero.first_response(self._call)
        except EndpointAsleep:
            if wakes:
                raise
            return "skipped", _ASLEEP, ""
        self._report.cold_start_seconds = time.perf_counter() - started
        return "passed", f"response after {self._report.cold_start_seconds:.2f} s", ""

    def _model(self) -> Result:
        expected = ModelIdentity.of(self._embedder.info)
        # The model server names its model in its responses.
        served = self._embedder.served_model or self._deployment.identity
        if served is None:
            return "skipped", f"{expected} is not verified: the endpoint does not report its model", ""
        return _result(served.matches(expected), str(served), str(expected))

    def _call(self) -> None:
        self._embedder.embed(["A first call may have to start the container."])

    def _dimension(self) -> Result:
        actual, expected = self._golden_response().shape[1], self._expected_dimensions
        if expected is None:
            return "passed", f"{actual}, learned from the endpoint", ""
        return _result(actual == expected, str(actual), str(expected))

    def _finite(self) -> Result:
        wrong = int((~np.isfinite(self._golden_response())).any(axis=1).sum())
        return _result(wrong == 0, f"{wrong} of {len(self._texts)} vectors with NaN or infinity", "0")

    def _unit_norm(self) -> Result:
        normalized = self._embedder.info.normalized
        if normalized is False:
            return "skipped", "the model does not normalize", ""
        off = float(np.abs(np.linalg.norm(self._golden_response(), axis=1) - 1).max())
        if normalized is None and off > _UNIT_NORM_TOLERANCE:
            return "skipped", f"off by {off:.1e}; whether the model normalizes is unknown", ""
        return _result(off <= _UNIT_NORM_TOLERANCE, f"off by {off:.1e}", f"≤ {_UNIT_NORM_TOLERANCE:.0e}")

    def _determinism(self) -> Result:
        text = [self._texts[0]]
        cosine = _min_cosine(self._embedder.embed(text), self._embedder.embed(text))
        return _result(cosine >= _SAME_COSINE, f"cosine {cosine:.6f} of two calls", f"≥ {_SAME_COSINE}")

    def _batch_invariance(self) -> Result:
        batch = self._texts[:_BATCH]
        alone = np.concatenate([self._embedder.embed([text]) for text in batch[: self._alone]])
        cosine = _min_cosine(alone, self._embedder.embed(batch)[: self._alone])
        return _result(
            cosine >= self._min_cosine, f"cosine {cosine:.6f} alone and in a batch of {_BATCH}", f"≥ {self._min_cosine}"
        )

    def _order(self) -> Result:
        backwards = self._embedder.embed(self._texts[::-1])[::-1]
        cosines = backwards @ self._golden_response().T
        # Texts that differ only in characters that the tokenizer ignores share a vector, so compare cosines.
        moved = int((cosines.diagonal() < cosines.max(axis=1) - _ORDER_TOLERANCE).sum())
        return _result(moved == 0, f"{moved} of {len(self._texts)} rows moved in reverse order", "0")

    def _meaning(self) -> Result:
        queries, paraphrases = zip(*_RELATED, strict=True)
        vectors = self._embedder.embed([*queries, *paraphrases, _UNRELATED])
        query, paraphrase, unrelated = vectors[: len(queries)], vectors[len(queries) : -1], vectors[-1]
        margin = float(((query * paraphrase).sum(axis=1) - query @ unrelated).min())
        target = f"≥ {_MIN_MARGIN}"
        return _result(margin >= _MIN_MARGIN, f"a paraphrase is {margin:+.2f} closer than an unrelated text", target)

    def _golden(self) -> Result:
        model_id = self._embedder.info.model_id
        command = f"embedstack golden {model_id}"
        golden = Golden.find(model_id, self._models_dir)
        if golden is None:
            return "skipped", f"none for this model; to compute them: {command}", ""
        prompt = self._embedder.prompt("document", None)
        if golden.prompt != prompt:
            return "skipped", f"for the prompt {golden.prompt!r} instead of {prompt!r}; to compute them: {command}", ""
        cosine = _min_cosine(self._golden_response(), golden.vectors)
        return _result(
            cosine >= self._min_cosine,
            f"minimum cosine {cosine:.6f} over {len(self._texts)} texts",
            f"≥ {self._min_cosine} ({self._deployment.precision})",
        )

    def _latency(self, percentile: int, target: float) -> Result:
        if self._deployment.is_async:
            return "skipped", _ASYNC, ""
        if not self._latencies_ms:
            for _ in range(_LATENCY_SAMPLES):
                started = time.perf_counter()
                self._embedder.embed([self._texts[0]])
                self._latencies_ms.append((time.perf_counter() - started) * 1000)
        figure = float(np.percentile(self._latencies_ms, percentile))
        return _result(figure <= target, f"{figure:.1f} ms for one short text", f"≤ {target:g} ms")

    def _throughput(self) -> Result:
        if self._deployment.is_async:
            return "skipped", _ASYNC, ""
        started = time.perf_counter()
        self._embedder.embed(self._texts)
        per_minute = len(self._texts) / (time.perf_counter() - started) * 60
        target = self._targets.texts_per_minute
        return _result(per_minute >= target, f"{per_minute:,.0f} texts/minute in batches", f"≥ {target:,.0f}")

    def _golden_response(self) -> "Vectors":
        """The vectors of the golden texts as the endpoint returned them, without the client's checks."""
        if self._vectors is None:
            prompt = self._embedder.prompt("document", None)
            rows: list[Vectors] = []
            for start in range(0, len(self._texts), _BATCH):
                texts = [prompt + text for text in self._texts[start : start + _BATCH]]
                rows.extend(self._embedder.embed_batch(texts, "document"))
                if len(rows) != start + len(texts):
                    raise CountMismatch(f"{len(texts)} texts returned {len(rows) - start} vectors.")
            self._vectors = np.stack(rows)
        return self._vectors


def _result(holds: bool, figure: str, target: str) -> Result:
    return ("passed" if holds else "failed"), figure, target


def _min_cosine(left: "Vectors", right: "Vectors") -> float:
    """The smallest row-wise cosine of two arrays (texts, dimensions)."""
    norms: Sequence[Vectors] = [np.linalg.norm(side, axis=1) for side in (left, right)]
    return float(((left * right).sum(axis=1) / (norms[0] * norms[1])).min())
