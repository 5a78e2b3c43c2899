"""``embedstack costs simulate``: plans, money, ranges, targets, and input that is not valid."""

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from embedstack.costs.price_book import PriceBook
from embedstack.errors import ConfigurationError, UnknownPrice
from embedstack_ops.cli.main import main
from embedstack_ops.costs.plan import Endpoint, Plan, Scaling, Schedule, ServerlessCapacity, TargetTracking, Variant
from embedstack_ops.simulation.bills import bill
from embedstack_ops.simulation.comparison import Target, cheapest, compare
from embedstack_ops.simulation.configurations import (
    Bedrock,
    Instances,
    Serverless,
    TrackingPolicy,
    invocations_tracking,
)
from embedstack_ops.simulation.plan_configurations import plan_configurations
from embedstack_ops.simulation.service_times import Range, ServiceProfile
from embedstack_ops.simulation.simulation import simulate
from embedstack_ops.simulation.traces import Trace

TRACES = Path(__file__).parents[3] / "fixtures" / "traces"
REGION = "us-east-1"
HOUR = 3_600
PRICES = PriceBook.load()
PROFILE = ServiceProfile(0.1, cold_start_s=Range(0, 0), instance_start_s=Range(300, 300))
MONTH = Trace.of(np.arange(0, 730 * HOUR, 2.0), length=730 * HOUR)
TRACKED = Scaling(
    "instances",
    0,
    5,
    tracking=(TargetTracking("SageMakerVariantInvocationsPerInstance", True, 60.0, 300, 60),),
    schedules=(Schedule("night", "cron(0 20 * * ? *)", "Europe/Berlin", 0, 1),),
)


def command(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["costs", "simulate", *map(str, arguments)], env={"AWS_REGION": REGION})


def endpoint(kind: Any, **variant: Any) -> Plan:
    return Plan((Endpoint("aws_sagemaker_endpoint.e", "e", REGION, kind, (Variant("AllTraffic", **variant),)),), ())


def test_serverless_bill_is_time_times_memory() -> None:
    configuration = Serverless("s", memory_mb=3072)
    trace = Trace.of(np.arange(1_000) * 2.0, length=730 * HOUR)
    run = simulate(configuration, trace, ServiceProfile(1.0, cold_start_s=Range(0, 0)))
    assert bill(configuration, run, PROFILE, PRICES, REGION).total == Decimal("0.06")


@pytest.mark.parametrize(("rounds_up", "expected"), [(True, 10), (False, 4)])
def test_serverless_duration_is_rounded_up_to_milliseconds(rounds_up: bool, expected: float) -> None:
    trace = Trace.of(np.arange(10_000.0))
    profile = ServiceProfile(0.0004, cold_start_s=Range(5, 5))
    run = simulate(Serverless("s", rounds_up=rounds_up), trace, profile)
    assert run.billed_s == pytest.approx(expected)
    billed = simulate(Serverless("s", rounds_up=rounds_up, bills_setup=True), trace, profile)
    assert billed.billed_s == pytest.approx(expected + 5 * run.cold_starts, abs=0.01)


def test_data_transfer_is_billed_by_the_binary_gigabyte() -> None:
    configuration = Serverless("s", memory_mb=2048)
    run = simulate(configuration, Trace.of(np.arange(100_000.0), length=730 * HOUR), PROFILE)
    profile = ServiceProfile(0.1, request_bytes=10_240, response_bytes=0)
    lines = {line.product: line for line in bill(configuration, run, profile, PRICES, REGION).lines}
    assert lines["sagemaker/data-in"].quantity == pytest.approx(Decimal("0.95367431640625"))
    assert not lines["sagemaker/data-in"].settled


def test_instances_bill_hours_and_volumes() -> None:
    configuration = Instances("i", "ml.m5.xlarge", volume_gb=30)
    run = simulate(configuration, MONTH, PROFILE)
    amounts = [line.amount for line in bill(configuration, run, PROFILE, PRICES, REGION).lines]
    assert amounts == [pytest.approx(Decimal("167.90"), abs=Decimal("0.01")), pytest.approx(Decimal("4.20"))]


