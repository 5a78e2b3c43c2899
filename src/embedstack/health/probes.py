"""Probes: requests with texts whose vectors or scores are known."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from botocore.exceptions import BotoCoreError, ClientError

from embedstack.aws.clients import aws_response_errors, create_client
from embedstack.aws.errors import is_expired_credentials, translate_error
from embedstack.embedders.batching import Limits
from embedstack.errors import (
    ConfigurationError,
    EmbedStackError,
    EndpointAsleep,
    EndpointNotFound,
    InputError,
    IntegrityError,
    InvalidScores,
    ModelFailed,
    Throttled,
)
from embedstack.health.states import ProbeResult, Target, Verdict
from embedstack.models.golden import Golden, golden_texts
from embedstack.models.model_info import ModelIdentity, ModelInfo
from embedstack.models.resolution import resolve_model
from embedstack.settings.settings import change_settings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from embedstack.embedders.base import Embedder
    from embedstack.health.endpoints import EndpointFacts
    from embedstack.settings.settings import Settings

    Vectors = NDArray[np.float32]

__all__ = ["Prober", "References", "open_prober", "verdict_of"]

#: Of the golden texts: English, a question, German, Japanese and an emoji.
_TEXTS = (0, 2, 16, 26, 37)
_QUERY = "How do I reset my password?"
# bfloat16, float16 and int8 round; another model, other pooling or a missing prompt gives less than 0.95.
_MIN_COSINE = 0.99
_MAX_SCORE_DIFFERENCE = 0.05
_ZERO_NORM = 1e-12
# A model server that cannot write NaN as JSON answers with an error.
_NAN = re.compile(r"\bNaN\b|not a number|non-?finite|out of range float", re.IGNORECASE)
# One word is at least one token, and Titan reads 50,000 characters.
_WORD = "word "
_BEYOND_LIMIT = 1.05
_QUOTED_CHARACTERS = 300


class References(Protocol):
    """Vectors or scores of the probe texts, by model, for models without golden vectors."""

    def find(self, key: str) -> "Vectors | None":
        """Those of an earlier probe; None if there are none."""

    def remember(self, key: str, vectors: "Vectors") -> None:
        """Keep those of the first probe."""


@dataclass(slots=True)
class Prober:
    """Sends probes to one target.

    Attributes:
        compute: Sends the probe texts; float32 (5, dimensions), or (5, 1) of scores.
        reference: The expected result; None if the first result becomes it.
        is_close: Whether a result is the reference's.
        remember: Keeps the first result.
        exceed_limit: Sends a text above the model's token limit; None if there is no such probe.
        close: Releases the connections.
    """

    compute: "Callable[[], Vectors]"
    reference: "Vectors | None"
    is_close: "Callable[[Vectors, Vectors], str]"
    remember: "Callable[[Vectors], None]"
    exceed_limit: Callable[[], object] | None
    close: Callable[[], None]

    def probe(self) -> ProbeResult:
        """Send the probe texts once, and compare the result with the reference."""
        started = time.perf_counter()
        try:
            result = self.compute()
        except EmbedStackError as error:
            return ProbeResult(verdict_of(error), describe_error(error), _milliseconds(started))
        duration = _milliseconds(started)
        if self.reference is None:
            self.reference = result
            self.remember(result)
            return ProbeResult("good", "", duration)
        problem = self.is_close(result, self.reference)
        return ProbeResult("wrong" if problem else "good", problem, duration)

    def probe_limit(self) -> str:
        """Send a text above the token limit; a sentence about what happened, empty without such a probe."""
        if self.exceed_limit is None:
            return ""
        try:
            self.exceed_limit()
        except InputError:
            return "token limit: ok, refuses by length"
        except EmbedStackError as error:
            return f"not checked: token limit ({type(error).__name__})"
        return "token limit: ok, reads a text above it"


def open_prober(
    target: Target, facts: "EndpointFacts | None", settings: "Settings", references: References, timeout: float
) -> Prober:
    """A prober for a target.

    Args:
        target: The target.
        facts: The endpoint's description; None for Bedrock, or if it cannot be read.
        settings: Region, credentials and models.
        references: Results of earlier probes.
        timeout: Timeout of a request in seconds.

    Raises:
        ConfigurationError: The model is not supported, or no region is set.
    """
    settings = change_settings(
        settings, embedding_timeout_seconds=timeout, sagemaker_verify_model=False, embedding_concurrency=len(_TEXTS)
    )
    if target.kind == "bedrock":
        return _bedrock_prober(target.name, settings, references)
    component = facts.component if facts else settings.component_of(target.name)
    if target.kind == "reranker":
        return _reranker_prober(target.name, facts, component, settings, references)
    return _endpoint_prober(target.name, facts, component, settings, references)


def verdict_of(error: EmbedStackError) -> Verdict:
    """What an error says of the target."""
    match error:
        case EndpointAsleep():
            return "asleep"
        case Throttled():
            return "throttled"
        case EndpointNotFound():
            return "gone"
        case IntegrityError() if type(error) is not IntegrityError:
            return "wrong"
        case ModelFailed() if _NAN.search(str(error)):
            return "wrong"
        case ConfigurationError():
            return "expired" if _is_expired(error) else "denied"
        case _:
            return "failed"


def describe_error(error: Exception) -> str:
    """An error's message; its type if the message is empty."""
    message = " ".join(str(error).split()) or type(error).__name__
    return message if len(message) <= _QUOTED_CHARACTERS else f"{message[:_QUOTED_CHARACTERS]}…"


def _is_expired(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, Exception) and is_expired_credentials(error):
            return True
        error = error.__cause__
    return False


