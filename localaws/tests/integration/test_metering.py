"""What runs is metered: in Cost Explorer, in Budgets with their notifications, and in the inspection endpoint."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import urllib3
from botocore.exceptions import ClientError

from localaws import LocalAwsConfig
from tests.support.localaws.harness import TINY_BERT, Aws, wait_until
from tests.support.localaws.lambda_harness import ECHO, Lambda
from tests.support.localaws.vector_calls import INDEX

ACCOUNT = "123456789012"
HOUR, DAY = 3600, 86_400
TAGS = [{"Key": "Project", "Value": "alex"}]
TITAN = "amazon.titan-embed-text-v2:0"
COST, QUANTITY = "UnblendedCost", "UsageQuantity"


@pytest.fixture(scope="module")
def config() -> LocalAwsConfig:
    return LocalAwsConfig(port=0, stop_grace=5, clock_speed=0, function_processes=2)


@pytest.fixture(scope="module", autouse=True)
def endpoints(aws: Aws) -> Iterator[None]:
    """Two instances of a price that is known, one of an unknown one, and a serverless endpoint."""
    aws.create_model("metered", HF_MODEL_ID=TINY_BERT)
    aws.create_instance_config("known", "metered", 2, InstanceType="ml.m5.xlarge")
    aws.create_instance_config("unknown", "metered", 1, InstanceType="ml.m7i.48xlarge")
    aws.create_config("serverless", "metered")
    for name in ("known", "unknown", "serverless"):
        aws.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name, Tags=TAGS)
    for name in ("known", "unknown", "serverless"):
        assert aws.settled(name)["EndpointStatus"] == "InService"
    yield
    for name in ("known", "unknown", "serverless"):
        aws.delete_endpoint(name)


def now(aws: Aws) -> datetime:
    return datetime.fromisoformat(urllib3.request("GET", f"{aws.server.url}/_embedstack/time").json()["now"])


def inspect(aws: Aws) -> Any:
    return urllib3.request("GET", f"{aws.server.url}/_embedstack/costs").json()


def metered(aws: Aws, usage_type: str) -> dict[str, Any]:
    """The line of a usage type, with a quantity of 0 if there is none."""
    lines = inspect(aws)["accounts"].get(ACCOUNT, {"lines": []})["lines"]
    return next((line for line in lines if line["usageType"] == usage_type), {"quantity": "0", "cost": "0"})


def growth(aws: Aws, usage_type: str, act: Callable[[], object]) -> tuple[Decimal, Decimal]:
    """By how much the quantity and the cost of a usage type grow."""
    before = metered(aws, usage_type)
    act()
    after = metered(aws, usage_type)
    return tuple(Decimal(after[name]) - Decimal(before[name]) for name in ("quantity", "cost"))  # type: ignore[return-value]


def costs(aws: Aws, **query: Any) -> list[dict[str, Any]]:
    """ResultsByTime of GetCostAndUsage, by default of each day of this month so far."""
    moment = now(aws)
    period = {"Start": f"{moment.replace(day=1):%Y-%m-%d}", "End": f"{moment + timedelta(days=1):%Y-%m-%d}"}
    request = {"TimePeriod": period, "Granularity": "MONTHLY", "Metrics": [COST, QUANTITY], **query}
    results: list[dict[str, Any]] = aws.client("ce").get_cost_and_usage(**request)["ResultsByTime"]
    return results


def groups(aws: Aws, *keys: tuple[str, str], **query: Any) -> dict[tuple[str, ...], Decimal]:
    """The costs by group."""
    by = [{"Type": kind, "Key": key} for kind, key in keys]
    found: dict[tuple[str, ...], Decimal] = {}
    for result in costs(aws, GroupBy=by, **query):
        for group in result["Groups"]:
            key = tuple(group["Keys"])
            found[key] = found.get(key, Decimal(0)) + Decimal(group["Metrics"][COST]["Amount"])
    return found


def activate(aws: Aws, status: str = "Active") -> None:
    tag = {"TagKey": "Project", "Status": status}
    aws.client("ce").update_cost_allocation_tags_status(CostAllocationTagsStatus=[tag])


def test_instances_accrue_hours_while_the_clock_advances(aws: Aws) -> None:
    hours, cost = growth(aws, "USE1-Host:ml.m5.xlarge", lambda: aws.advance(10 * HOUR))
    assert (hours, cost) == (Decimal(20), Decimal("4.60"))
    assert metered(aws, "USE1-Host:ml.m5.xlarge")["tags"] == {"Project": "alex"}


def test_usage_without_a_price_is_listed_as_unpriced(aws: Aws) -> None:
    aws.advance(HOUR)
    (line,) = inspect(aws)["accounts"][ACCOUNT]["unpriced"]
    assert (line["usageType"], line["product"]) == ("USE1-Host:ml.m7i.48xlarge", "sagemaker/hosting/ml.m7i.48xlarge")
    assert Decimal(line["quantity"]) >= 1
    usage_type = {"Dimensions": {"Key": "USAGE_TYPE", "Values": [line["usageType"]]}}
    total = costs(aws, Filter=usage_type)[-1]["Total"]
    assert (total[COST]["Amount"], total[QUANTITY]["Unit"]) == ("0", "Hrs")
    assert Decimal(total[QUANTITY]["Amount"]) > 0


def test_serverless_requests_are_billed_by_the_millisecond(aws: Aws) -> None:
    seconds, cost = growth(aws, "USE1-ServerlessInf:Mem-2GB", lambda: aws.invoke("serverless"))
    assert seconds > 0
    assert seconds % Decimal("0.001") == 0
    assert cost == seconds * 2 * Decimal("0.00002")
    sent, _ = growth(aws, "USE1-Hst:Data-Bytes-In", lambda: aws.invoke("known", "x" * 100))
    assert sent == Decimal(len(json.dumps({"inputs": "x" * 100}))) / 1024**3


def test_bedrock_tokens_are_untagged(aws: Aws) -> None:
    bedrock = aws.client("bedrock-runtime")
    body = json.dumps({"inputText": "four words of text"})
    usage_type = "USE1-TitanEmbeddingV2-Text-input-tokens"
    tokens, cost = growth(aws, usage_type, lambda: bedrock.invoke_model(modelId=TITAN, body=body))
    assert (tokens, cost) == (Decimal("0.005"), Decimal("0.0000001"))
    activate(aws)
    by_tag = groups(aws, ("TAG", "Project"), ("DIMENSION", "SERVICE"))
    assert by_tag["Project$", "Amazon Bedrock"] >= cost
    assert by_tag["Project$alex", "Amazon SageMaker"] >= Decimal("4.60")
    assert ("Project$alex", "Amazon Bedrock") not in by_tag


def test_vectors_are_billed_by_put_query_and_storage(aws: Aws, index: Any) -> None:
    vector = {"key": "a", "data": {"float32": [1.0, 2.0, 3.0, 4.0]}, "metadata": {"text": "not filterable"}}
    stored = "USE1-Vectors-TimedStorage-ByteHrs"
    put, cost = growth(aws, "USE1-Vectors-Put-Bytes", lambda: index.put_vectors(**INDEX, vectors=[vector]))
    assert (put, cost) == (Decimal(128) / 1024**2, Decimal(128) / 1024**2 / 5)
    query = {"topK": 1, "queryVector": {"float32": [1.0, 1.0, 1.0, 1.0]}}
    assert growth(aws, "USE1-Vectors-Request-Tier2", lambda: index.query_vectors(**INDEX, **query))[0] == 1
    # The key, four numbers and metadata without entries.
    processed, _ = growth(aws, "USE1-Vectors-Query-ProcessedBytes-Tier1", lambda: index.query_vectors(**INDEX, **query))
    assert processed == Decimal(1 + 16 + 4) / 1024**3
    assert growth(aws, stored, lambda: aws.advance(HOUR))[0] > 0
    index.delete_vectors(**INDEX, keys=["a"])
    aws.advance(0.001)
    assert growth(aws, stored, lambda: aws.advance(HOUR))[0] == 0


def test_functions_are_billed_by_duration_and_request(functions: Lambda) -> None:
    functions.create("billed", ECHO, Tags={"Project": "alex"})
    requests, cost = growth(functions.aws, "Request", lambda: functions.invoke("billed", {}))
    assert (requests, cost) == (Decimal(1), Decimal("0.0000002"))
    assert Decimal(metered(functions.aws, "Lambda-GB-Second")["quantity"]) > 0


def test_cost_explorer_groups_filters_and_splits_by_time(aws: Aws) -> None:
    aws.advance(2 * DAY)
    start = now(aws) - timedelta(days=2)
    period = {"Start": f"{start:%Y-%m-%d}", "End": f"{start + timedelta(days=3):%Y-%m-%d}"}
    service = {"Dimensions": {"Key": "SERVICE", "Values": ["Amazon SageMaker"]}}
    hosting = {"Dimensions": {"Key": "USAGE_TYPE", "Values": ["USE1-Host:ml.m5.xlarge"]}}
    both = {"And": [service, hosting]}
    daily = costs(aws, TimePeriod=period, Granularity="DAILY", Filter=both)
    assert daily[0]["TimePeriod"]["Start"] == period["Start"]
    assert [len(daily), daily[1]["Total"][COST]["Amount"]] == [3, "11.04"]
    day = start + timedelta(days=1)
    hours = {"Start": f"{day:%Y-%m-%dT00:00:00Z}", "End": f"{day:%Y-%m-%dT03:00:00Z}"}
    hourly = costs(aws, TimePeriod=hours, Granularity="HOURLY", Filter=both)
    assert [result["Total"][COST]["Amount"] for result in hourly] == ["0.46"] * 3
    assert sum(groups(aws, ("DIMENSION", "REGION"), TimePeriod=period, Filter={"Not": service}).values()) < 1
    explorer = aws.client("ce")
    values = explorer.get_dimension_values(TimePeriod=period, Dimension="SERVICE")["DimensionValues"]
    assert "Amazon SageMaker" in [value["Value"] for value in values]
    activate(aws, "Inactive")
    assert explorer.get_tags(TimePeriod=period)["Tags"] == []
    assert set(groups(aws, ("TAG", "Project"), TimePeriod=period)) == {("Project$",)}
    activate(aws)
    assert "alex" in explorer.get_tags(TimePeriod=period, TagKey="Project")["Tags"]


def test_cost_forecast_continues_the_last_days(aws: Aws) -> None:
    day = now(aws)
    period = {"Start": f"{day:%Y-%m-%d}", "End": f"{day + timedelta(days=2):%Y-%m-%d}"}
    usage_type = {"Dimensions": {"Key": "USAGE_TYPE", "Values": ["USE1-Host:ml.m5.xlarge"]}}
    forecast = aws.client("ce").get_cost_forecast(
        TimePeriod=period, Granularity="DAILY", Metric="UNBLENDED_COST", Filter=usage_type
    )
    assert Decimal(forecast["Total"]["Amount"]) == pytest.approx(Decimal("22.08"), rel=Decimal("0.05"))
    assert len(forecast["ForecastResultsByTime"]) == 2


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"TimePeriod": {"Start": "2026-01-02", "End": "2026-01-02"}}, "should be before end date"),
        ({"TimePeriod": {"Start": "2026-01-01", "End": "2199-01-01"}}, "end date past the beginning of next month"),
        ({"TimePeriod": {"Start": "2020-01-01", "End": "2020-02-01"}}, "beyond 14 months"),
        ({"Granularity": "HOURLY"}, "Valid format is: yyyy-MM-dd'T'HH:mm:ss'Z'"),
        ({"Metrics": ["Price"]}, "Invalid metric: Price"),
        ({"Filter": {"And": [], "Or": []}}, "one root operator"),
    ],
)
def test_cost_explorer_rejects_invalid_queries(aws: Aws, query: dict[str, Any], message: str) -> None:
    with pytest.raises(ClientError) as refused:
        costs(aws, **query)
    assert message in refused.value.response["Error"]["Message"]


@pytest.fixture
def topic(functions: Lambda) -> tuple[str, str]:
    """A topic that Budgets may publish to, and the URL of a queue that is subscribed to it."""
    sns = functions.aws.client("sns")
    arn = sns.create_topic(Name="costs")["TopicArn"]
    statement = {
        "Effect": "Allow", "Principal": {"Service": "budgets.amazonaws.com"}, "Action": "SNS:Publish", "Resource": arn,
    }  # fmt: skip
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    sns.set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=policy)
    url, queue = functions.queue("cost-alerts")
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue)
    return arn, url


def test_budget_notifies_once_a_month_when_a_threshold_is_passed(functions: Lambda, topic: tuple[str, str]) -> None:
    aws, (arn, url) = functions.aws, topic
    activate(aws)
    # Start a month, so that the limit is not passed yet.
    moment = now(aws)
    start = (moment.replace(day=1) + timedelta(days=32)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    aws.advance((start - moment).total_seconds())
    budgets = aws.client("budgets")
    name = {"AccountId": ACCOUNT, "BudgetName": "alex"}
    subscribers = [
        {"SubscriptionType": "SNS", "Address": arn},
        {"SubscriptionType": "EMAIL", "Address": "team@example.com"},
    ]
    actual = {"NotificationType": "ACTUAL", "ComparisonOperator": "GREATER_THAN", "Threshold": 80}
    budgets.create_budget(
        AccountId=ACCOUNT,
        Budget={
            "BudgetName": "alex",
            "BudgetLimit": {"Amount": "20", "Unit": "USD"},
            "TimeUnit": "MONTHLY",
            "BudgetType": "COST",
            "CostFilters": {"TagKeyValue": ["user:Project$alex"]},
        },
        NotificationsWithSubscribers=[{"Notification": actual, "Subscribers": subscribers}],
    )

    def spend(kind: str) -> Decimal:
        return Decimal(budgets.describe_budget(**name)["Budget"]["CalculatedSpend"][f"{kind}Spend"]["Amount"])

    aws.advance(DAY)
    assert spend("Actual") == pytest.approx(Decimal("11.04"), abs=Decimal("0.01"))
    assert spend("Forecasted") > 250
    assert functions.is_empty(url)
    aws.advance(DAY)
    (message,) = functions.received(url, 1)
    notification = json.loads(message["Body"])
    assert notification["Subject"] == "AWS Budgets: alex has exceeded your alert threshold"
    assert "Budget Name: alex" in notification["Message"]
    assert "Alert Threshold: > $16.00" in notification["Message"]
    (described,) = budgets.describe_notifications_for_budget(**name)["Notifications"]
    assert described["NotificationState"] == "ALARM"
    emails = [each for each in inspect(aws)["notifications"] if each["type"] == "EMAIL"]
    assert [each["address"] for each in emails] == ["team@example.com"]
    aws.advance(DAY)
    assert spend("Actual") > 30
    assert functions.is_empty(url)
    # In the next month the spending starts at zero and the notification is sent again.
    aws.advance(32 * DAY)
    (message,) = functions.received(url, 1)
    wait_until(lambda: functions.is_empty(url))
    budgets.delete_budget(**name)


def test_budget_does_not_notify_a_topic_that_does_not_allow_it(aws: Aws) -> None:
    arn = aws.client("sns").create_topic(Name="closed")["TopicArn"]
    forecast = {
        "NotificationType": "FORECASTED", "ComparisonOperator": "GREATER_THAN", "Threshold": 1,
        "ThresholdType": "ABSOLUTE_VALUE",
    }  # fmt: skip
    budget = {
        "BudgetName": "closed", "BudgetLimit": {"Amount": "20", "Unit": "USD"}, "TimeUnit": "MONTHLY",
        "BudgetType": "COST", "CostFilters": {"Service": ["Amazon SageMaker"]},
    }  # fmt: skip
    subscribers = [{"SubscriptionType": "SNS", "Address": arn}]
    aws.client("budgets").create_budget(
        AccountId=ACCOUNT,
        Budget=budget,
        NotificationsWithSubscribers=[{"Notification": forecast, "Subscribers": subscribers}],
    )

    def errors() -> list[str]:
        return [each["error"] for each in inspect(aws)["notifications"] if each["budget"] == "closed"]

    wait_until(lambda: bool(errors()))
    assert "does not allow budgets.amazonaws.com" in errors()[0]


def test_account_without_usage_has_no_costs(aws: Aws) -> None:
    explorer = aws.client("ce", access_key="111122223333")
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    period = {"Start": f"{datetime.now(UTC).replace(day=1):%Y-%m-%d}", "End": today}
    if period["Start"] == today:
        period["End"] = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}"
    (result,) = explorer.get_cost_and_usage(TimePeriod=period, Granularity="MONTHLY", Metrics=[COST])["ResultsByTime"]
    assert result["Total"][COST] == {"Amount": "0", "Unit": "USD"}


def products(aws: Aws, service: str, **attributes: str) -> list[dict[str, Any]]:
    filters = [{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in attributes.items()]
    pages = aws.client("pricing").get_paginator("get_products").paginate(ServiceCode=service, Filters=filters)
    return [json.loads(entry) for page in pages for entry in page["PriceList"]]


def price_of(entry: dict[str, Any]) -> tuple[str, str]:
    (term,) = entry["terms"]["OnDemand"].values()
    (dimension,) = term["priceDimensions"].values()
    return dimension["unit"], dimension["pricePerUnit"]["USD"]


def test_price_list_has_the_prices_of_the_price_book(aws: Aws) -> None:
    (instance,) = products(aws, "AmazonSageMaker", regionCode="us-east-1", usagetype="USE1-Host:ml.m5.xlarge")
    assert price_of(instance) == ("Hrs", "0.2300000000")
    assert instance["product"]["attributes"]["instanceName"] == "ml.m5.xlarge"
    (serverless,) = products(aws, "AmazonSageMaker", usagetype="USE1-ServerlessInf:Mem-3GB")
    assert price_of(serverless) == ("Second", "0.0000600000")
    (tokens,) = products(aws, "AmazonBedrock", usagetype="USE1-TitanEmbeddingV2-Text-input-tokens")
    assert price_of(tokens) == ("1K tokens", "0.0000200000")
    pricing = aws.client("pricing")
    codes = [each["ServiceCode"] for each in pricing.describe_services()["Services"]]
    assert {"AmazonS3", "AmazonSageMaker", "AWSLambda"} <= set(codes)
    regions = pricing.get_attribute_values(ServiceCode="AmazonSageMaker", AttributeName="regionCode")
    assert {"Value": "us-east-1"} in regions["AttributeValues"]
    first = pricing.get_products(ServiceCode="AmazonSageMaker", MaxResults=2)
    second = pricing.get_products(ServiceCode="AmazonSageMaker", MaxResults=2, NextToken=first["NextToken"])
    assert len(first["PriceList"]) == 2
    assert first["PriceList"] != second["PriceList"]
    with pytest.raises(ClientError, match="no endpoint in us-west-2"):
        aws.client("pricing", region="us-west-2").describe_services()
    with pytest.raises(pricing.exceptions.InvalidParameterException):
        pricing.get_products(ServiceCode="AmazonNothing")


def test_price_list_is_replaced_by_entries_that_are_put_in(aws: Aws) -> None:
    (entry,) = products(aws, "AmazonSageMaker", usagetype="USE1-Host:ml.m5.xlarge")
    entry["product"]["attributes"]["usagetype"] = "USE1-Host:ml.new.xlarge"
    url = f"{aws.server.url}/_embedstack/prices"
    assert urllib3.request("POST", url, json={"products": [entry]}).json() == {"products": 1}
    assert products(aws, "AmazonSageMaker") == [entry]
    assert urllib3.request("POST", url, json={"products": [{}]}).status == 400
    assert urllib3.request("POST", url, json={"products": []}).json() == {"products": 0}
    assert len(products(aws, "AmazonSageMaker")) > 1