def test_bedrock_bills_tokens() -> None:
    configuration = Bedrock("b", "amazon.titan-embed-text-v2:0")
    trace = Trace.of(np.arange(1_000.0), tokens=np.full(1_000, 250_000), length=730 * HOUR)
    run = simulate(configuration, trace, PROFILE)
    assert bill(configuration, run, PROFILE, PRICES, REGION).total == Decimal("5.00")


def test_bedrock_quota_throttles() -> None:
    configuration = Bedrock("b", "amazon.titan-embed-text-v2:0", requests_per_minute=60)
    run = simulate(configuration, Trace.of(np.arange(0, 600, 0.5)), PROFILE)
    assert run.throttled_share == pytest.approx(0.45, abs=0.02)  # a minute's quota passes at once, then half


def test_scaled_instances_have_a_range_of_money() -> None:
    scaled = Instances("i", "ml.m5.xlarge", minimum=0, maximum=5, initial=1, tracking=(invocations_tracking(60),))
    trace = Trace.of(np.arange(0, 6 * HOUR, 0.5))
    (outcome,) = compare([scaled], trace, ServiceProfile(0.1), PRICES, REGION)
    assert outcome.bounds is not None
    low, high = outcome.bounds
    assert low == 0
    assert high == Decimal("839.50")
    assert low < outcome.money[0] <= outcome.money[1] < high


def test_cheapest_meets_the_target_in_all_runs() -> None:
    trace = Trace.of(np.arange(0, 2 * HOUR, 0.5))
    small, large = (
        Instances(kind, kind, concurrency=slots) for kind, slots in (("ml.m5.large", 1), ("ml.m5.2xlarge", 4))
    )
    outcomes = compare([large, small], trace, ServiceProfile(0.6), PRICES, REGION)
    assert cheapest(outcomes, Target(100, throttled_share=1)) is outcomes[1]
    assert cheapest(outcomes, Target(1)) is outcomes[0]
    assert cheapest(outcomes, Target(0.1)) is None


def test_plan_becomes_configurations() -> None:
    ((region, instances),) = plan_configurations(
        endpoint("async", instance_types=("ml.m5.xlarge",), scaling=Scaling("instances", 0, 5), async_concurrency=2)
    )
    assert region == REGION
    assert isinstance(instances, Instances)
    assert (instances.minimum, instances.maximum, instances.start, instances.concurrency) == (0, 5, 1, 2)
    assert (instances.component, instances.longest_wait_s) == ("async", None)
    ((_, serverless),) = plan_configurations(endpoint("serverless", serverless=ServerlessCapacity(3072, 20, 2)))
    assert serverless == Serverless("e", memory_mb=3072, max_concurrency=20, provisioned=2)
    ((_, tracked),) = plan_configurations(endpoint("realtime", instance_types=("ml.m5.xlarge",), scaling=TRACKED))
    assert isinstance(tracked, Instances)
    assert tracked.tracking == (TrackingPolicy("invocations", 60.0, scale_in_cooldown_s=300, scale_out_cooldown_s=60),)
    assert tracked.schedules[0].timezone == "Europe/Berlin"


def test_plan_without_endpoints_is_rejected() -> None:
    with pytest.raises(ConfigurationError, match="no endpoint"):
        plan_configurations(Plan((), ()))
    with pytest.raises(ConfigurationError, match="never acts at an asynchronous endpoint"):
        plan_configurations(endpoint("async", instance_types=("ml.m5.xlarge",), scaling=TRACKED))


def test_unknown_instance_type_is_an_error() -> None:
    with pytest.raises(UnknownPrice, match=r"ml\.g4dn\.large"):
        compare([Instances("i", "ml.g4dn.large", minimum=0)], MONTH, PROFILE, PRICES, REGION)


