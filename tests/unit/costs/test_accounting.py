"""What calls of embedders, rerankers and caches leave in the ledger."""

import asyncio
from decimal import Decimal

import pytest
from pydantic import SecretStr

from embedstack import load_embedder
from embedstack.costs.accounting import Accountant, Service, fixed
from embedstack.costs.attribution import attribute
from embedstack.costs.budget import open_guard
from embedstack.costs.ledger import Ledger, open_ledger
from embedstack.costs.tariffs import DurationTariff, QueryTariff, SharedTariff, Tariff, TokenTariff, Unpriced, Usage
from embedstack.embedders import Embedder, FakeEmbedder, Price
from embedstack.errors import CountMismatch, EndpointUnavailable, ModelFailed
from embedstack.rerankers.load import load_reranker
from embedstack.settings.settings import Settings


@pytest.fixture
def settings(tmp_path):
    return Settings(
        embedding_backend="fake", reranker_backend="fake", costs_ledger=SecretStr(str(tmp_path / "ledger.db"))
    )


@pytest.fixture
def ledger(settings):
    ledger = open_ledger(settings)
    assert ledger is not None
    yield ledger
    ledger.close()


def total(ledger, *group_by):
    return ledger.totals(0, 2**40, group_by)


@pytest.mark.parametrize(
    ("tariff", "usage", "cost"),
    [
        # 0.02 USD per million tokens are 20,000 picodollars a token.
        (TokenTariff(Decimal("0.02")), Usage(tokens=250), 250 * 20_000),
        (TokenTariff(Decimal("0.72"), Decimal("0.9")), Usage(tokens=10, output_tokens=100), 7_200_000 + 90_000_000),
        (TokenTariff(Decimal("0.02")), Usage(), 0),
        (QueryTariff(Decimal("0.002")), Usage(texts=1), 2 * 10**9),
        (QueryTariff(Decimal("0.002")), Usage(texts=100), 2 * 10**9),
        (QueryTariff(Decimal("0.002")), Usage(texts=101), 4 * 10**9),
        # 2 GB at 0.00002 USD per GB-second: 40,000 picodollars a millisecond, rounded up.
        (DurationTariff(Decimal("0.00002"), 2048), Usage(milliseconds=100), 4_000_000),
        (DurationTariff(Decimal("0.00002"), 2048), Usage(milliseconds=0.4), 40_000),
        (DurationTariff(Decimal("0.00002"), 3072), Usage(milliseconds=10_000), 6 * 10**8),
        (SharedTariff(), Usage(tokens=10, milliseconds=10), 0),
        (Unpriced("no price"), Usage(tokens=10), None),
        (Price(per_million_tokens=0.1, per_second=0.001, per_request=0.5), Usage(tokens=10, milliseconds=100),
         1_000_000 + 10**8 + 5 * 10**11),
        (Price(), Usage(tokens=10, milliseconds=100), 0),
    ],
)  # fmt: skip
def test_tariff_charges_usage(tariff, usage, cost):
    assert tariff.cost(usage) == cost


def test_failures_cost_what_aws_processed():
    usage = Usage(milliseconds=100)
    serverless = DurationTariff(Decimal("0.00002"), 2048)
    assert serverless.failure_cost(ModelFailed("failed"), usage) == 4_000_000
    assert serverless.failure_cost(EndpointUnavailable("gone"), usage) == 0
    assert TokenTariff(Decimal("0.02")).failure_cost(ModelFailed("failed"), usage) == 0


def test_each_request_is_a_record(settings, ledger):
    with load_embedder(settings) as embedder, attribute(key="k1", context="code"):
        embedder.embed(["one", "two", "three"])
        embedder.embed_query("four")
    totals = {each.group["kind"]: each for each in total(ledger, "kind", "backend", "key", "context")}
    assert {tuple(each.group.values())[1:] for each in totals.values()} == {("fake", "k1", "code")}
    document = totals["document"]
    assert (document.calls, document.texts, document.request_bytes, document.cost) == (1, 3, 11, 0)
    assert document.tokens >= 3
    assert document.milliseconds > 0
    assert (totals["query"].texts, totals["query"].unpriced_calls) == (1, 0)


def test_async_calls_and_threads_inherit_the_attribution(settings, ledger):
    async def work(embedder, key):
        with attribute(key=key):
            await embedder.aembed(["one", "two", "three"])

    async def both(embedder):
        await asyncio.gather(work(embedder, "k1"), work(embedder, "k2"))

    with load_embedder(settings) as embedder:
        asyncio.run(both(embedder))
    assert [(each.group["key"], each.texts) for each in total(ledger, "key")] == [("k1", 3), ("k2", 3)]


