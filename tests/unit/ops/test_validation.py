"""Each check can fail: an endpoint that is wrong in one way fails the check for that way."""

import functools
import itertools
import json
import time
from dataclasses import replace
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from conftest import MINILM
from embedstack.embedders import Embedder, Limits
from embedstack.errors import EndpointAsleep, Throttled
from embedstack.models.catalogue import known_model
from embedstack.models.golden import Golden, golden_file, golden_texts
from embedstack.models.model_info import ModelInfo
from embedstack_ops.validation import Targets, validate
from embedstack_ops.validation.endpoint_description import Deployment
from embedstack_ops.validation.reports import to_json, to_junit
from embedstack_ops.validation.wake_up import ScaleFromZero
from embedstack_server.compute.encoder import Encoder

DEPLOYMENT = Deployment(
    endpoint="e", status="InService", failure_reason=None, config="c-1", model_name="m",
    image="x/tei-cpu:1", environment={"HF_MODEL_ID": MINILM},
)  # fmt: skip
PATIENT = Targets(p50_ms=60_000, p95_ms=60_000, texts_per_minute=1)


class SpoiltEmbedder(Embedder):
    """The real model, with a fault of choice in every answer."""

    def __init__(self, compute, spoil, info=None):
        super().__init__(info or known_model(MINILM), Limits())
        self._compute = compute
        self._spoil = spoil

    def embed_batch(self, texts, kind):
        return self._spoil(self._compute(tuple(texts)).copy(), texts)


@pytest.fixture(scope="module")
def compute(minilm_folder):
    """The real model, which computes a batch once: most of the reports here ask for the same ones."""
    encoder = Encoder.load(minilm_folder, precision="fp32")
    return functools.cache(lambda texts: encoder.encode(texts).vectors())


@pytest.fixture
def run(compute):
    def run(spoil=lambda vectors, texts: vectors, deployment=DEPLOYMENT, targets=PATIENT, info=None, **options):
        return validate(SpoiltEmbedder(compute, spoil, info), deployment, targets=targets, **options)

    return run


def failed(report):
    return {check.name for check in report.checks if check.status == "failed"}


def test_validate_passes_a_correct_endpoint(run):
    report = run(intended_config="c-1")
    assert report.passed
    assert {check.status for check in report.checks} == {"passed"}
    assert report.cold_start_seconds > 0


RANDOM = np.random.default_rng(0)


def _noise(vectors, texts):
    noisy = vectors + RANDOM.normal(0, 0.01, vectors.shape).astype(np.float32)
    return noisy / np.linalg.norm(noisy, axis=1, keepdims=True)


def _by_batch_size(vectors, texts):
    return vectors if len(texts) == 1 else np.roll(vectors, 1, axis=1)


def _sorted_by_length(vectors, texts):
    return vectors[np.argsort([len(text) for text in texts])]


def _nan_in_long(vectors, texts):
    vectors[[len(text) > 2000 for text in texts], 0] = np.nan
    return vectors


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda vectors, texts: vectors[:, :100], {"first call"}),
        (lambda vectors, texts: vectors * 1.005, {"unit norm"}),
        (_noise, {"determinism", "batch invariance", "golden vectors"}),
        (_by_batch_size, {"batch invariance", "golden vectors"}),
        (_sorted_by_length, {"order", "golden vectors"}),
        (_nan_in_long, {"finite values"}),
        (lambda vectors, texts: np.roll(vectors, 1, axis=1), {"golden vectors"}),
        (lambda vectors, texts: np.tile(vectors[:1], (len(texts), 1)), {"meaning", "golden vectors"}),
    ],
    ids=["dimension", "norm", "noise", "batch", "order", "nan", "golden", "one vector for all"],
)
def test_validate_fails_the_check_of_each_defect(run, spoil, expected):
    report = run(spoil)
    assert not report.passed
    assert expected <= failed(report)


UNKNOWN = ModelInfo("my/model", normalized=None)
SERVES_UNKNOWN = replace(DEPLOYMENT, environment={"HF_MODEL_ID": "my/model"})