def test_provisioned_concurrency_without_a_price_is_an_error() -> None:
    configuration = Serverless("s", provisioned=1)
    run = simulate(configuration, Trace.of([0.0, 1.0]), PROFILE)
    assert run.cold_starts == 0
    with pytest.raises(UnknownPrice, match="provisioned-concurrency"):
        bill(configuration, run, PROFILE, PRICES, REGION)
    stated = PRICES.with_price(
        REGION, "sagemaker/serverless/provisioned-concurrency", Decimal("0.00001"), read=date(2026, 1, 1)
    )
    assert bill(configuration, run, PROFILE, stated, REGION).total > 52


def test_command_simulates_a_plan(tmp_path: Path) -> None:
    arn = f"arn:aws:sagemaker:{REGION}:123456789012"
    variant = {"variant_name": "AllTraffic", "instance_type": "ml.m5.xlarge", "initial_instance_count": 1}
    resources = [
        (
            "aws_sagemaker_endpoint_configuration",
            {"name": "c", "arn": f"{arn}:endpoint-config/c", "production_variants": [variant]},
        ),
        ("aws_sagemaker_endpoint", {"name": "search", "arn": f"{arn}:endpoint/search", "endpoint_config_name": "c"}),
    ]
    listed = [
        {"address": f"{kind}.e", "mode": "managed", "type": kind, "name": "e", "values": values}
        for kind, values in resources
    ]  # fmt: skip
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"values": {"root_module": {"resources": listed}}}))
    result = command("--plan", plan, "--trace", TRACES / "AzureLLMInferenceTrace_conv.csv", "--json")
    assert result.exit_code == 0, result.output
    (configuration,) = json.loads(result.output)["configurations"]
    assert configuration["name"] == "search"
    assert Decimal(configuration["usd_per_month"]) == pytest.approx(Decimal("167.90"), abs=Decimal("0.01"))


def test_command_finds_the_cheapest_and_repeats_itself() -> None:
    arguments = ("--serverless", "2048:5", "--instances", "ml.m5.xlarge:1-2:600", "--bedrock",
                 "amazon.titan-embed-text-v2:0", "--rate", "0.2", "--days", "1", "--latency-target", "0.5")  # fmt: skip
    first, second = command(*arguments), command(*arguments)
    assert first.exit_code == 0, first.output
    assert first.output == second.output
    assert "Cheapest that meets" in first.output
    assert "Cold starts take 1 to 60 s" in first.output


def test_command_names_the_ways_out_of_a_region_without_prices() -> None:
    options = ("--serverless", "2048:5", "--rate", "0.1", "--days", "0.1", "--region", "eu-central-1")
    result = command(*options)
    assert result.exit_code == 2
    for way_out in ("--refresh", "--price ", "--region-of-prices us-east-1 --estimate"):
        assert way_out in result.output
    estimated = command(*options, "--region-of-prices", "us-east-1", "--estimate", "--json")
    assert json.loads(estimated.output)["configurations"][0]["settled"] is False
    stated = command(*options, "--price", "sagemaker/serverless/compute=0.00003", "--json")
    assert stated.exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--rate", "1"), "Pass --plan"),
        (("--serverless", "2048:5"), "either --trace or --rate"),
        (("--serverless", "2000:5", "--rate", "1", "--days", "0.1"), "Choose from 1024"),
        (("--serverless", "2048:500", "--rate", "1", "--days", "0.1"), "Pass 1 to 200"),
        (("--instances", "ml.m5.xlarge", "--rate", "1", "--days", "0.1"), "TYPE:MIN-MAX"),
        (("--instances", "ml.m5.xlarge:1", "--rate", "-1"), "rate is -1"),
        (("--bedrock", "x.y", "--rate", "1", "--price", "a=b"), "has no amount"),
        (("--bedrock", "x.y", "--rate", "1", "--estimate"), "--region-of-prices"),
    ],
)  # fmt: skip
def test_command_rejects_invalid_input(arguments: tuple[str, ...], message: str) -> None:
    result = command(*arguments)
    assert result.exit_code == 2
    assert message in result.output
