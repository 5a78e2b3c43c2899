"""Costs of calls on the local AWS: usage times the price book, recomputed here."""

import io
import json
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from pydantic import SecretStr

from embedstack import load_embedder
from embedstack.costs.call_metrics import NAMESPACE, open_call_metrics
from embedstack.costs.ledger import open_ledger
from embedstack.costs.records import CallRecord
from embedstack.generation import Generator
from embedstack.rerankers.load import load_reranker
from tests.integration.embedders.conftest import aws, running  # noqa: F401 - fixtures

ENDPOINTS = ["tei"]
TITAN = "amazon.titan-embed-text-v2:0"


@pytest.fixture
def settings(aws, tmp_path):  # noqa: F811 - the fixture
    ledger = SecretStr(str(tmp_path / "ledger.db"))
    return aws.settings.model_copy(update={"costs_ledger": ledger, "sagemaker_endpoint": "tei"})


@pytest.fixture
def ledger(settings):
    ledger = open_ledger(settings)
    assert ledger is not None
    yield ledger
    ledger.close()


def only_total(ledger):
    (total,) = ledger.totals(0, 2**40, ["backend", "endpoint", "model"])
    return total


def test_bedrock_embeddings_cost_their_tokens(settings, ledger):
    with load_embedder(settings, embedding_backend="bedrock", bedrock_embedding_model_id=TITAN) as embedder:
        embedder.embed(["a short text", "another one"])
        stats = embedder.stats()
    total = only_total(ledger)
    assert total.group == {"backend": "bedrock", "endpoint": TITAN, "model": TITAN}
    # 0.02 USD per million tokens
    assert total.tokens == stats.tokens > 0
    assert total.cost == total.tokens * 20_000
    assert stats.cost_usd == pytest.approx(total.tokens * 0.02 / 1e6, abs=1e-12)


def test_bedrock_queries_cost_by_the_query(settings, ledger):
    with load_reranker(settings, reranker_backend="bedrock") as reranker:
        reranker.rerank("a query", ["one", "two", "three"])
    total = only_total(ledger)
    prices = {"cohere.rerank-v3-5:0": 2 * 10**9, "amazon.rerank-v1:0": 10**9}
    assert total.cost == prices[total.group["model"]]


@pytest.mark.parametrize("is_stream", [False, True])
def test_generation_is_recorded_with_both_kinds_of_tokens(settings, ledger, is_stream):
    generator = Generator("us.meta.llama3-3-70b-instruct-v1:0", settings=settings)
    if is_stream:
        assert "".join(generator.stream("Say hello."))
    else:
        reply = generator.generate("Say hello.")
        assert reply.output_tokens > 0
    total = only_total(ledger)
    stats = generator.stats()
    assert (total.calls, total.tokens, total.output_tokens) == (1, stats.input_tokens, stats.output_tokens)
    assert total.unpriced_calls or total.cost > 0


def test_serverless_endpoint_costs_milliseconds_and_memory(settings, ledger):
    with load_embedder(settings, embedding_backend="sagemaker") as embedder:
        embedder.embed(["a short text"])
        embedder.embed(["another one"])
    total = only_total(ledger)
    assert total.group["endpoint"] == "tei"
    # 2 GB at 0.00002 USD per GB-second are 40,000 picodollars a millisecond; each request is rounded up.
    assert total.cost % 40_000 == 0
    assert 0 <= total.cost / 40_000 - total.milliseconds < total.calls == 2


def test_memory_in_the_settings_needs_no_description(settings, ledger):
    changed = settings.model_copy(update={"sagemaker_serverless_memory_mb": 4096})
    with load_embedder(changed, embedding_backend="sagemaker") as embedder:
        embedder.embed(["a short text"])
    assert only_total(ledger).cost % 80_000 == 0


def test_metrics_of_calls_reach_cloudwatch(settings):
    metrics = open_call_metrics(settings.model_copy(update={"cloudwatch_metrics_enabled": True}))
    assert metrics is not None
    for milliseconds in (10.0, 30.0):
        metrics.add(
            CallRecord(
                at=0, backend="bedrock", endpoint="metrics-test", model="m", kind="document", texts=4, tokens=100,
                milliseconds=milliseconds, cost=4_000_000,
            )
        )  # fmt: skip
    metrics.add(CallRecord(at=0, backend="bedrock", endpoint="metrics-test", model="m", kind="query", is_error=True))
    metrics.flush()
    assert metrics.failures == 0
    now = datetime.now(UTC)
    cloudwatch = boto3.client("cloudwatch")

    def statistics(name):
        (point,) = cloudwatch.get_metric_statistics(
            Namespace=NAMESPACE, MetricName=name, Dimensions=[{"Name": "Endpoint", "Value": "metrics-test"}],
            StartTime=now - timedelta(hours=1), EndTime=now + timedelta(hours=1), Period=7200,
            Statistics=["Sum", "SampleCount", "Maximum"],
        )["Datapoints"]  # fmt: skip
        return point["Sum"], point["SampleCount"], point["Maximum"]

    assert statistics("EmbeddingRequestLatency") == (40, 2, 30)
    assert statistics("EmbeddingBatchSize") == (8, 2, 4)
    assert statistics("EmbeddingTokens") == (200, 2, 100)
    assert statistics("EmbeddingErrors") == (1, 3, 1)
    assert statistics("CostPerEmbedding") == (pytest.approx(2e-6), 2, pytest.approx(1e-6))


def test_metrics_in_lambda_are_log_lines(monkeypatch, settings):
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "search")
    output = io.StringIO()
    monkeypatch.setattr("sys.stdout", output)
    metrics = open_call_metrics(settings.model_copy(update={"cloudwatch_metrics_enabled": True}))
    assert metrics is not None
    metrics.add(
        CallRecord(at=12.5, backend="bedrock", endpoint="e", model="m", kind="query", texts=1, tokens=3, cost=60_000)
    )
    line = json.loads(output.getvalue())
    assert line["_aws"]["Timestamp"] == 12_500
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert (directive["Namespace"], directive["Dimensions"]) == (NAMESPACE, [["Endpoint"]])
    assert {metric["Name"]: line[metric["Name"]] for metric in directive["Metrics"]} == {
        "EmbeddingRequestLatency": 0, "EmbeddingBatchSize": 1, "EmbeddingTokens": 3, "EmbeddingErrors": 0,
        "CostPerEmbedding": 6e-8,
    }  # fmt: skip