def _figures(report, status):
    return {check.name: check.figure for check in report.checks if check.status == status}


def test_validate_runs_every_check_that_needs_no_reference(run):
    report = run(deployment=SERVES_UNKNOWN, info=UNKNOWN, intended_config="c-1")
    assert report.passed
    assert report.dimensions == 384
    assert _figures(report, "skipped") == {
        "golden vectors": "none for this model; to compute them: embedstack golden my/model"
    }
    assert _figures(report, "passed")["dimension"] == "384, learned from the endpoint"


def test_validate_skips_the_norm_of_an_unknown_model_only(run):
    report = run(lambda vectors, texts: vectors * 2, SERVES_UNKNOWN, info=UNKNOWN)
    assert "off by 1.0e+00" in _figures(report, "skipped")["unit norm"]
    assert "unit norm" in failed(run(lambda vectors, texts: vectors * 1.005))


def test_validate_compares_with_golden_vectors_of_the_user(run, tmp_path, compute):
    golden = Golden(compute(tuple("passage: " + text for text in golden_texts())), "passage: ", "me")
    golden.write(golden_file("my/model", tmp_path))
    info = replace(UNKNOWN, prompts={"query": "query: ", "document": "passage: "})
    report = run(deployment=SERVES_UNKNOWN, info=info, models_dir=tmp_path)
    assert _figures(report, "passed")["golden vectors"].startswith("minimum cosine 1.0")
    assert report.prompts == "query 'query: ', document 'passage: '"
    skipped = _figures(run(deployment=SERVES_UNKNOWN, info=UNKNOWN, models_dir=tmp_path), "skipped")
    assert "for the prompt 'passage: ' instead of ''" in skipped["golden vectors"]


def test_report_tells_that_prompts_are_unknown(run):
    report = run(deployment=SERVES_UNKNOWN, info=replace(UNKNOWN, uses_prompts=True))
    assert "set EMBEDDING_QUERY_PROMPT and EMBEDDING_DOCUMENT_PROMPT" in report.prompts


def test_slow_endpoints_fail_the_speed_checks(run):
    def slow(vectors, texts):
        time.sleep(0.02)
        return vectors

    assert failed(run(slow, targets=Targets(10, 10, 1e9))) == {"latency p50", "latency p95", "throughput"}


def test_a_silent_rollback_is_seen(run):
    report = run(intended_config="c-2")
    assert failed(report) == {"configuration"}
    assert next(check for check in report.checks if check.name == "configuration").target == "c-2"


def _model_check(report):
    return next(check for check in report.checks if check.name == "model")


def test_validate_detects_another_model(run):
    other = replace(DEPLOYMENT, environment={"HF_MODEL_ID": "intfloat/e5-small-v2"})
    report = run(deployment=other)
    assert failed(report) == {"model"}
    assert (_model_check(report).figure, _model_check(report).target) == ("intfloat/e5-small-v2", MINILM)


def test_validate_skips_the_model_check_without_a_name(run):
    report = run(deployment=replace(DEPLOYMENT, environment={}))
    assert report.passed
    assert _model_check(report).status == "skipped"
    assert "not verified" in _model_check(report).figure
    tagged = replace(DEPLOYMENT, environment={"HF_MODEL_ID": "/opt/ml/model"}, tags={"embedstack:model-id": MINILM})
    assert _model_check(run(deployment=tagged)).status == "passed"


def test_validate_does_not_invoke_an_endpoint_out_of_service(run):
    def invoked(vectors, texts):
        raise AssertionError

    report = run(invoked, replace(DEPLOYMENT, status="Failed", failure_reason="no such model"))
    assert [(check.name, check.status) for check in report.checks] == [("status", "failed")]
    assert "no such model" in report.checks[0].figure


class Sleeper:
    """An endpoint without capacity that a request wakes, after so many looks."""

    def __init__(self, looks):
        self.looks = looks
        self.requests = 0

    def answer(self, vectors, texts):
        if self.looks > 0:
            self.requests += 1
            raise EndpointAsleep("asleep")
        return vectors

    def capacity(self):
        if self.requests:
            self.looks -= 1
        return int(self.looks <= 0)


