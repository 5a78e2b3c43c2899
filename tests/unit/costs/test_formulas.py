"""Formulas, against worked examples of AWS's pricing pages and a real bill."""

from decimal import Decimal

import pytest

from embedstack.costs.formulas import (
    FORECAST_HOURS,
    KB,
    aurora_capacity,
    bedrock_queries,
    bedrock_tokens,
    billed_milliseconds,
    cloudwatch,
    instance_hours,
    lambda_ephemeral_storage,
    lambda_invocations,
    lambda_provisioned_concurrency,
    month_hours,
    put_bytes,
    s3vectors_put,
    s3vectors_queries,
    s3vectors_storage,
    sagemaker_data,
    serverless_compute,
    transfer_out,
    volume,
)
from embedstack.costs.price_book import PriceBook
from embedstack.errors import UnknownPrice

EAST, IRELAND = "us-east-1", "eu-west-1"
FREE = (1_000_000, 400_000)


@pytest.fixture(scope="module")
def book():
    return PriceBook.load()


def shown(dollars: Decimal, digits: int = 6) -> str:
    return f"{dollars:.{digits}f}"


@pytest.mark.parametrize(
    ("vectors_in_index", "queries", "storage", "put", "processed"),
    [(250_000, 1_000_000, "3.530502", "1.961390", "5.870456"),
     (10_000_000, 10_000_000, "141.220093", "78.455607", "997.617418")],
)  # fmt: skip
def test_s3vectors_matches_aws_examples(book, vectors_in_index, queries, storage, put, processed):
    size = Decimal("6.17") * KB
    vectors = 40 * vectors_in_index
    assert shown(s3vectors_storage(book, EAST, size * vectors)) == storage
    assert shown(s3vectors_put(book, EAST, size * vectors / 6)) == put
    assert shown(s3vectors_queries(book, EAST, queries, vectors_in_index, Decimal("5.17") * KB)) == processed


@pytest.mark.parametrize(("vectors_in_index", "queries", "total"), [
    (250_000, 1_000_000, "11.362349"), (10_000_000, 10_000_000, "1217.293117"),
])  # fmt: skip
def test_s3vectors_total_is_summed_before_rounding(book, vectors_in_index, queries, total):
    size = Decimal("6.17") * KB * 40 * vectors_in_index
    dollars = (
        s3vectors_storage(book, EAST, size)
        + s3vectors_put(book, EAST, size / 6)
        + s3vectors_queries(book, EAST, queries, vectors_in_index, Decimal("5.17") * KB)
    )
    assert shown(dollars) == total


def test_s3vectors_of_minilm_vectors(book):
    size = 1536 + 36 + 200 + 800
    assert shown(s3vectors_storage(book, EAST, size * 1_000_000)) == "0.143722"
    assert shown(s3vectors_put(book, EAST, put_bytes(1_000_000, size, 500))) == "0.479072"
    assert shown(s3vectors_queries(book, EAST, 1_000_000, 1_000_000, 1536 + 36 + 200)) == "6.045574"


def test_s3vectors_put_has_a_minimum_per_request(book):
    each = Decimal("2.5") * KB
    assert shown(s3vectors_put(book, EAST, put_bytes(1000, each, 1))) == "0.024414"
    assert shown(s3vectors_put(book, EAST, put_bytes(1000, each, 500))) == "0.000477"


def test_put_bytes_counts_the_last_partial_request():
    assert put_bytes(501, 1024, 500) == 500 * 1024 + 128 * KB


def test_lambda_subtracts_the_free_tier_that_is_passed(book):
    assert shown(lambda_invocations(book, EAST, 3_000_000, 120, 1536, free=FREE)) == "2.733338"
    assert shown(lambda_invocations(book, EAST, 7_440_000, 2000, 1024)) == "249.488496"


def test_lambda_free_tier_never_makes_a_negative_amount(book):
    assert lambda_invocations(book, EAST, 10, 100, 128, free=FREE) == 0


def test_lambda_charges_ephemeral_storage_beyond_512_mb(book):
    compute = lambda_invocations(book, EAST, 6_000_000, 280, 4096, free=FREE)
    storage = lambda_ephemeral_storage(book, EAST, 6_000_000, 280, 2048)
    assert shown(storage, 2) == "0.08"
    assert shown(compute + storage, 2) == "106.41"
    assert lambda_ephemeral_storage(book, EAST, 6_000_000, 280, 512) == 0


def test_lambda_provisioned_concurrency_example(book):
    ready = lambda_provisioned_concurrency(book, EAST, 1536, 100, 8 * 3600)
    # The million free requests are used by the ones outside.
    inside = lambda_invocations(book, EAST, 500_000, 100, 1536, is_provisioned=True)
    outside = lambda_invocations(book, EAST, 2_500_000, 120, 1536, free=FREE)
    assert shown(ready, 2) == "18.00"
    assert shown(ready + inside + outside) == "19.962644"


def test_lambda_provisioned_concurrency_rounds_up_to_five_minutes(book):
    assert shown(lambda_provisioned_concurrency(book, EAST, 1024, 1, 61), 5) == "0.00125"
    assert lambda_provisioned_concurrency(book, EAST, 1024, 1, 300) == 300 * Decimal("0.0000041667")
    assert lambda_provisioned_concurrency(book, EAST, 1024, 1, 301) == 600 * Decimal("0.0000041667")


