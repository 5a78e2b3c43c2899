"""The price book: which prices are settled, what is unknown, and what a price file may contain."""

from datetime import date
from decimal import Decimal

import pytest

from embedstack.costs.price_book import PACKAGED_PRICES, PriceBook
from embedstack.costs.price_file import read_price_file
from embedstack.errors import ConfigurationError, UnknownPrice

EAST = "us-east-1"
SOURCES = """
sources:
  first: {title: First, date: 2026-08-01}
  second: {title: Second, date: 2026-09-01}
  older: {title: Older, date: 2025-01-01}
  undated: {title: Undated}
  aws: {title: Price List, date: 2026-10-01, first_hand: true}
"""


@pytest.fixture(scope="module")
def book():
    return PriceBook.load()


@pytest.fixture
def load(tmp_path):
    """Load a book with an overlay: entries of us-east-1, or the text of a whole file."""

    def load(entries, *, whole=False):
        file = tmp_path / "prices.yaml"
        text = entries if whole else f"read: 2026-11-30{SOURCES}prices:\n  us-east-1:\n{entries}"
        file.write_text(text, encoding="utf-8")
        return PriceBook.load(file)

    return load


def entry(sources, usd="0.5", more=""):
    return f"    sagemaker/hosting/ml.m7i.large: {{usd: {usd}, per: hour, sources: {sources}{more}}}\n"


@pytest.mark.parametrize(("product", "amount", "settled"), [
    ("sagemaker/hosting/ml.m5.xlarge", "0.23", True),
    ("sagemaker/hosting/ml.c5.xlarge", "0.204", True),
    ("sagemaker/hosting/ml.g4dn.xlarge", "0.7364", True),
    ("sagemaker/hosting/ml.g5.xlarge", "1.408", True),
    ("sagemaker/hosting/ml.m5.2xlarge", "0.461", False),
    ("sagemaker/hosting/ml.inf2.xlarge", "0.99", False),
    ("sagemaker/hosting/ml.g6e.xlarge", "2.61", False),
    ("sagemaker/serverless/compute", "0.00002", True),
    ("sagemaker/data-in", "0.016", False),
    ("bedrock/amazon.titan-embed-text-v2:0/input-tokens", "0.02", True),
    ("bedrock/amazon.titan-embed-text-v2:0/batch-input-tokens", "0.01", False),
    ("s3vectors/processed-beyond", "0.002", True),
    ("lambda/compute", "0.0000166667", True),
    ("aurora/acu", "0.12", True),
    ("aurora/io", "0.20", False),
    ("cloudwatch/get-metric-data", "0.01", True),
    ("cloudwatch/alarm", "0.10", False),
])  # fmt: skip
def test_packaged_price_and_whether_it_is_settled(book, product, amount, settled):
    price = book.price(EAST, product)
    assert price.amount == Decimal(amount)
    assert price.settled is settled


def test_every_packaged_price_names_its_sources(book):
    assert all(price.sources and price.sources[0].title for _, price in book.rows())


def test_async_uses_hostings_price_as_an_estimate(book):
    price = book.price(EAST, "sagemaker/async/ml.g5.xlarge")
    assert price.amount == Decimal("1.408")
    assert not price.settled


def test_component_without_a_source_has_no_price(book):
    with pytest.raises(UnknownPrice):
        book.price(EAST, "sagemaker/transform/ml.g5.xlarge")


@pytest.mark.parametrize(("region", "product"), [
    ("eu-central-1", "sagemaker/hosting/ml.m5.xlarge"),
    ("eu-central-1", "sagemaker/serverless/compute"),
    ("eu-west-1", "sagemaker/serverless/compute"),
    ("eu-west-1", "bedrock/amazon.titan-embed-text-v2:0/input-tokens"),
    (EAST, "sagemaker/serverless/provisioned-concurrency"),
])  # fmt: skip
def test_missing_price_is_an_error_that_names_the_ways_out(book, region, product):
    with pytest.raises(UnknownPrice) as unknown:
        book.price(region, product)
    message = str(unknown.value)
    assert product in message
    assert region in message
    assert all(way in message for way in ("--refresh", "COSTS_PRICES_FILE", "--price", "--region-of-prices"))


def test_mistyped_product_gets_a_suggestion(book):
    with pytest.raises(UnknownPrice, match=r"Did you mean .*s3vectors/storage"):
        book.price(EAST, "s3vector/storage")


def test_prices_of_another_region_are_estimates(book):
    price = book.estimated("eu-central-1", EAST).price("eu-central-1", "sagemaker/hosting/ml.m5.xlarge")
    assert (price.amount, price.settled, price.region) == (Decimal("0.23"), False, EAST)


def test_stated_price_takes_precedence(book):
    stated = book.with_price("eu-central-1", "sagemaker/hosting/ml.m5.xlarge", Decimal("0.3"), read=date(2026, 12, 1))
    assert stated.price("eu-central-1", "sagemaker/hosting/ml.m5.xlarge").amount == Decimal("0.3")


