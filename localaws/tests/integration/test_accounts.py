"""Accounts by access key, and regions by signature."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.localaws.harness import TEI, TINY_BERT, Aws, wait_until
from tests.support.localaws.lambda_harness import TRUST, package
from tests.support.tiny_bert import HIDDEN

DEFAULT = "123456789012"
OTHER = "000000000042"
REGION = "eu-west-1"


@pytest.mark.parametrize(("access_key", "account"), [(OTHER, OTHER), ("local", DEFAULT), ("AKIA123456789012", DEFAULT)])
def test_access_key_of_12_digits_is_the_account(aws: Aws, access_key: str, account: str) -> None:
    identity = aws.client("sts", access_key=access_key).get_caller_identity()
    assert identity["Account"] == account
    assert identity["Arn"].split(":")[4] == account


def test_keys_of_users_and_roles_belong_to_their_account(aws: Aws) -> None:
    iam = aws.client("iam", access_key=OTHER)
    iam.create_user(UserName="user")
    key = iam.create_access_key(UserName="user")["AccessKey"]["AccessKeyId"]
    assert aws.client("sts", access_key=key).get_caller_identity()["Account"] == OTHER
    role = iam.create_role(RoleName="role", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    session = aws.client("sts").assume_role(RoleArn=role, RoleSessionName="session")["Credentials"]
    assert aws.client("sts", access_key=session["AccessKeyId"]).get_caller_identity()["Account"] == OTHER


_RESOURCES: dict[str, tuple[str, Callable[[Any], str], Callable[[Any], list[Any]]]] = {
    "queue": (
        "sqs",
        lambda client: client.get_queue_attributes(
            QueueUrl=client.create_queue(QueueName="q")["QueueUrl"], AttributeNames=["QueueArn"]
        )["Attributes"]["QueueArn"],
        lambda client: client.list_queues().get("QueueUrls", []),
    ),
    "vectors": (
        "s3vectors",
        lambda client: client.create_vector_bucket(vectorBucketName="vectors")["vectorBucketArn"],
        lambda client: client.list_vector_buckets()["vectorBuckets"],
    ),
    "model": (
        "sagemaker",
        lambda client: client.create_model(
            ModelName="m", PrimaryContainer={"Image": TEI}, ExecutionRoleArn=f"arn:aws:iam::{OTHER}:role/sagemaker"
        )["ModelArn"],
        lambda client: client.list_models()["Models"],
    ),
    "alarm": (
        "cloudwatch",
        lambda client: (
            client.put_metric_alarm(
                AlarmName="a",
                Namespace="N",
                MetricName="M",
                Statistic="Sum",
                Period=60,
                EvaluationPeriods=1,
                Threshold=1,
                ComparisonOperator="GreaterThanThreshold",
            )
            and client.describe_alarms()["MetricAlarms"][0]["AlarmArn"]
        ),
        lambda client: client.describe_alarms()["MetricAlarms"],
    ),
    "log group": (
        "logs",
        lambda client: (
            client.create_log_group(logGroupName="g") and client.describe_log_groups()["logGroups"][0]["arn"]
        ),
        lambda client: client.describe_log_groups()["logGroups"],
    ),
    "topic": (
        "sns",
        lambda client: client.create_topic(Name="t")["TopicArn"],
        lambda client: client.list_topics()["Topics"],
    ),
}


@pytest.mark.parametrize(("service", "create", "listed"), _RESOURCES.values(), ids=_RESOURCES.keys())
def test_resources_are_separated_by_account_and_region(
    aws: Aws, service: str, create: Callable[[Any], str], listed: Callable[[Any], list[Any]]
) -> None:
    owner = aws.client(service, REGION, access_key=OTHER)
    assert create(owner).split(":")[3:5] == [REGION, OTHER]
    assert len(listed(owner)) == 1
    assert listed(aws.client(service, REGION)) == []
    assert listed(aws.client(service, access_key=OTHER)) == []


def test_endpoint_belongs_to_one_account_and_region(aws: Aws) -> None:
    sagemaker, runtime = (aws.client(name, REGION, access_key=OTHER) for name in ("sagemaker", "sagemaker-runtime"))
    container = {"Image": TEI.replace("us-east-1", REGION), "Environment": {"HF_MODEL_ID": TINY_BERT}}
    role = f"arn:aws:iam::{OTHER}:role/sagemaker"
    sagemaker.create_model(ModelName="e", PrimaryContainer=container, ExecutionRoleArn=role)
    variant = {"VariantName": "v", "ModelName": "e", "InstanceType": "ml.c6i.large", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName="e", ProductionVariants=[variant])
    arn = sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="e")["EndpointArn"]
    assert arn == f"arn:aws:sagemaker:{REGION}:{OTHER}:endpoint/e"
    wait_until(lambda: sagemaker.describe_endpoint(EndpointName="e")["EndpointStatus"] == "InService")
    request = {"EndpointName": "e", "ContentType": "application/json", "Body": b'{"inputs": "a"}'}
    assert len(json.loads(runtime.invoke_endpoint(**request)["Body"].read())[0]) == HIDDEN
    with pytest.raises(ClientError, match=f"Endpoint e of account {DEFAULT} not found"):
        aws.client("sagemaker-runtime", REGION).invoke_endpoint(**request)
    target = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": "endpoint/e/variant/v",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    scaling = aws.client("application-autoscaling", REGION, access_key=OTHER)
    target_arn = scaling.register_scalable_target(**target, MinCapacity=1, MaxCapacity=2)["ScalableTargetARN"]
    assert target_arn.split(":")[3:5] == [REGION, OTHER]
    with pytest.raises(ClientError, match="Could not find endpoint"):
        aws.client("application-autoscaling", REGION).register_scalable_target(**target, MinCapacity=1, MaxCapacity=2)
    for access_key, metrics in ((OTHER, 1), ("local", 0)):
        cloudwatch = aws.client("cloudwatch", REGION, access_key=access_key)
        listed = cloudwatch.list_metrics(Namespace="AWS/SageMaker", MetricName="Invocations")["Metrics"]
        assert len(listed) == metrics


def test_function_acts_in_its_own_account(aws: Aws) -> None:
    iam, functions = (aws.client(name, access_key=OTHER) for name in ("iam", "lambda"))
    role = iam.create_role(RoleName="function", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    source = """
        import boto3

        def handler(event, context):
            return boto3.client("sts").get_caller_identity()["Account"]
    """
    settings = {"Runtime": "python3.12", "Handler": "function.handler", "Timeout": 20, "MemorySize": 256}
    code = {"ZipFile": package(source)}
    with pytest.raises(ClientError, match=r"AccessDeniedException.*Cross-account pass role is not allowed\."):
        aws.client("lambda").create_function(FunctionName="f", Role=role, Code=code, **settings)
    functions.create_function(FunctionName="f", Role=role, Code=code, **settings)
    assert functions.invoke(FunctionName="f")["Payload"].read() == f'"{OTHER}"'.encode()
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        aws.client("lambda").invoke(FunctionName="f")


def _policy(action: str, resource: str, principal: str) -> str:
    statement = {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": action, "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def test_bucket_policy_decides_for_other_accounts(aws: Aws) -> None:
    aws.s3.create_bucket(Bucket="shared-documents")
    aws.s3.put_object(Bucket="shared-documents", Key="public/a", Body=b"x")
    s3 = aws.client("s3", access_key=OTHER)
    s3.create_bucket(Bucket="copies")
    source = {"Bucket": "shared-documents", "Key": "public/a"}
    for call in (
        lambda: s3.get_object(**source),
        lambda: s3.put_object(Bucket="shared-documents", Key="public/b", Body=b"x"),
        lambda: s3.list_objects_v2(Bucket="shared-documents"),
        lambda: s3.delete_bucket(Bucket="shared-documents"),
        lambda: s3.delete_objects(Bucket="shared-documents", Delete={"Objects": [{"Key": "public/a"}]}),
        lambda: s3.copy_object(Bucket="copies", Key="a", CopySource=source),
    ):
        with pytest.raises(ClientError, match="AccessDenied"):
            call()
    with pytest.raises(ClientError, match="BucketAlreadyExists"):
        s3.create_bucket(Bucket="shared-documents")
    policy = _policy("s3:GetObject", "arn:aws:s3:::shared-documents/public/*", f"arn:aws:iam::{OTHER}:root")
    aws.s3.put_bucket_policy(Bucket="shared-documents", Policy=policy)
    assert s3.get_object(**source)["Body"].read() == b"x"
    s3.copy_object(Bucket="copies", Key="a", CopySource=source)
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.put_object(Bucket="shared-documents", Key="public/a", Body=b"y")
    with pytest.raises(ClientError, match="AccessDenied"):
        aws.client("s3", access_key="000000000043").get_object(**source)


def test_queue_policy_decides_for_other_accounts(aws: Aws) -> None:
    sqs, other = aws.client("sqs"), aws.client("sqs", access_key=OTHER)
    url = sqs.create_queue(QueueName="shared")["QueueUrl"]
    other.create_queue(QueueName="shared")
    for call in (
        lambda: other.send_message(QueueUrl=url, MessageBody="m"),
        lambda: other.delete_queue(QueueUrl=url),
        lambda: other.get_queue_url(QueueName="shared", QueueOwnerAWSAccountId=DEFAULT),
    ):
        with pytest.raises(ClientError, match=r"AccessDenied.*Access to the resource .* is denied"):
            call()
    policy = _policy("sqs:SendMessage", f"arn:aws:sqs:us-east-1:{DEFAULT}:shared", OTHER)
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    other.send_message(QueueUrl=url, MessageBody="m")
    assert [message["Body"] for message in sqs.receive_message(QueueUrl=url)["Messages"]] == ["m"]
    with pytest.raises(ClientError, match="AccessDenied"):
        other.receive_message(QueueUrl=url)