def test_validate_wakes_an_endpoint_only_if_allowed(run):
    sleeper = Sleeper(looks=3)
    report = run(sleeper.answer, replace(DEPLOYMENT, capacity=0))
    assert report.passed
    assert [check.status for check in report.checks] == ["passed", "skipped", "skipped"]
    assert "--wake-minutes" in report.checks[-1].figure
    assert sleeper.requests == 0, "a request would have woken it"


@pytest.mark.parametrize(("capacity", "found"), [(0, "passed"), (1, "failed")])
def test_validate_accepts_an_endpoint_that_is_waking_up(run, capacity, found):
    sleeper = Sleeper(looks=1)
    waking = ScaleFromZero(60, sleeper.capacity, pause_seconds=0.01)
    report = run(sleeper.answer, replace(DEPLOYMENT, capacity=capacity, status="Updating"), scale_from_zero=waking)
    assert (report.checks[0].status, report.checks[0].figure) == (found, "Updating")


def test_validate_accepts_an_endpoint_that_scales_to_zero_meanwhile(run):
    report = run(Sleeper(looks=3).answer, replace(DEPLOYMENT, capacity=1))
    assert report.passed
    assert report.checks[-1].name == "first call"


def test_first_response_sends_one_request_until_capacity_runs(run):
    sleeper = Sleeper(looks=3)
    waking = ScaleFromZero(60, sleeper.capacity, pause_seconds=0.01)
    report = run(sleeper.answer, replace(DEPLOYMENT, capacity=0), scale_from_zero=waking)
    assert report.passed
    assert report.checks[-1].name == "throughput"
    assert sleeper.requests == 1


def test_validate_fails_if_the_endpoint_does_not_wake_in_time(run):
    waking = ScaleFromZero(0.03, lambda: 0, pause_seconds=0.01)
    report = run(Sleeper(looks=1000).answer, replace(DEPLOYMENT, capacity=0), scale_from_zero=waking)
    assert failed(report) == {"first call"}
    assert "auto scaling" in report.checks[-1].figure
    assert report.checks[-1].name == "first call"


def test_validate_skips_the_speed_of_asynchronous_endpoints(run):
    report = run(deployment=replace(DEPLOYMENT, is_async=True), targets=Targets(0, 0, 1e9))
    assert report.passed
    skipped = [check.name for check in report.checks if check.status == "skipped"]
    assert skipped == ["configuration", "latency p50", "latency p95", "throughput"]


def test_validate_continues_after_a_check_with_an_error(run):
    calls = itertools.count()

    def throttled_once(vectors, texts):
        if next(calls) == 1:
            raise Throttled("too many at once")
        return vectors

    report = run(throttled_once)
    assert [check.figure for check in report.checks if check.status == "failed"] == ["too many at once"]
    assert report.checks[-1].name == "throughput"


@pytest.mark.parametrize(
    ("image", "environment", "precision"),
    [
        ("x/tei:1-gpu-y", {}, "reduced"),
        ("x/tei-cpu:1-cpu-y", {}, "fp32"),
        ("x/tei:1-gpu-y", {"DTYPE": "float32"}, "fp32"),
    ],
)
def test_precision_to_expect(image, environment, precision):
    assert replace(DEPLOYMENT, image=image, environment=environment).precision == precision


def test_reports_for_machines(run):
    report = run(intended_config="c-2")
    document = json.loads(to_json(report))
    assert document["passed"] is False
    assert [check["name"] for check in document["checks"]] == [check.name for check in report.checks]
    suite = ET.fromstring(to_junit(report))
    assert (suite.get("tests"), suite.get("failures")) == (str(len(report.checks)), "1")
    assert [case.get("name") for case in suite if case.find("failure") is not None] == ["configuration"]


def test_golden_texts_are_varied():
    texts = golden_texts()
    assert len(set(texts)) == len(texts) >= 60
    assert min(map(len, texts)) == 1
    assert max(map(len, texts)) > 2000