@pytest.mark.parametrize(("component", "instance_type", "hours", "dollars"), [
    ("hosting", "ml.m5.xlarge", "8.208", "2.11"),
    ("hosting", "ml.g4dn.xlarge", "1.299", "1.07"),
    ("hosting", "ml.g4dn.4xlarge", "74.998", "125.85"),
    ("hosting", "ml.g4dn.12xlarge", "31.543", "172.00"),
    ("hosting", "ml.g5.12xlarge", "22.409", "177.26"),
    ("transform", "ml.m5.xlarge", "2.126", "0.55"),
])  # fmt: skip
def test_instance_hours_recompute_a_real_bill(book, component, instance_type, hours, dollars):
    assert shown(instance_hours(book, IRELAND, instance_type, Decimal(hours), component=component), 2) == dollars


def test_components_of_one_instance_type_have_their_own_prices(book):
    amounts = [
        instance_hours(book, IRELAND, "ml.g4dn.xlarge", 1, component=component)
        for component in ("hosting", "studio", "training")
    ]
    assert amounts == [Decimal("0.821"), Decimal("0.8218"), Decimal("0.822")]


def test_instance_hours_by_calendar_and_by_forecast(book):
    assert shown(instance_hours(book, EAST, "ml.c5.xlarge", 2 * month_hours(2026, 12)), 3) == "303.552"
    assert shown(instance_hours(book, EAST, "ml.m5.xlarge", FORECAST_HOURS), 2) == "167.90"


@pytest.mark.parametrize(("month", "hours"), [((2027, 2), 672), ((2028, 2), 696), ((2026, 11), 720), ((2026, 12), 744)])
def test_month_hours_are_the_calendars(month, hours):
    assert month_hours(*month) == hours


def test_asynchronous_wake_up_costs_hostings_price(book):
    for instance_type, low, high in (("ml.m5.2xlarge", "0.1537", "0.2305"), ("ml.m5.xlarge", "0.0767", "0.1150")):
        costs = [
            instance_hours(book, EAST, instance_type, Decimal(minutes) / 60, component="async") for minutes in (20, 30)
        ]
        assert [shown(each, 4) for each in costs] == [low, high]


def test_volume_is_charged_by_the_share_of_a_month(book):
    assert volume(book, IRELAND, 30, Decimal("0.5")) == Decimal("2.31")


@pytest.mark.parametrize(("memory_mb", "calls", "milliseconds", "dollars"), [
    (3072, 1000, 1000, "0.06"), (3072, 1000, 10_000, "0.60"), (2048, 10_000_000, 100, "40.00"),
])  # fmt: skip
def test_serverless_compute_is_memory_times_time(book, memory_mb, calls, milliseconds, dollars):
    assert shown(serverless_compute(book, EAST, memory_mb, calls * milliseconds), 2) == dollars


def test_sagemaker_data_uses_binary_gigabytes(book):
    assert shown(sagemaker_data(book, EAST, 10_000_000 * 10 * KB, 0)) == "1.525879"


def test_billed_milliseconds_round_each_request_up_by_default():
    calls = [0.4] * 10_000
    assert billed_milliseconds(calls) == 10_000
    assert billed_milliseconds(calls, round_up=False) == 4000


def test_bedrock_tokens_on_demand_and_in_batches(book):
    model = "amazon.titan-embed-text-v2:0"
    assert bedrock_tokens(book, EAST, model, 250_000_000) == 5
    assert bedrock_tokens(book, EAST, model, 250_000_000, is_batch=True) == Decimal("2.5")
    assert shown(bedrock_tokens(book, EAST, model, 18_059_974), 8) == "0.36119948"
    assert shown(bedrock_tokens(book, EAST, model, 22_361_870), 7) == "0.4472374"


def test_bedrock_generation_charges_output_tokens(book):
    dollars = bedrock_tokens(book, EAST, "amazon.nova-pro-v1:0", 1_000_000, output_tokens=1_000_000)
    assert dollars == Decimal("4.0")


@pytest.mark.parametrize(("model", "dollars"), [
    ("amazon.titan-embed-text-v1", "0.10"), ("cohere.embed-english-v3", "0.10"), ("cohere.embed-v4:0", "0.12"),
    ("amazon.nova-2-multimodal-embeddings-v1:0", "0.135"),
])  # fmt: skip
def test_bedrock_embedding_models_per_million_tokens(book, model, dollars):
    assert bedrock_tokens(book, EAST, model, 1_000_000) == Decimal(dollars)


def test_bedrock_rerankers_charge_queries(book):
    assert bedrock_queries(book, EAST, "amazon.rerank-v1:0", 1000) == 1
    assert bedrock_queries(book, EAST, "cohere.rerank-v3-5:0", 1000) == 2


def test_aurora_capacity_hours(book):
    assert aurora_capacity(book, EAST, Decimal("0.5") * FORECAST_HOURS) == Decimal("43.80")
    assert aurora_capacity(book, EAST, 720) == Decimal("86.40")
    assert aurora_capacity(book, EAST, 0) == 0


def test_cloudwatch_counts_each_combination_of_dimensions(book):
    assert cloudwatch(book, EAST, metrics=5 * 3 * 4) == 18
    assert cloudwatch(book, EAST, metrics_read=20 * 60 * 24 * 30) == Decimal("8.64")
    assert cloudwatch(book, EAST, alarms=2, dashboards=1, log_bytes=1024**3) == Decimal("3.70")


@pytest.mark.parametrize(("gigabytes", "dollars"), [
    (100, "0"), (101, "0.09"), (1024, "83.16"), (60 * 1024, "5111.00"), (151 * 1024, "11613.40"),
])  # fmt: skip
def test_transfer_out_is_charged_by_tiers(book, gigabytes, dollars):
    assert transfer_out(book, EAST, gigabytes) == Decimal(dollars)


def test_unknown_price_in_a_formula_is_an_error_not_zero(book):
    with pytest.raises(UnknownPrice, match=r"ml\.m5\.xlarge in eu-central-1 is unknown"):
        instance_hours(book, "eu-central-1", "ml.m5.xlarge", 0)
