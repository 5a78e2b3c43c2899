"""Prices of Terraform plans: ranges, schedules, regions, and what a plan does not tell."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from click.testing import CliRunner

from embedstack.costs.price_book import PriceBook
from embedstack.errors import ConfigurationError
from embedstack_ops.cli.main import main
from embedstack_ops.costs.plan import Scaling, Schedule
from embedstack_ops.costs.plan_pricing import price_plan
from embedstack_ops.costs.plan_reader import read_plan
from embedstack_ops.costs.schedule_hours import BillingMonth, capacity_hours
from embedstack_ops.costs.usage import Usage, parse_usage

AVERAGE = BillingMonth.average(datetime(2026, 12, 1, tzinfo=UTC))
INSTANCE = {"variant_name": "AllTraffic", "instance_type": "ml.m5.xlarge", "initial_instance_count": 1}
SERVERLESS = {"variant_name": "AllTraffic", "serverless_config": [{"memory_size_in_mb": 2048, "max_concurrency": 10}]}


def resource(kind, name, values, index=None):
    address = f"{kind}.{name}" + (f'["{index}"]' if index else "")
    return {"address": address, "mode": "managed", "type": kind, "name": name, "values": values}


def endpoint(variant, *, region="us-east-1", asynchronous=False):
    """An endpoint in a region, with its configuration, as after an apply."""
    arn = f"arn:aws:sagemaker:{region}:123456789012"
    config = {"name": "config", "arn": f"{arn}:endpoint-config/config", "production_variants": [variant]}
    if asynchronous:
        config["async_inference_config"] = [{"client_config": [{"max_concurrent_invocations_per_instance": 4}]}]
    return [
        resource("aws_sagemaker_endpoint_configuration", "this", config),
        resource(
            "aws_sagemaker_endpoint",
            "this",
            {"name": "search", "arn": f"{arn}:endpoint/search", "endpoint_config_name": "config"},
        ),
    ]


def target(minimum, maximum, dimension="sagemaker:variant:DesiredInstanceCount"):
    values = {"resource_id": "endpoint/search/variant/AllTraffic", "scalable_dimension": dimension}
    return resource("aws_appautoscaling_target", "this", {**values, "min_capacity": minimum, "max_capacity": maximum})


@pytest.fixture
def price(tmp_path):
    """Price a state of some resources; returns the bill."""

    def price(resources, *, usage=None, month=AVERAGE, book=None):
        file = tmp_path / "state.json"
        file.write_text(json.dumps({"values": {"root_module": {"resources": resources}}}), encoding="utf-8")
        return price_plan(read_plan(file), book or PriceBook.load(), usage or Usage(), month)

    return price


def line(bill, what):
    (found,) = [each for each in bill.lines if what in each.what]
    return found


def test_fixed_instances_cost_the_hours_of_the_month(price):
    variant = {**INSTANCE, "instance_type": "ml.c5.xlarge", "initial_instance_count": 2}
    december = line(price(endpoint(variant), month=BillingMonth.of(2026, 12)), "ml.c5.xlarge")
    assert december.low == december.high == Decimal("303.552")
    assert line(price(endpoint(INSTANCE)), "ml.m5.xlarge").low == Decimal("167.90")


def test_autoscaled_endpoint_is_a_range_not_its_initial_count(price):
    bill = price([*endpoint(INSTANCE, asynchronous=True), target(0, 5)])
    instances = line(bill, "0 to 5 instances")
    assert (instances.low, instances.high) == (0, 5 * Decimal("167.90"))
    first = line(bill, "first instance after a deployment")
    assert [f"{each:.4f}" for each in (first.low, first.high)] == ["0.0767", "0.1150"]


def test_expected_instances_follow_the_rate_of_requests(price):
    policy = {
        "resource_id": "endpoint/search/variant/AllTraffic",
        "target_tracking_scaling_policy_configuration": [
            {
                "target_value": 600,
                "predefined_metric_specification": [
                    {"predefined_metric_type": "SageMakerVariantInvocationsPerInstance"}
                ],
            }
        ],
    }
    resources = [*endpoint(INSTANCE), target(1, 5), resource("aws_appautoscaling_policy", "this", policy)]
    # 1,500 requests a minute need three instances of 600.
    bill = price(resources, usage=Usage(requests=Decimal(1500 * 60 * 730)))
    assert line(bill, "1 to 5 instances").expected == 3 * Decimal("167.90")
    assert line(bill, "2 alarms that target tracking creates").low == Decimal("0.20")


def test_serverless_endpoint_costs_what_requests_take(price):
    bill = price(endpoint(SERVERLESS), usage=parse_usage(["requests=10000000", "request_ms=100", "response_kb=0"]))
    assert line(bill, "serverless, 2048 MB").low == Decimal(40)
    assert f"{line(bill, 'bodies').low:.6f}" == "0.152588"


def test_volume_is_charged_in_the_endpoints_own_region(price):
    bill = price(endpoint({**INSTANCE, "volume_size_in_gb": 30}, region="eu-west-1"))
    assert line(bill, "30 GB volume").low == Decimal("4.62")
    assert line(bill, "ml.m5.xlarge").low == Decimal("0.257") * 730


def test_missing_volume_size_is_an_assumption(price):
    assert any(
        "Volumes are left out" in each and "search/AllTraffic" in each for each in price(endpoint(INSTANCE)).assumptions
    )


def test_client_metrics_are_a_line_of_the_bill(price):
    bill = price(endpoint(INSTANCE), usage=Usage(metric_dimensions=Decimal(12)))
    assert line(bill, "60 custom metrics").high == 18


def test_unknown_price_is_listed_with_the_address_not_zero(price):
    bill = price(endpoint(INSTANCE, region="eu-central-1"))
    assert not [each for each in bill.lines if "ml.m5.xlarge" in each.what]
    assert any(
        "aws_sagemaker_endpoint.this (AllTraffic): " in each and "eu-central-1" in each for each in bill.unpriced
    )


def test_missing_instance_type_is_an_error_with_the_address(price):
    with pytest.raises(ConfigurationError, match=r"aws_sagemaker_endpoint_configuration\.this has no production_var"):
        price(endpoint({"variant_name": "AllTraffic", "initial_instance_count": 1}))


def test_alarms_dashboards_and_functions_are_priced(price):
    region = {"region": "us-east-1"}
    function = {"memory_size": 1024, "architectures": ["x86_64"], **region}
    resources = [
        resource("aws_cloudwatch_metric_alarm", "a", region),
        resource("aws_cloudwatch_metric_alarm", "b", region),
        resource("aws_cloudwatch_dashboard", "this", region),
        resource("aws_lambda_function", "this", function),
        resource("aws_iam_role", "this", {}),
        resource("aws_nat_gateway", "this", region),
    ]
    bill = price(resources, usage=parse_usage(["invocations=7440000", "invocation_ms=2000"]))
    assert line(bill, "2 alarms").low == Decimal("0.20")
    assert line(bill, "1 dashboards").low == 3
    assert f"{line(bill, 'Lambda, 1024 MB').low:.6f}" == "249.488496"
    assert bill.not_covered == ["aws_nat_gateway.this"]


def test_aurora_is_a_range_of_its_capacity(price):
    region = {"region": "us-east-1"}
    cluster = {"serverlessv2_scaling_configuration": [{"min_capacity": 0.5, "max_capacity": 4}], **region}
    bill = price([resource("aws_rds_cluster", "v", cluster), resource("aws_rds_cluster_instance", "v", region)])
    aurora = line(bill, "Aurora, 0.5 to 4 ACUs")
    assert (aurora.low, aurora.high) == (Decimal("43.80"), Decimal("350.40"))


OFFICE_HOURS = (
    Schedule("start", "cron(0 9 ? * MON-FRI *)", "Europe/Berlin", 1, 1),
    Schedule("stop", "cron(0 17 ? * MON-FRI *)", "Europe/Berlin", 0, 0),
)


@pytest.mark.parametrize(("month", "hours"), [((2026, 8), 168), ((2026, 9), 176), ((2027, 2), 160)])
def test_schedule_counts_only_its_hours_of_the_month(month, hours):
    scaling = Scaling("instances", 0, 0, schedules=OFFICE_HOURS)
    assert capacity_hours(scaling, BillingMonth.of(*month)) == (hours, hours)


def test_schedule_of_an_average_month_is_a_years_share():
    low, high = capacity_hours(Scaling("instances", 0, 0, schedules=OFFICE_HOURS), AVERAGE)
    assert low == high
    assert 8 * 260 / 12 <= low <= 8 * 262 / 12


def test_scheduled_bound_that_is_left_out_stays():
    day = Schedule("day", "cron(0 0 ? * * *)", "UTC", None, 4)
    noon = Schedule("noon", "cron(0 12 ? * * *)", "UTC", None, 2)
    assert capacity_hours(Scaling("instances", 1, 2, schedules=(day, noon)), BillingMonth.of(2026, 11)) == (720, 2160)


def test_provisioned_concurrency_on_a_schedule_is_not_billed_all_month(price):
    provisioned = {
        **SERVERLESS,
        "serverless_config": [{**SERVERLESS["serverless_config"][0], "provisioned_concurrency": 1}],
    }
    resources = [*endpoint(provisioned), target(0, 0, "sagemaker:variant:DesiredProvisionedConcurrency")]
    for schedule in OFFICE_HOURS:
        action = {"min_capacity": str(schedule.min), "max_capacity": str(schedule.max)}
        values = {"name": schedule.name, "schedule": schedule.expression, "timezone": schedule.timezone}
        owner = {"resource_id": "endpoint/search/variant/AllTraffic", "scalable_target_action": [action]}
        resources.append(resource("aws_appautoscaling_scheduled_action", "this", {**values, **owner}, schedule.name))
    product = "sagemaker/serverless/provisioned-concurrency"
    book = PriceBook.load().with_price("us-east-1", product, Decimal("0.00001"), read=AVERAGE.start.date())
    bill = price(resources, book=book, month=BillingMonth.of(2026, 8))
    assert line(bill, "168 to 168 hours").high == 2 * 168 * 3600 * Decimal("0.00001")


@pytest.mark.parametrize(("item", "problem"), [
    ("request=5", "Unknown usage 'request'"), ("requests=many", "has no number"), ("requests=-1", "is not possible"),
    ("requests=NaN", "is not possible"),
])  # fmt: skip
def test_bad_usage_is_an_error(item, problem):
    with pytest.raises(ConfigurationError, match=problem):
        parse_usage([item])


@pytest.mark.parametrize(("content", "problem"), [
    ("{}", "neither a plan nor a state"),
    ("[", "cannot be read"),
    ('{"planned_values": {}, "errored": true}', "incomplete"),
])  # fmt: skip
def test_file_that_is_no_plan_is_refused(tmp_path, content, problem):
    file = tmp_path / "plan.json"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=problem):
        read_plan(file)


@pytest.fixture
def run(tmp_path):
    def run(resources, *options):
        file = tmp_path / "state.json"
        file.write_text(json.dumps({"values": {"root_module": {"resources": resources}}}), encoding="utf-8")
        return CliRunner().invoke(main, ["costs", "plan", str(file), *options], prog_name="embedstack")

    return run


def test_command_fails_for_a_region_without_prices(run):
    result = run(endpoint(INSTANCE, region="eu-central-1"))
    assert result.exit_code == 2
    assert "amounts are missing in the total" in result.stderr
    assert all(way in result.stderr for way in ("--refresh", "--price", "--region-of-prices"))


def test_command_estimates_by_the_prices_of_another_region(run):
    result = run(endpoint(INSTANCE, region="eu-central-1"), "--region-of-prices", "us-east-1", "--estimate", "--json")
    assert result.exit_code == 0, result.output
    (instances,) = [each for each in json.loads(result.stdout)["lines"] if "ml.m5.xlarge" in each["what"]]
    assert (Decimal(instances["low"]), instances["settled"]) == (Decimal("167.90"), False)


def test_command_takes_stated_prices(run):
    result = run(endpoint(INSTANCE), "--price", "sagemaker/hosting/ml.m5.xlarge=0.2", "--json")
    (instances,) = [each for each in json.loads(result.stdout)["lines"] if "ml.m5.xlarge" in each["what"]]
    assert Decimal(instances["high"]) == 146


def test_command_marks_estimates_and_lists_assumptions(run):
    result = run(endpoint(INSTANCE))
    assert result.exit_code == 0, result.output
    assert "~ estimate" in result.output
    assert "A month has 730 hours" in result.output


def test_command_wants_region_of_prices_with_estimate(run):
    result = run(endpoint(INSTANCE), "--region-of-prices", "us-east-1")
    assert result.exit_code == 2
    assert "--region-of-prices and --estimate together" in result.output
