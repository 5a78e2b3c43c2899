"""``embedstack costs report`` on a local AWS: a ledger of calls, instance-hours from CloudWatch, and Cost Explorer."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner, Result

from embedstack.costs.attribution import Attribution
from embedstack.costs.ledger import Ledger
from embedstack.costs.records import CallRecord
from embedstack_ops.cli.costs import main
from localaws.config import LocalAwsConfig
from localaws.gateway.local_aws import LocalAws
from tests.support.localaws.harness import TEI, Aws
from tests.support.tiny_bert import write_model

ENDPOINT = "gpu"
TITAN = "amazon.titan-embed-text-v2:0"
DAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=3)
HOUR = DAY + timedelta(hours=9)
MICRO = 10**6


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    """A local AWS with an endpoint on an instance, which ran for an hour three days ago."""
    models = tmp_path_factory.mktemp("models")
    write_model(models / "tests" / "tiny-bert")
    with LocalAws(LocalAwsConfig(port=0, stop_grace=5, models_dir=models)) as server:
        aws = Aws(server)
        aws.create_model(ENDPOINT, TEI, HF_MODEL_ID="tests/tiny-bert")
        aws.create_instance_config(ENDPOINT, ENDPOINT, 1, InstanceType="ml.m5.xlarge")
        aws.sagemaker.create_endpoint(EndpointName=ENDPOINT, EndpointConfigName=ENDPOINT)
        assert aws.settled(ENDPOINT)["EndpointStatus"] == "InService"
        dimensions = [{"Name": "EndpointName", "Value": ENDPOINT}, {"Name": "VariantName", "Value": "AllTraffic"}]
        aws.cloudwatch.put_metric_data(
            Namespace="/aws/sagemaker/Endpoints",
            MetricData=[
                {
                    "MetricName": "CPUUtilization", "Dimensions": dimensions, "Unit": "Percent", "Value": 40,
                    "Timestamp": HOUR + timedelta(minutes=minute),
                }
                for minute in range(60)
            ],
        )  # fmt: skip
        yield aws
        aws.delete_endpoint(ENDPOINT)


@pytest.fixture
def ledger(aws: Aws, monkeypatch: pytest.MonkeyPatch, tmp_path) -> Iterator[Ledger]:
    """A ledger of 40 % of an hour on the endpoint by three keys, of Bedrock, and of a model without a price."""
    environment = {
        "AWS_ENDPOINT_URL": aws.server.url, "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local", "COSTS_LEDGER": str(tmp_path / "ledger.sqlite"),
    }  # fmt: skip
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    ledger = Ledger(environment["COSTS_LEDGER"])
    at = HOUR.timestamp() + 60
    for key, seconds in (("a", 720), ("b", 432), ("c", 288)):
        ledger.record(
            CallRecord(
                at=at, backend="sagemaker", endpoint=ENDPOINT, model="BAAI/bge-m3", kind="document", texts=10,
                tokens=1000, milliseconds=1000 * seconds, cost=0, is_shared=True, attribution=Attribution(key=key),
            )
        )  # fmt: skip
    bedrock: dict[str, Any] = {
        "at": at,
        "backend": "bedrock",
        "endpoint": "",
        "kind": "document",
        "attribution": Attribution(key="a"),
    }
    ledger.record(CallRecord(**bedrock, model=TITAN, texts=4, tokens=MICRO, cost=20_000 * MICRO, cache_hits=2))
    ledger.record(CallRecord(**bedrock, model="unknown.model-v1", texts=1, tokens=7, cost=None))
    ledger.flush()
    yield ledger
    ledger.close()


def report(*arguments: str) -> Result:
    day = f"{DAY:%Y-%m-%d}"
    result = CliRunner().invoke(main, ["report", "--from", day, "--to", day, *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def test_report_divides_an_hour_by_keys_and_shows_idle_time(ledger):
    content = json.loads(report("--json", "--by", "key", "--endpoint", ENDPOINT).stdout)
    costs = {row["key"]: Decimal(row["cost_usd"]) for row in content["rows"]}
    # 0.23 an hour, of which 40 % was busy: 50, 30 and 20 %.
    assert costs == {"a": Decimal("0.066"), "b": Decimal("0.0276"), "c": Decimal("0.0184")}
    (instance,) = content["instances"]
    assert instance["instance_hours"] == "1"
    assert (instance["attributed_usd"], instance["idle_usd"]) == ("0.092", "0.138")
    assert Decimal(content["total_usd"]) == Decimal("0.25")
    assert content["days"][f"{DAY:%Y-%m-%d}"] == "0.25"


def test_report_spreads_idle_time(ledger):
    content = json.loads(report("--json", "--by", "key", "--idle", "spread").stdout)
    costs = {row["key"]: Decimal(row["cost_usd"]) for row in content["rows"]}
    assert costs == {"a": Decimal("0.135"), "b": Decimal("0.069"), "c": Decimal("0.046")}
    assert content["idle_usd"] == "0"


def test_report_lists_unpriced_calls_without_an_amount(ledger):
    content = json.loads(report("--json", "--by", "model").stdout)
    rows = {row["model"]: row for row in content["rows"]}
    assert rows["unknown.model-v1"]["cost_usd"] is None
    assert rows[TITAN]["cost_usd"] == "0.02"
    assert content["unpriced_calls"] == 1
    assert any("unpriced" in note and "unknown.model-v1" in note for note in content["notes"])
    assert any("volumes" in name for name in content["untracked"])


def test_report_of_calls_without_instance_hours_is_unpriced(ledger):
    ledger.record(
        CallRecord(
            at=HOUR.timestamp(), backend="sagemaker", endpoint="deleted", model="m", kind="query", is_shared=True,
            milliseconds=5,
        )
    )  # fmt: skip
    ledger.flush()
    rows = json.loads(report("--json", "--by", "endpoint").stdout)["rows"]
    assert {row["endpoint"]: row["cost_usd"] for row in rows}["deleted"] is None


def test_report_csv_adds_up_to_the_total(ledger):
    rows = list(csv.DictReader(io.StringIO(report("--csv", "--by", "day,model").stdout)))
    assert sum(Decimal(row["cost_usd"] or 0) for row in rows) == Decimal("0.25")
    assert {row["line"] for row in rows} == {"calls", "idle", "metrics"}


def test_report_table_and_plot(ledger, monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "160")
    plot = tmp_path / "costs.svg"
    output = report("--plot", str(plot)).stdout
    for text in ("$0.25", "bge-m3", "ml.m5.xlarge", "unpriced", "Not tracked"):
        assert text in output
    assert "Cost by day" in ET.fromstring(plot.read_text()).attrib["aria-label"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--by", "colour"], "cannot be grouped by 'colour'"),
        (["--to", "2026-01-01"], "--to needs --from"),
        (["--from", "2026-01-02", "--to", "2026-01-01"], "Swap the two dates"),
        (["--from", "2999-01-01", "--to", "2999-01-02"], "after today"),
        (["--cost-explorer", "alex"], "Project=alex"),
    ],
)
def test_report_refuses_bad_options(ledger, arguments, message):
    result = CliRunner().invoke(main, ["report", *arguments])
    assert result.exit_code == 2
    assert message in result.output
