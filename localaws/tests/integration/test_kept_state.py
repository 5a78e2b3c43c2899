"""A local AWS that is stopped with its state kept, and the next one that continues with it."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import urllib3
from botocore.exceptions import ClientError

from localaws import LocalAwsConfig
from localaws.gateway.local_aws import LocalAws
from localaws.process import daemon
from localaws.process.saved_file import SavedFile
from tests.support.localaws.harness import ROLE, TINY_BERT, Aws, wait_until
from tests.support.localaws.lambda_harness import Lambda
from tests.support.localaws.stacks import Stacks
from tests.support.tiny_bert import HIDDEN

CONFIG = LocalAwsConfig(port=0, stop_grace=5, drain_timeout=1)
VECTOR = {"key": "a", "data": {"float32": [0.0, 1.0, 2.0]}, "metadata": {"title": "valves and pumps"}}
COUNTER = """
    import boto3

    def handler(event, context):
        for record in event["Records"]:
            boto3.client("s3").put_object(Bucket="kept-objects", Key=record["body"], Body=b"")
"""


@pytest.fixture(scope="module")
def stopped(models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[LocalAwsConfig, dict[str, Any]]:
    """The configuration of a local AWS that was stopped with its state kept, and identifiers of its resources."""
    state_dir = tmp_path_factory.mktemp("kept")
    config = replace(CONFIG, models_dir=models_dir, state_dir=state_dir)
    server = LocalAws(config).start()
    try:
        created = _create(Aws(server))
        server.stop(keep=True)
    finally:
        server.stop()
    assert not list((state_dir / "containers").glob("*.json"))
    return config, created


@pytest.fixture(scope="module")
def resumed(stopped: tuple[LocalAwsConfig, dict[str, Any]]) -> Iterator[Aws]:
    with LocalAws(stopped[0]) as server:
        yield Aws(server)


@pytest.fixture(scope="module")
def created(stopped: tuple[LocalAwsConfig, dict[str, Any]]) -> dict[str, Any]:
    return stopped[1]


def _create(aws: Aws) -> dict[str, Any]:
    """Resources of each kind that has state outside moto's backends, or that moto's backends cannot simply write."""
    aws.s3.create_bucket(Bucket="kept-objects")
    aws.s3.put_object(Bucket="kept-objects", Key="object", Body=b"content", Metadata={"a": "b"})
    functions, sqs = Lambda(aws), aws.client("sqs")
    queue, arn = functions.queue("source", VisibilityTimeout="60")
    functions.create("counter", COUNTER)
    functions.client.create_event_source_mapping(EventSourceArn=arn, FunctionName="counter")
    waiting, _ = functions.queue("waiting")
    for body in ("visible", "in flight"):
        sqs.send_message(QueueUrl=waiting, MessageBody=body)
    (hidden,) = sqs.receive_message(QueueUrl=waiting, VisibilityTimeout=3600)["Messages"]
    vectors = aws.client("s3vectors")
    vectors.create_vector_bucket(vectorBucketName="kept")
    vectors.create_index(
        vectorBucketName="kept",
        indexName="index",
        dataType="float32",
        dimension=3,
        distanceMetric="cosine",
        metadataConfiguration={"textSearchConfigurations": [{"metadataKey": "title", "language": "en"}]},
    )
    vectors.put_vectors(vectorBucketName="kept", indexName="index", vectors=[VECTOR])
    kms = aws.client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    ciphertext = kms.encrypt(KeyId=key, Plaintext=b"secret")["CiphertextBlob"]
    aws.advance(3600)
    aws.cloudwatch.put_metric_data(Namespace="Kept", MetricData=[{"MetricName": "M", "Value": 1.0}])
    queue_resource = {"Resources": {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "stacked"}}}}
    Stacks(aws).create("kept", queue_resource)
    _create_endpoints(aws)
    _create_database(aws)
    return {"queue": queue, "waiting": waiting, "hidden": hidden["ReceiptHandle"], "ciphertext": ciphertext}


def _create_endpoints(aws: Aws) -> None:
    aws.create_model("kept", HF_MODEL_ID=TINY_BERT)
    aws.create_instance_config("kept", "kept", 1)
    aws.sagemaker.create_endpoint(EndpointName="kept", EndpointConfigName="kept")
    pool = {"VariantName": "v", "InstanceType": "ml.c6i.large", "InitialInstanceCount": 1}
    aws.sagemaker.create_endpoint_config(EndpointConfigName="pool", ExecutionRoleArn=ROLE, ProductionVariants=[pool])
    aws.sagemaker.create_endpoint(EndpointName="pool", EndpointConfigName="pool")
    aws.settled("pool")
    aws.sagemaker.create_inference_component(
        InferenceComponentName="component",
        EndpointName="pool",
        VariantName="v",
        Specification={
            "ModelName": "kept",
            "ComputeResourceRequirements": {"NumberOfCpuCoresRequired": 1, "MinMemoryRequiredInMb": 256},
        },
        RuntimeConfig={"CopyCount": 1},
    )
    aws.settled("kept")
    aws.client("application-autoscaling").register_scalable_target(**_TARGET, MinCapacity=2, MaxCapacity=3)
    wait_until(lambda: aws.variant("kept")["CurrentInstanceCount"] == 2)
    wait_until(lambda: _component(aws)["InferenceComponentStatus"] == "InService")


def _create_database(aws: Aws) -> None:
    rds = aws.client("rds")
    rds.create_db_cluster(
        DBClusterIdentifier="kept", Engine="aurora-postgresql", MasterUsername="owner", MasterUserPassword="password"
    )
    rds.create_db_instance(
        DBInstanceIdentifier="kept-1",
        DBClusterIdentifier="kept",
        Engine="aurora-postgresql",
        DBInstanceClass="db.serverless",
    )
    wait_until(lambda: rds.describe_db_instances()["DBInstances"][0]["DBInstanceStatus"] == "available")
    with _connect(aws) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")


_TARGET = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": "endpoint/kept/variant/AllTraffic",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}


def _component(aws: Aws) -> dict[str, Any]:
    return dict(aws.sagemaker.describe_inference_component(InferenceComponentName="component"))


def _connect(aws: Aws) -> "psycopg.Connection[tuple[Any, ...]]":
    cluster = aws.client("rds").describe_db_clusters()["DBClusters"][0]
    return psycopg.connect(host=cluster["Endpoint"], port=cluster["Port"], user="owner", dbname="postgres")


def test_kept_file_is_readable_by_its_owner_only(stopped: tuple[LocalAwsConfig, dict[str, Any]]) -> None:
    state_dir = stopped[0].state_dir or Path()
    assert (state_dir / "saved-state").stat().st_mode & 0o777 == 0o600
    header = SavedFile(state_dir).header
    assert header is not None
    assert header.left_out == []


def test_objects_vectors_and_keys_are_there_again(resumed: Aws, created: dict[str, Any]) -> None:
    stored = resumed.s3.get_object(Bucket="kept-objects", Key="object")
    assert (stored["Body"].read(), stored["Metadata"]) == (b"content", {"a": "b"})
    found = resumed.client("s3vectors").get_vectors(
        vectorBucketName="kept", indexName="index", keys=["a"], returnData=True, returnMetadata=True
    )
    assert found["vectors"] == [VECTOR]
    texts = [{"metadataKey": "title", "text": "pump"}]
    query = resumed.client("s3vectors").query_vectors
    matches = query(vectorBucketName="kept", indexName="index", queryTexts=texts, topK=1)["vectors"]
    assert [match["key"] for match in matches] == ["a"]
    assert resumed.client("kms").decrypt(CiphertextBlob=created["ciphertext"])["Plaintext"] == b"secret"
    assert Stacks(resumed).describe("kept")["StackStatus"] == "CREATE_COMPLETE"


def test_metered_usage_is_there_again(resumed: Aws) -> None:
    costs = urllib3.request("GET", f"{resumed.server.url}/_embedstack/costs").json()
    quantities = {line["usageType"]: float(line["quantity"]) for line in costs["accounts"]["123456789012"]["lines"]}
    # At least 128 KB of the request before the stop.
    assert quantities["USE1-Vectors-Put-Bytes"] == 128 / 1024**2


def test_messages_keep_their_visibility(resumed: Aws, created: dict[str, Any]) -> None:
    sqs = resumed.client("sqs")
    received = sqs.receive_message(QueueUrl=created["waiting"])["Messages"]
    assert len(received) == 1
    assert sqs.receive_message(QueueUrl=created["waiting"]).get("Messages", []) == []
    sqs.change_message_visibility(QueueUrl=created["waiting"], ReceiptHandle=created["hidden"], VisibilityTimeout=0)
    again = sqs.receive_message(QueueUrl=created["waiting"])["Messages"]
    assert {received[0]["Body"], again[0]["Body"]} == {"visible", "in flight"}


def test_endpoints_run_again_with_their_capacity(resumed: Aws) -> None:
    assert resumed.sagemaker.describe_endpoint(EndpointName="kept")["EndpointStatus"] == "InService"
    assert resumed.variant("kept")["CurrentInstanceCount"] == 2
    assert len(resumed.invoke("kept")[0]) == HIDDEN
    assert _component(resumed)["RuntimeConfig"] == {"DesiredCopyCount": 1, "CurrentCopyCount": 1}
    body = json.dumps({"inputs": "a"}).encode()
    assert resumed.invoke_raw("pool", body, InferenceComponentName="component")["Body"]
    scaling = resumed.client("application-autoscaling")
    assert len(scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]) == 1
    scaling.register_scalable_target(**_TARGET, MinCapacity=3)
    wait_until(lambda: resumed.variant("kept")["CurrentInstanceCount"] == 3)


def test_functions_read_their_queues_again(resumed: Aws, created: dict[str, Any]) -> None:
    resumed.client("sqs").send_message(QueueUrl=created["queue"], MessageBody="after")
    wait_until(
        lambda: "after" in [each["Key"] for each in resumed.s3.list_objects_v2(Bucket="kept-objects")["Contents"]]
    )


def test_databases_clock_and_metrics_continue(resumed: Aws) -> None:
    with _connect(resumed) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchall() == [(42,)]
    assert resumed.now() > datetime.now(UTC) + timedelta(minutes=59)
    metrics = resumed.cloudwatch.list_metrics(Namespace="Kept")["Metrics"]
    assert [metric["MetricName"] for metric in metrics] == ["M"]


def test_reset_deletes_the_kept_state(stopped: tuple[LocalAwsConfig, dict[str, Any]], resumed: Aws) -> None:
    resumed.server.reset()
    assert not daemon.has_kept_state(resumed.server.state_dir)
    with pytest.raises(ClientError, match="NoSuchBucket"):
        resumed.s3.get_object(Bucket="kept-objects", Key="object")