@pytest.mark.parametrize("is_async", [False, True])
def test_cache_hits_are_one_record_that_costs_nothing(settings, ledger, is_async):
    texts = [f"text {number}" for number in range(1_000)]
    with load_embedder(settings, embedstack_cache_mb=10) as embedder:
        embedder.embed(texts)
        before = total(ledger)[0]
        if is_async:
            asyncio.run(embedder.aembed(texts))
        else:
            embedder.embed(texts)
    after = total(ledger)[0]
    assert (after.calls - before.calls, after.texts - before.texts, after.cost) == (1, 0, 0)
    assert after.cache_hits - before.cache_hits == 1_000
    assert after.tokens_saved - before.tokens_saved == before.tokens


def test_reranker_is_recorded_with_its_cache(settings, ledger):
    with load_reranker(settings, embedstack_cache_mb=10) as reranker:
        reranker.rerank("query", ["one", "two"])
        reranker.rerank("query", ["one", "two"])
    (only,) = total(ledger, "kind")
    assert (only.group["kind"], only.calls, only.texts, only.cache_hits) == ("rerank", 2, 2, 2)


def test_stated_price_is_charged_and_in_the_stats(settings, ledger):
    with FakeEmbedder(price=Price(per_request=0.25)) as embedder:
        embedder.account(settings)
        embedder.embed(["one"])
        assert embedder.stats().cost_usd == 0.25
    assert total(ledger)[0].cost == 25 * 10**10


def test_failed_requests_are_errors_without_texts(settings, ledger):
    class Broken(FakeEmbedder):
        def embed_batch(self, texts, kind):
            raise EndpointUnavailable("The endpoint is gone.")

    with Broken() as embedder:
        embedder.account(settings)
        with pytest.raises(EndpointUnavailable):
            embedder.embed(["one"])
    only = total(ledger)[0]
    assert (only.calls, only.errors, only.texts, only.cost) == (1, 1, 0, 0)


def test_embedder_of_an_unknown_backend_is_unpriced(settings, ledger):
    class Custom(FakeEmbedder):
        service = Embedder.service

    with Custom() as embedder:
        embedder.account(settings)
        embedder.embed(["one"])
    only = total(ledger)[0]
    assert (only.calls, only.unpriced_calls, only.cost) == (1, 1, 0)


def test_broken_accounting_does_not_fail_calls(tmp_path, caplog):
    class Broken(Ledger):
        def record(self, record):
            raise ZeroDivisionError

    accountant = Accountant(Service("x", "", "m", fixed(SharedTariff())), ledger=Broken(str(tmp_path / "l")))
    for _ in range(3):
        seconds, cost = accountant.begin("query", 1).succeed(5)
        assert (seconds >= 0, cost) == (True, 0)
    assert accountant.failures == 3
    assert [record.message for record in caplog.records] == ["1 calls could not be recorded (ZeroDivisionError)."]


def test_nothing_is_recorded_without_a_ledger():
    with load_embedder(Settings(embedding_backend="fake")) as embedder:
        assert embedder.embed(["one"]).shape[0] == 1
        assert not embedder.runner.accountant.is_recording


def test_context_of_a_call_is_its_attribution(settings, ledger):
    with load_embedder(settings) as embedder, attribute(context="docs"):
        embedder.embed(["one"], context="code")
        asyncio.run(embedder.aembed(["two"], context="business"))
        embedder.embed(["three"])
    assert [each.group["context"] for each in total(ledger, "context")] == ["business", "code", "docs"]


def test_invalid_response_costs_what_a_valid_one_costs():
    usage = Usage(texts=1, tokens=10, milliseconds=1)
    error = CountMismatch("One vector is missing.")
    tariffs: list[Tariff] = [
        TokenTariff(Decimal("0.02")),
        QueryTariff(Decimal("0.002")),
        DurationTariff(Decimal("0.00002"), 1024),
    ]
    assert [tariff.failure_cost(error, usage) for tariff in tariffs] == [200_000, 2 * 10**9, 20_000]


def test_interrupted_call_is_unpriced(settings, ledger):
    class Interrupted(FakeEmbedder):
        def embed_batch(self, texts, kind):
            raise KeyboardInterrupt

    for price in (Price(per_million_tokens=1), Price()):
        with Interrupted(price=price) as embedder:
            embedder.account(settings)
            with pytest.raises(KeyboardInterrupt):
                embedder.embed(["one"])
    only = total(ledger)[0]
    assert (only.calls, only.errors, only.unpriced_calls) == (2, 2, 1)


def test_clients_of_one_process_share_a_guard(tmp_path):
    settings = Settings(costs_ledger=SecretStr(str(tmp_path / "ledger.db")), aws_cost_budget_limit=Decimal(5))
    ledger = open_ledger(settings)
    guard = open_guard(settings, ledger)
    assert guard is open_guard(settings, ledger)
    assert guard is not open_guard(settings.model_copy(update={"aws_cost_budget_limit": Decimal(6)}), ledger)