# ruff: noqa: PLC0415 - boto3 takes long to import, and each target needs one client
def _endpoint_prober(
    name: str, facts: "EndpointFacts | None", component: str | None, settings: "Settings", references: References
) -> Prober:
    from embedstack.embedders.sagemaker.embedder import SageMakerEmbedder

    info = _model(name, facts, component, settings)
    embedder = SageMakerEmbedder(
        info,
        endpoint=name,
        inference_component=component,
        settings=settings,
        limits=Limits(settings.sagemaker_batch_size),
        truncate=True,
    )
    embedder.disable_retries()
    # A model that nothing names is known by its configuration only.
    key = f"{name}@{facts.config if facts else ''}" if info.model_id == name else f"{info.model_id}@{info.revision}"
    return _embedder_prober(embedder, key, settings, references, limit_probe=False)


def _bedrock_prober(model_id: str, settings: "Settings", references: References) -> Prober:
    from embedstack.embedders.bedrock import BedrockEmbedder

    embedder = BedrockEmbedder(model_id, settings=settings, concurrency=len(_TEXTS))
    return _embedder_prober(embedder, f"bedrock/{model_id}", settings, references, limit_probe=True)


def _embedder_prober(
    embedder: "Embedder", key: str, settings: "Settings", references: References, *, limit_probe: bool
) -> Prober:
    texts = _probe_texts()
    key = f"vectors/{key}/{embedder.info.dimensions}"
    golden = Golden.find(embedder.info.model_id, settings.embedstack_models_dir)
    usable = golden is not None and golden.prompt == embedder.prompt("document", None)
    reference = golden.vectors[list(_TEXTS)] if golden is not None and usable else references.find(key)

    def exceed_limit() -> object:
        words = int((embedder.info.max_tokens or 0) * _BEYOND_LIMIT)
        return embedder.embed([_WORD * words], "document")

    return Prober(
        compute=lambda: _finite(embedder.embed(texts, "document")),
        reference=reference,
        is_close=_compare_vectors,
        remember=lambda vectors: references.remember(key, vectors),
        exceed_limit=exceed_limit if limit_probe and embedder.info.max_tokens else None,
        close=embedder.close,
    )


def _reranker_prober(
    name: str, facts: "EndpointFacts | None", component: str | None, settings: "Settings", references: References
) -> Prober:
    from embedstack.rerankers.sagemaker import SageMakerReranker

    model_id = facts.identity.model_id if facts and facts.identity else settings.reranker_model or name
    info = resolve_model(settings.with_model(model_id), kind=None)
    reranker = SageMakerReranker(info, endpoint=name, inference_component=component, settings=settings, truncate=True)
    reranker.disable_retries()
    key = f"scores/{info.model_id}/{facts.config if facts else ''}"

    return Prober(
        compute=lambda: np.asarray(reranker.score(_QUERY, _probe_texts()), np.float32).reshape(-1, 1),
        reference=references.find(key),
        is_close=_compare_scores,
        remember=lambda scores: references.remember(key, scores),
        exceed_limit=None,
        close=reranker.close,
    )


def _model(name: str, facts: "EndpointFacts | None", component: str | None, settings: "Settings") -> ModelInfo:
    """The model that an endpoint serves: by its description, the settings, or its responses."""
    if facts is not None and facts.identity is not None:
        return resolve_model(settings.with_model(facts.identity.model_id))
    if name == settings.sagemaker_endpoint and "embedding_model" in settings.model_fields_set:
        return resolve_model(settings)
    identity = _named_in_response(name, component, settings)
    return resolve_model(settings.with_model(identity.model_id)) if identity else ModelInfo(name, normalized=None)


def _named_in_response(name: str, component: str | None, settings: "Settings") -> ModelIdentity | None:
    client = create_client("sagemaker-runtime", settings)
    routing = {} if component is None else {"InferenceComponentName": component}
    try:
        with aws_response_errors():
            response = client.invoke_endpoint(
                EndpointName=name, ContentType="application/json", Body=b'{"inputs": "length"}', **routing
            )
            response["Body"].read()
    except (BotoCoreError, ClientError) as error:
        raise translate_error(error, "sagemaker-runtime", resource=name) from error
    return ModelIdentity.from_attributes(response.get("CustomAttributes"))


def _probe_texts() -> list[str]:
    texts = golden_texts()
    return [texts[index] for index in _TEXTS]


def _finite(vectors: "Vectors") -> "Vectors":
    if not np.isfinite(vectors).all():
        raise InvalidScores("A vector contains NaN or infinity.")
    return vectors


def _compare_vectors(vectors: "Vectors", reference: "Vectors") -> str:
    """What is wrong with vectors; empty if they are those of the reference."""
    if vectors.shape != reference.shape:
        return f"wrong vectors: {vectors.shape[1]} dimensions instead of {reference.shape[1]}"
    norms = np.linalg.norm(vectors, axis=1)
    if zeros := int((norms < _ZERO_NORM).sum()):
        return f"wrong vectors: {zeros} of {len(vectors)} are zero"
    cosines = (vectors * reference).sum(axis=1) / (norms * np.linalg.norm(reference, axis=1))
    if (smallest := float(cosines.min())) < _MIN_COSINE:
        wrong = int((cosines < _MIN_COSINE).sum())
        return f"wrong vectors: {wrong} of {len(vectors)} differ from the reference, minimum cosine {smallest:.4f}"
    return ""


def _compare_scores(scores: "Vectors", reference: "Vectors") -> str:
    difference = float(np.abs(scores - reference).max())
    return f"wrong scores: off by {difference:.3f} from the reference" if difference > _MAX_SCORE_DIFFERENCE else ""


def _milliseconds(started: float) -> float:
    return (time.perf_counter() - started) * 1000
