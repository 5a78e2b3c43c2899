"""Is a deployed endpoint right? Checks of its state, its vectors and its speed, the same on AWS and on this machine."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from embedstack.deployment import Deployment
from embedstack.errors import CountMismatch, EmbedStackError
from embedstack.golden import golden_texts, golden_vectors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from embedstack.embedders.base import Embedder

    Vectors = NDArray[np.float32]

__all__ = ["Check", "Report", "Status", "Targets", "validate"]

Status = Literal["passed", "failed", "skipped"]

# An endpoint in float32 differs from the reference by rounding only; bfloat16, float16 and int8 round more coarsely.
_MIN_COSINE = {"fp32": 0.9999, "reduced": 0.999}
_UNIT_NORM_TOLERANCE = 1e-3
_SAME_COSINE = 0.999999
_ORDER_TOLERANCE = 1e-3
_BATCH = 32
_LATENCY_SAMPLES = 30

_RELATED = [
    ("How do I reset my password?", "Steps to recover access when you have forgotten your login"),
    ("The invoice is due within thirty days.", "Payment has to arrive no later than a month after billing."),
    ("A cat is sleeping on the sofa.", "A kitten naps on the couch."),
    ("The train to Naples was delayed by snow.", "Snowfall made the Naples train late."),
]
_UNRELATED = "Photosynthesis converts carbon dioxide and water into glucose and oxygen."


@dataclass(frozen=True)
class Targets:
    """What counts as fast enough.

    Attributes:
        p50_ms: Median milliseconds of a call with one short text.
        p95_ms: 95th percentile of the same.
        texts_per_minute: Texts embedded per minute, in batches.
    """

    p50_ms: float = 100
    p95_ms: float = 500
    texts_per_minute: float = 1000


@dataclass(frozen=True, slots=True)
class Check:
    """One finding.

    Attributes:
        name: What was looked at.
        status: Whether it holds.
        figure: What was found.
        target: What was wanted.
        seconds: How long the check took.
    """

    name: str
    status: Status
    figure: str
    target: str = ""
    seconds: float = 0.0


@dataclass(slots=True)
class Report:
    """The checks of one endpoint, in the order in which they ran.

    Attributes:
        endpoint: The endpoint's name.
        model_id: The model that it serves.
        dimensions: Length of its vectors.
        checks: The findings.
        cold_start_seconds: Duration of the first call, which may have started a container.
    """

    endpoint: str
    model_id: str
    dimensions: int
    checks: list[Check] = field(default_factory=list)
    cold_start_seconds: float | None = None

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return all(check.status != "failed" for check in self.checks)

    def count(self, status: Status) -> int:
        """Checks that ended so."""
        return sum(check.status == status for check in self.checks)


def validate(
    embedder: "Embedder",
    deployment: Deployment,
    *,
    targets: Targets | None = None,
    intended_config: str | None = None,
    on_check: Callable[[Check], None] = lambda _: None,
) -> Report:
    """Run every check. Needs nothing but the right to describe and to invoke the endpoint.

    Args:
        embedder: Calls the endpoint; must truncate, since some golden texts are longer than models read.
        deployment: What AWS says of the endpoint.
        targets: What counts as fast enough.
        intended_config: Endpoint configuration that Terraform applied; SageMaker rolls back silently to an older one.
        on_check: Called with each finding as soon as it is there.

    Returns:
        The report; a check that could not run because the endpoint answered with an error has failed.
    """
    report = Report(deployment.endpoint, embedder.info.model_id, embedder.info.dimensions)
    run = _Run(embedder, deployment, targets or Targets(), intended_config, report)
    for name, check in run.checks():
        started = time.perf_counter()
        try:
            status, figure, target = check()
        except EmbedStackError as error:
            status, figure, target = "failed", str(error), ""
        finding = Check(name, status, figure, target, time.perf_counter() - started)
        report.checks.append(finding)
        on_check(finding)
        if status == "failed" and name in _PREREQUISITES:
            break
    return report


# Without these every further check would fail for the same reason, after a timeout each.
_PREREQUISITES = {"status", "first call"}

_Finding = tuple[Status, str, str]


class _Run:
    """The checks, which share the golden texts' vectors so that each is computed once."""

    def __init__(
        self,
        embedder: "Embedder",
        deployment: Deployment,
        targets: Targets,
        intended_config: str | None,
        report: Report,
    ) -> None:
        self._embedder = embedder
        self._deployment = deployment
        self._targets = targets
        self._intended_config = intended_config
        self._report = report
        self._texts = golden_texts()
        self._vectors: Vectors | None = None
        self._latencies_ms: list[float] = []
        self._min_cosine = _MIN_COSINE[deployment.precision]

    def checks(self) -> Iterator[tuple[str, Callable[[], _Finding]]]:
        yield "status", self._status
        yield "configuration", self._configuration
        yield "first call", self._first_call
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

    def _status(self) -> _Finding:
        figure = self._deployment.status
        if self._deployment.failure_reason:
            figure += f": {self._deployment.failure_reason}"
        return _finding(self._deployment.status == "InService", figure, "InService")

    def _configuration(self) -> _Finding:
        actual = self._deployment.config
        if self._intended_config is None:
            return "skipped", f"{actual}; Terraform's outputs name no other", ""
        return _finding(actual == self._intended_config, actual, self._intended_config)

    def _first_call(self) -> _Finding:
        started = time.perf_counter()
        self._embedder.embed(["A first call may have to start the container."])
        self._report.cold_start_seconds = time.perf_counter() - started
        return "passed", f"answered after {self._report.cold_start_seconds:.2f} s", ""

    def _dimension(self) -> _Finding:
        found = self._golden_answer().shape[1]
        return _finding(found == self._embedder.info.dimensions, str(found), str(self._embedder.info.dimensions))

    def _finite(self) -> _Finding:
        wrong = int((~np.isfinite(self._golden_answer())).any(axis=1).sum())
        return _finding(wrong == 0, f"{wrong} of {len(self._texts)} vectors with NaN or infinity", "0")

    def _unit_norm(self) -> _Finding:
        if not self._embedder.info.normalized:
            return "skipped", "the model does not normalise", ""
        off = float(np.abs(np.linalg.norm(self._golden_answer(), axis=1) - 1).max())
        return _finding(off <= _UNIT_NORM_TOLERANCE, f"off by {off:.1e}", f"≤ {_UNIT_NORM_TOLERANCE:.0e}")

    def _determinism(self) -> _Finding:
        text = [self._texts[0]]
        cosine = _min_cosine(self._embedder.embed(text), self._embedder.embed(text))
        return _finding(cosine >= _SAME_COSINE, f"cosine {cosine:.6f} of two calls", f"≥ {_SAME_COSINE}")

    def _batch_invariance(self) -> _Finding:
        batch = self._texts[:_BATCH]
        alone = np.concatenate([self._embedder.embed([text]) for text in batch])
        cosine = _min_cosine(alone, self._embedder.embed(batch))
        return _finding(
            cosine >= self._min_cosine, f"cosine {cosine:.6f} alone and in a batch of {_BATCH}", f"≥ {self._min_cosine}"
        )

    def _order(self) -> _Finding:
        backwards = self._embedder.embed(self._texts[::-1])[::-1]
        cosines = backwards @ self._golden_answer().T
        # Texts that differ only in what the tokenizer ignores share one vector, so the nearest row may be another's.
        moved = int((cosines.diagonal() < cosines.max(axis=1) - _ORDER_TOLERANCE).sum())
        return _finding(moved == 0, f"{moved} of {len(self._texts)} rows moved when sent backwards", "0")

    def _meaning(self) -> _Finding:
        queries, paraphrases = zip(*_RELATED, strict=True)
        vectors = self._embedder.embed([*queries, *paraphrases, _UNRELATED])
        query, paraphrase, unrelated = vectors[: len(queries)], vectors[len(queries) : -1], vectors[-1]
        margin = float(((query * paraphrase).sum(axis=1) - query @ unrelated).min())
        return _finding(margin > 0, f"a paraphrase is {margin:+.2f} closer than an unrelated text", "> 0")

    def _golden(self) -> _Finding:
        reference = golden_vectors(self._embedder.info.model_id)
        if reference is None:
            return "skipped", f"no golden vectors of {self._embedder.info.model_id} are recorded", ""
        cosine = _min_cosine(self._golden_answer(), reference)
        return _finding(
            cosine >= self._min_cosine,
            f"cosine {cosine:.6f} at worst over {len(self._texts)} texts",
            f"≥ {self._min_cosine} ({self._deployment.precision})",
        )

    def _latency(self, percentile: int, target: float) -> _Finding:
        if not self._latencies_ms:
            for _ in range(_LATENCY_SAMPLES):
                started = time.perf_counter()
                self._embedder.embed([self._texts[0]])
                self._latencies_ms.append((time.perf_counter() - started) * 1000)
        figure = float(np.percentile(self._latencies_ms, percentile))
        return _finding(figure <= target, f"{figure:.1f} ms for one short text", f"≤ {target:g} ms")

    def _throughput(self) -> _Finding:
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


def _finding(holds: bool, figure: str, target: str) -> _Finding:
    return ("passed" if holds else "failed"), figure, target


def _min_cosine(left: "Vectors", right: "Vectors") -> float:
    """The smallest cosine of two (texts, dimensions) row by row."""
    norms: Sequence[Vectors] = [np.linalg.norm(side, axis=1) for side in (left, right)]
    return float(((left * right).sum(axis=1) / (norms[0] * norms[1])).min())
