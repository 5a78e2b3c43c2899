"""``embedstack costs prices``: shown, checked, and refreshed from a price list over HTTP."""

import json
from decimal import Decimal

import pytest
from click.testing import CliRunner

from embedstack.costs.price_book import PriceBook
from embedstack_ops.cli.main import main
from tests.support.price_list_server import product, serve_price_list

REGION = "eu-central-1"
HOSTING = "sagemaker/hosting/ml.g5.xlarge"


def run(*arguments):
    return CliRunner().invoke(main, ["costs", "prices", *arguments], prog_name="embedstack")


@pytest.fixture
def refresh(tmp_path, monkeypatch):
    """Refresh products from a price list; returns the result, and the price file."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    file = tmp_path / "prices.yaml"

    def refresh(price_list, *products):
        options = [option for name in products for option in ("--product", name)]
        with serve_price_list(price_list) as address:
            monkeypatch.setenv("AWS_ENDPOINT_URL", address)
            return run("--refresh", "--region", REGION, "--output", str(file), *options), file

    return refresh


def test_refresh_writes_a_price_file_that_takes_precedence(refresh):
    result, file = refresh([product("EUC1-Host:ml.g5.xlarge", "1.7600000000")], HOSTING)
    assert result.exit_code == 0, result.output
    price = PriceBook.load(file).price(REGION, HOSTING)
    assert (price.amount, price.settled) == (Decimal("1.76"), True)
    assert (str(price.published), str(price.effective)) == ("2026-09-28", "2026-09-01")


def test_refresh_takes_the_row_of_the_component_and_the_term(refresh):
    result, file = refresh(
        [
            product("EUC1-AsyncInf:ml.g5.xlarge", "1.9"),
            product("EUC1-Host:ml.g5.xlarge", "1.2", term="Reserved"),
            product("EUC1-Host:ml.g5.xlarge", "1.8", region="eu-west-1"),
            product("EUC1-Host:ml.g5.xlarge", "1.76"),
        ],
        HOSTING,
        "sagemaker/async/ml.g5.xlarge",
    )
    assert result.exit_code == 0, result.output
    book = PriceBook.load(file)
    assert book.price(REGION, HOSTING).amount == Decimal("1.76")
    assert book.price(REGION, "sagemaker/async/ml.g5.xlarge").amount == Decimal("1.9")


def test_refresh_matches_whole_usage_types(refresh):
    result, file = refresh(
        [
            product("EUC1-ServerlessInf:Mem-10GB", "0.0003", "Sec"),
            product("EUC1-ServerlessInf:Mem-1GB-Extra", "0.0004", "Sec"),
            product("EUC1-ProvisionedConcurrency:Mem-1GB", "0.00001", "Sec"),
            product("EUC1-ServerlessInf:Mem-1GB", "0.000024", "Sec"),
        ],
        "sagemaker/serverless/compute",
    )
    assert result.exit_code == 0, result.output
    assert PriceBook.load(file).price(REGION, "sagemaker/serverless/compute").amount == Decimal("0.000024")


def test_refresh_converts_bedrock_units(refresh):
    usage_type = "EUC1-TitanEmbeddingV2-Text-input-tokens"
    key = "bedrock/amazon.titan-embed-text-v2:0/input-tokens"
    result, file = refresh([product(usage_type, "0.000024", "1K tokens", service="AmazonBedrock")], key)
    assert result.exit_code == 0, result.output
    assert PriceBook.load(file).price(REGION, key).amount == Decimal("0.024")


@pytest.mark.parametrize(("price_list", "problem"), [
    ([], "has no on-demand price of"),
    ([product("EUC1-Host:ml.g5.xlarge", "1.7")] * 2, "has 2 on-demand prices of"),
    ([product("EUC1-Host:ml.g5.xlarge", "0")], "has the price 0 of"),
    ([product("EUC1-Host:ml.g5.xlarge", "1.7", "Quantity")], "has the unit 'Quantity' for"),
])  # fmt: skip
def test_refresh_without_exactly_one_price_changes_nothing(refresh, price_list, problem):
    _, file = refresh([product("EUC1-Host:ml.g5.xlarge", "1.5")], HOSTING)
    before = file.read_bytes()
    result, _ = refresh(price_list, HOSTING, "sagemaker/hosting/ml.g5.xlarge")
    assert result.exit_code == 2
    assert problem in result.output
    assert f"{HOSTING} in {REGION} (usage type Host:ml.g5.xlarge)" in result.output
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_refresh_keeps_the_other_prices_of_the_file(refresh):
    refresh([product("EUC1-Host:ml.g5.xlarge", "1.5")], HOSTING)
    result, file = refresh([product("EUC1-Host:ml.m5.xlarge", "0.28")], "sagemaker/hosting/ml.m5.xlarge")
    assert result.exit_code == 0, result.output
    assert PriceBook.load(file).price(REGION, HOSTING).amount == Decimal("1.5")


def test_refresh_needs_products_with_a_known_usage_type(refresh):
    result, _ = refresh([], "s3vectors/storage")
    assert result.exit_code == 2
    assert "s3vectors/storage cannot be read from the Price List" in result.output


def test_prices_as_json_have_sources_and_age():
    result = run("--region", "us-east-1", "--product", "hosting/ml.m5.xlarge", "--json")
    (row,) = json.loads(result.stdout)
    assert (row["usd"], row["settled"]) == ("0.23", True)
    assert row["age_days"] > 0
    assert len(row["sources"]) == 3


def test_old_prices_are_warned_about():
    result = run("--region", "eu-west-1")
    assert result.exit_code == 0
    assert "prices are older than 90 days" in result.stderr


def test_filters_without_a_price_are_an_error():
    result = run("--region", "eu-central-1")
    assert result.exit_code == 2
    assert "Regions with prices: eu-west-1, us-east-1" in result.output


def test_check_accepts_the_packaged_prices():
    assert run("--check").exit_code == 0


@pytest.mark.parametrize(("instance_type", "usd", "problem"), [
    ("ml.inf2.xlarge", "0.758", "is EC2's price"),
    ("ml.g6e.xlarge", "1.861", "is EC2's price"),
    ("ml.m5.large", "0.0960", "is EC2's price"),
    ("ml.g5.xlarge", "1.10", "1.09 times EC2's price"),
    ("ml.g5.xlarge", "1.60", "1.59 times EC2's price"),
])  # fmt: skip
def test_check_flags_prices_copied_from_ec2(tmp_path, monkeypatch, instance_type, usd, problem):
    file = tmp_path / "prices.yaml"
    entry = f"sagemaker/hosting/{instance_type}: {{usd: {usd}, per: hour}}"
    file.write_text(f"read: 2026-11-30\nprices:\n  us-east-1:\n    {entry}\n", encoding="utf-8")
    monkeypatch.setenv("COSTS_PRICES_FILE", str(file))
    result = run("--check")
    assert result.exit_code == 1
    assert f"sagemaker/hosting/{instance_type} in us-east-1: {usd} USD" in result.output
    assert problem in result.output
