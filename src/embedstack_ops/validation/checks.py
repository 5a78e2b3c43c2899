"""The checks of an endpoint: its state, its vectors and its speed."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from embedstack.errors import CountMismatch, EndpointAsleep
from embedstack.models.golden import golden_texts, golden_vectors
from embedstack.models.model_info import ModelIdentity
from embedstack_ops.validation.findings import Status

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from embedstack.embedders.base import Embedder
    from embedstack_ops.validation.endpoint_description import Deployment
    from embedstack_ops.validation.findings import Report, Targets
    from embedstack_ops.validation.wake_up import Waking

    Vectors = NDArray[np.float32]

__all__ = ["EndpointChecks", "Finding"]

#: A check's status, what was found, and what was wanted.
Finding = tuple[Status, str, str]

# An endpoint in float32 differs from the reference by rounding only; bfloat16, float16 and int8 round more coarsely.
_MIN_COSINE = {"fp32": 0.9999, "reduced": 0.999}
_UNIT_NORM_TOLERANCE = 1e-3
_SAME_COSINE = 0.999999
_ORDER_TOLERANCE = 1e-3
# One vector for all texts is as close to each, but for rounding.
_LEAST_MARGIN = 1e-3
_BATCH = 32
# Each request to a queue takes a second or more, and its topic is told of it.
_ALONE_IN_QUEUE = 8
_LATENCY_SAMPLES = 30

_RELATED = [
    ("How do I reset my password?", "Steps to recover access when you have forgotten your login"),
    ("The invoice is due within thirty days.", "Payment has to arrive no later than a month after billing."),
    ("A cat is sleeping on the sofa.", "A kitten naps on the couch."),
    ("The train to Naples was delayed by snow.", "Snowfall made the Naples train late."),
]
_UNRELATED = "Photosynthesis converts carbon dioxide and water into glucose and oxygen."

_ASLEEP = "asleep: nothing runs, and what it answers was not looked at; --wake-minutes 15 would wake it"
_QUEUED = "the endpoint takes its requests from a queue, and answers when it gets to them"


class EndpointChecks:
    """The checks, which share the golden texts' vectors so that each is computed once."""

    def __init__(
        self,
        embedder: "Embedder",
        deployment: "Deployment",
        targets: "Targets",
        intended_config: str | None,
        waking: "Waking | None",
        report: "Report",
    ) -> None:
        self._embedder = embedder
        self._deployment = deployment
        self._targets = targets
        self._intended_config = intended_config
        self._waking = waking
        self._report = report
        self._texts = golden_texts()
        self._vectors: Vectors | None = None
        self._latencies_ms: list[float] = []
        self._min_cosine = _MIN_COSINE[deployment.precision]
        self._alone = _ALONE_IN_QUEUE if deployment.is_async else _BATCH

    def all(self) -> Iterator[tuple[str, Callable[[], Finding]]]:
        """Each check by its name, in the order in which they are to run."""
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

    def _status(self) -> Finding:
        figure = self._deployment.status
        if self._deployment.failure_reason:
            figure += f": {self._deployment.failure_reason}"
        # What sleeps may be on its way already, at somebody else's request.
        wakes = self._deployment.capacity == 0 and self._deployment.status == "Updating"
        return _finding(wakes or self._deployment.status == "InService", figure, "InService")

    def _configuration(self) -> Finding:
        actual = self._deployment.config
        if self._intended_config is None:
            return "skipped", f"{actual}; Terraform's outputs name no other", ""
        return _finding(actual == self._intended_config, actual, self._intended_config)

    def _first_call(self) -> Finding:
        started = time.perf_counter()
        wakes = self._waking is not None and self._waking.seconds > 0
        if self._deployment.capacity == 0 and not wakes:
            return "skipped", _ASLEEP, ""  # a request would wake it
        try:
            if self._waking is None:
                self._call()
            else:
                self._waking.first_answer(self._call)
        except EndpointAsleep:
            if wakes:
                raise
            return "skipped", _ASLEEP, ""
        self._report.cold_start_seconds = time.perf_counter() - started
        return "passed", f"answered after {self._report.cold_start_seconds:.2f} s", ""

    def _model(self) -> Finding:
        expected = ModelIdentity.of(self._embedder.info)
        # The model server itself names its model in responses.
        served = self._embedder.served_model or self._deployment.identity
        if served is None:
            return "skipped", f"{expected} is not verified: the endpoint does not say which model it serves", ""
        return _finding(served.matches(expected), str(served), str(expected))

    def _call(self) -> None:
        self._embedder.embed(["A first call may have to start the container."])

    def _dimension(self) -> Finding:
        found = self._golden_answer().shape[1]
        return _finding(found == self._embedder.info.dimensions, str(found), str(self._embedder.info.dimensions))

    def _finite(self) -> Finding:
        wrong = int((~np.isfinite(self._golden_answer())).any(axis=1).sum())
        return _finding(wrong == 0, f"{wrong} of {len(self._texts)} vectors with NaN or infinity", "0")

    def _unit_norm(self) -> Finding:
        if not self._embedder.info.normalized:
            return "skipped", "the model does not normalise", ""
        off = float(np.abs(np.linalg.norm(self._golden_answer(), axis=1) - 1).max())
        return _finding(off <= _UNIT_NORM_TOLERANCE, f"off by {off:.1e}", f"≤ {_UNIT_NORM_TOLERANCE:.0e}")

    def _determinism(self) -> Finding:
        text = [self._texts[0]]
        cosine = _min_cosine(self._embedder.embed(text), self._embedder.embed(text))
        return _finding(cosine >= _SAME_COSINE, f"cosine {cosine:.6f} of two calls", f"≥ {_SAME_COSINE}")

    def _batch_invariance(self) -> Finding:
        batch = self._texts[:_BATCH]
        alone = np.concatenate([self._embedder.embed([text]) for text in batch[: self._alone]])
        cosine = _min_cosine(alone, self._embedder.embed(batch)[: self._alone])
        return _finding(
            cosine >= self._min_cosine, f"cosine {cosine:.6f} alone and in a batch of {_BATCH}", f"≥ {self._min_cosine}"
        )

    def _order(self) -> Finding:
        backwards = self._embedder.embed(self._texts[::-1])[::-1]
        cosines = backwards @ self._golden_answer().T
        # Texts that differ only in what the tokenizer ignores share one vector, so the nearest row may be another's.
        moved = int((cosines.diagonal() < cosines.max(axis=1) - _ORDER_TOLERANCE).sum())
        return _finding(moved == 0, f"{moved} of {len(self._texts)} rows moved when sent backwards", "0")

    def _meaning(self) -> Finding:
        queries, paraphrases = zip(*_RELATED, strict=True)
        vectors = self._embedder.embed([*queries, *paraphrases, _UNRELATED])
        query, paraphrase, unrelated = vectors[: len(queries)], vectors[len(queries) : -1], vectors[-1]
        margin = float(((query * paraphrase).sum(axis=1) - query @ unrelated).min())
        target = f"≥ {_LEAST_MARGIN}"
        return _finding(margin >= _LEAST_MARGIN, f"a paraphrase is {margin:+.2f} closer than an unrelated text", target)

    def _golden(self) -> Finding:
        reference = golden_vectors(self._embedder.info.model_id)
        if reference is None:
            return "skipped", f"no golden vectors of {self._embedder.info.model_id} are recorded", ""
        cosine = _min_cosine(self._golden_answer(), reference)
        return _finding(
            cosine >= self._min_cosine,
            f"cosine {cosine:.6f} at worst over {len(self._texts)} texts",
            f"≥ {self._min_cosine} ({self._deployment.precision})",
        )

    def _latency(self, percentile: int, target: float) -> Finding:
        if self._deployment.is_async:
            return "skipped", _QUEUED, ""
        if not self._latencies_ms:
            for _ in range(_LATENCY_SAMPLES):
                started = time.perf_counter()
                self._embedder.embed([self._texts[0]])
                self._latencies_ms.append((time.perf_counter() - started) * 1000)
        figure = float(np.percentile(self._latencies_ms, percentile))
        return _finding(figure <= target, f"{figure:.1f} ms for one short text", f"≤ {target:g} ms")

    def _throughput(self) -> Finding:
        if self._deployment.is_async:
            return "skipped", _QUEUED, ""
        started = time.perf_counter()
        self._embedder.embed(self._texts)
        per_minute = len(self._texts) / (time.perf_counter() - started) * 60
        target = self._targets.texts_per_minute
        return _finding(per_minute >= target, f"{per_minute:,.0f} texts/minute in batches", f"≥ {target:,.0f}")

    def _golden_answer(self) -> "Vectors":
        """The golden texts' vectors as the endpoint gave them, not yet checked by the client."""
        if self._vectors is None:
            rows: list[Vectors] = []
            for start in range(0, len(self._texts), _BATCH):
                texts = self._texts[start : start + _BATCH]
                rows.extend(self._embedder.embed_batch(texts, "document"))
                if len(rows) != start + len(texts):
                    raise CountMismatch(f"{len(texts)} texts came back as {len(rows) - start} vectors.")
            self._vectors = np.stack(rows)
        return self._vectors


def _finding(holds: bool, figure: str, target: str) -> Finding:
    return ("passed" if holds else "failed"), figure, target


def _min_cosine(left: "Vectors", right: "Vectors") -> float:
    """The smallest cosine of two (texts, dimensions) row by row."""
    norms: Sequence[Vectors] = [np.linalg.norm(side, axis=1) for side in (left, right)]
    return float(((left * right).sum(axis=1) / (norms[0] * norms[1])).min())