@pytest.mark.parametrize("amount", ["-1", "NaN", "Infinity"])
def test_stated_price_must_be_a_finite_amount(book, amount):
    with pytest.raises(ConfigurationError, match="Pass an amount of 0 or more"):
        book.with_price(EAST, "sagemaker/volume", Decimal(amount), read=date(2026, 12, 1))


@pytest.mark.parametrize(("sources", "settled"), [
    ("[first, second]", True),
    ("[first]", False),
    ("[first, undated]", False),
    ("[first, {second: 0.5001}]", True),
    ("[first, {second: 0.51}]", False),
    ("[older, first, {second: 0.6}]", False),
    ("[first, second, {older: 0.6}]", True),
    ("[aws]", True),
])  # fmt: skip
def test_price_is_settled_by_two_dated_sources_that_agree(load, sources, settled):
    assert load(entry(sources)).price(EAST, "sagemaker/hosting/ml.m7i.large").settled is settled


def test_overlay_replaces_single_prices(load):
    book = load("    sagemaker/volume: {usd: 0.2, per: GB-month}\n")
    assert book.price(EAST, "sagemaker/volume").amount == Decimal("0.2")
    assert book.price(EAST, "sagemaker/hosting/ml.m5.xlarge").amount == Decimal("0.23")


def test_zero_price_is_unknown_unless_it_is_free(load):
    with pytest.raises(UnknownPrice, match=r"given as 0 by First.*free: true"):
        load(entry("[first]", "0")).price(EAST, "sagemaker/hosting/ml.m7i.large")
    assert load(entry("[first]", "0", ", free: true")).price(EAST, "sagemaker/hosting/ml.m7i.large").amount == 0


def test_price_is_old_after_90_days(load):
    price = load(entry("[first, second]")).price(EAST, "sagemaker/hosting/ml.m7i.large")
    assert price.age(date(2026, 11, 30)) == 90
    assert not price.is_old(date(2026, 11, 30))
    assert price.is_old(date(2026, 12, 1))


def test_published_and_effective_dates_are_kept(load):
    price = load(entry("[aws]", more=", published: 2026-09-28, effective: 2026-09-01")).price(
        EAST, "sagemaker/hosting/ml.m7i.large"
    )
    assert (price.published, price.effective) == (date(2026, 9, 28), date(2026, 9, 1))


@pytest.mark.parametrize(("entries", "problem"), [
    (entry("[first]", "-0.1"), r"line 10: .*is negative: -0\.1"),
    (entry("[first]", "NaN"), "'NaN'; write a finite amount"),
    (entry("[first]", '"0,5"'), "'0,5'; write US dollars as"),
    (entry("[first]") * 2, r"line 11: .*twice; remove one"),
    (entry("[third]"), "names the source 'third', which"),
    (entry("[first, first]"), "names the source 'first' twice"),
    (entry("[first]").replace("per: hour", "per: minute"), "write per: hour"),
    (entry("[first]", more=", settled: true"), "unknown field 'settled'"),
    (entry("[first]", more=", effective: 20260901"), "write a date as 2026-11-30"),
    ("    sagemaker/hosting/m5.xlarge: {usd: 1, per: hour}\n", "is not a product"),
    ("    sagemaker/volume: {per: GB-month}\n", "needs usd"),
    ("    sagemaker/volume: 0.14\n", "is not a mapping"),
])  # fmt: skip
def test_bad_price_file_is_an_error_with_line_and_remedy(load, entries, problem):
    with pytest.raises(ConfigurationError, match=problem) as error:
        load(entries)
    assert "prices.yaml, line" in str(error.value)


@pytest.mark.parametrize(("text", "problem"), [
    ("", "is empty"),
    ("prices: {}\n", "has no read"),
    ("read: 2026-11-30\nprices: {europe: {}}\n", "'europe' is not a region"),
    ("read: [\n", "is not valid YAML"),
])  # fmt: skip
def test_file_that_is_no_price_file_is_refused(load, text, problem):
    with pytest.raises(ConfigurationError, match=problem):
        load(text, whole=True)


def test_missing_price_file_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match=r"absent\.yaml cannot be read.*COSTS_PRICES_FILE"):
        PriceBook.load(tmp_path / "absent.yaml")


def test_costs_prices_file_is_read(load, tmp_path, monkeypatch):
    load("    sagemaker/volume: {usd: 0.2, per: GB-month}\n")
    monkeypatch.setenv("COSTS_PRICES_FILE", str(tmp_path / "prices.yaml"))
    assert PriceBook.load().price(EAST, "sagemaker/volume").amount == Decimal("0.2")


def test_packaged_prices_are_a_valid_price_file():
    assert len(read_price_file(PACKAGED_PRICES).prices) > 100
