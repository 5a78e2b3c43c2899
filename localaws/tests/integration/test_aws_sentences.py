"""The local AWS answers mistakes with AWS's own sentences, which aws_sentences.yaml lists with their sources."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import urllib3
import yaml
from botocore.exceptions import ClientError, EventStreamError

from localaws import LocalAwsConfig
from localaws.gateway.local_aws import LocalAws
from tests.support.localaws.harness import HUGGINGFACE, ROLE, TEI, TINY_BERT, Aws, stalled, wait_until
from tests.support.localaws.lambda_harness import ECHO, Lambda, package

SENTENCES = yaml.safe_load(Path(__file__).with_name("aws_sentences.yaml").read_text("utf-8"))["sentences"]
REGION, ACCOUNT, BUCKET = "us-east-1", "123456789012", "sentences"


@dataclass
class World:
    """A local AWS with the resources that the sentences name.

    Attributes:
        aws: The local AWS.
        texts: What stands for a word in braces.
        pids: The process of an endpoint's container.
    """

    aws: Aws
    texts: dict[str, str]
    pids: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # AWS is to refuse what botocore would.
        self.client = cache(lambda service, region: self.aws.client(service, region, parameter_validation=False))

    def control(self, name: str, document: dict[str, Any]) -> None:
        """Set a fault or a quota of the local AWS."""
        response = urllib3.request("POST", f"{self.aws.server.url}/_embedstack/{name}", json=document)
        assert response.status == 200, response.data

    def call(self, operation: str, request: dict[str, Any], region: str) -> dict[str, Any]:
        service, name = operation.split(".")
        response: dict[str, Any] = getattr(self.client(service, region), name)(**self.filled(request))
        return response

    def filled(self, value: Any) -> Any:
        """A parameter with its texts."""
        match value:
            case {"repeat": text, "times": times}:
                return value.get("before", "") + text * times + value.get("after", "")
            case {"entries": count}:
                return [{"Id": str(number), "MessageBody": "x"} for number in range(count)]
            case {"keys": count}:
                return {f"key{number}": number for number in range(count)}
            case {"package": _}:
                return package(ECHO)
            case dict():
                return {key: self.filled(item) for key, item in value.items()}
            case list():
                return [self.filled(item) for item in value]
            case str():
                return re.sub(r"\{(\w+)\}", lambda match: self.texts.get(match[1], match[0]), value)
        return value

    def pattern(self, sentence: str, texts: dict[str, str]) -> re.Pattern[str]:
        """Matches a sentence."""
        parts = re.split(r"\{(\w+)\}", sentence)
        known = {**self.texts, **texts}
        parts[::2] = map(re.escape, parts[::2])
        parts[1::2] = [re.escape(known[part]) if part in known else ".+?" for part in parts[1::2]]
        return re.compile("".join(parts), re.DOTALL)


@pytest.fixture(scope="module")
def config() -> LocalAwsConfig:
    return LocalAwsConfig(port=0, stop_grace=5, invocation_timeout=3, stream_timeout=1)


@pytest.fixture(scope="module")
def world(config: LocalAwsConfig, models_dir: Path) -> Iterator[World]:
    with LocalAws(replace(config, models_dir=models_dir)) as server:
        aws = Aws(server)
        functions = Lambda(aws)
        function = functions.create("sentences", ECHO, Timeout=3)["FunctionName"]
        queue, queue_arn = functions.queue("sentences", VisibilityTimeout="30")
        aws.s3.create_bucket(Bucket=BUCKET)
        vectors = aws.client("s3vectors")
        vectors.create_vector_bucket(vectorBucketName=BUCKET)
        index = vectors.create_index(
            vectorBucketName=BUCKET, indexName="texts", dataType="float32", dimension=2, distanceMetric="cosine"
        )
        texts = {
            "account": ACCOUNT,
            "region": REGION,
            "tei": TEI,
            "role": ROLE,
            "function": function,
            "function_role": functions.role,
            "bucket": BUCKET,
            "queue": queue,
            "queue_arn": queue_arn,
            "fast_queue_arn": functions.queue("fast", VisibilityTimeout="30")[1],
            "short_queue_arn": functions.queue("short", VisibilityTimeout="1")[1],
            "fifo": functions.queue("sentences.fifo", FifoQueue="true")[0],
            "index": index["indexArn"],
        }
        world = World(aws, texts)
        create_endpoints(world)
        yield world


def create_endpoints(world: World) -> None:
    aws = world.aws
    aws.create_model("tiny", HF_MODEL_ID=TINY_BERT)
    aws.create_config("serverless", "tiny")
    aws.create_config("large", "tiny", MemorySizeInMB=4096)
    aws.create_instance_config("instances", "tiny", 1, InstanceType="ml.m5.large")
    aws.create_model("toolkit", HUGGINGFACE, HF_MODEL_ID=TINY_BERT, HF_TASK="feature-extraction")
    aws.create_config("toolkit", "toolkit")
    pool = {
        "VariantName": "AllTraffic",
        "InstanceType": "ml.m5.xlarge",
        "InitialInstanceCount": 1,
        "ManagedInstanceScaling": {"Status": "ENABLED", "MinInstanceCount": 0, "MaxInstanceCount": 2},
    }
    aws.sagemaker.create_endpoint_config(
        EndpointConfigName="components", ExecutionRoleArn=ROLE, ProductionVariants=[pool]
    )
    aws.sagemaker.create_endpoint_config(
        EndpointConfigName="queued",
        ProductionVariants=[
            {"VariantName": "v", "ModelName": "tiny", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
        ],
        AsyncInferenceConfig={"OutputConfig": {"S3OutputPath": f"s3://{BUCKET}/out"}},
    )
    world.control("faults", {"service": "sagemaker", "kind": "capacity", "rate": 1, "count": 1})
    for name, config in {"queued": "queued", "ready": "serverless"}.items():
        aws.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
    aws.settled("ready")
    (world.pids["ready"],) = aws.pids()
    for name in ("toolkit", "components"):
        aws.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
        assert aws.settled(name)["EndpointStatus"] == "InService"
    aws.sagemaker.create_inference_component(
        InferenceComponentName="asleep",
        EndpointName="components",
        VariantName="AllTraffic",
        Specification={"ModelName": "tiny", "ComputeResourceRequirements": {"MinMemoryRequiredInMb": 256}},
        RuntimeConfig={"CopyCount": 1},
    )
    asleep = {"InferenceComponentName": "asleep"}
    wait_until(lambda: aws.sagemaker.describe_inference_component(**asleep)["InferenceComponentStatus"] == "InService")
    aws.sagemaker.update_inference_component_runtime_config(**asleep, DesiredRuntimeConfig={"CopyCount": 0})
    wait_until(lambda: not aws.sagemaker.describe_inference_component(**asleep)["RuntimeConfig"]["CurrentCopyCount"])


def test_aws_sentences_are_complete() -> None:
    assert len(SENTENCES) >= 60
    for sentence in SENTENCES.values():
        assert sentence["source"]
        assert isinstance(sentence["date"], date)
        assert ("message" in sentence) != ("starts" in sentence)


@pytest.mark.parametrize("name", SENTENCES)
def test_local_aws_answers_with_the_sentence(world: World, name: str) -> None:
    sentence = SENTENCES[name]
    region = sentence.get("region", REGION)
    with contextlib.ExitStack() as stack:
        for step in sentence.get("given", ()):
            ((operation, request),) = step.items()
            if operation == "stall":
                stack.enter_context(stalled(world.pids[request]))
            elif operation in ("faults", "quotas"):
                world.control(operation, request)
                if operation == "quotas":
                    stack.callback(world.control, operation, {**request, "value": None})
            else:
                world.call(operation, request, region)
        if "code" in sentence:
            message = refusal(world, sentence, region)
        else:
            world.call(sentence["operation"], sentence["request"], region)
            message = world.aws.settled(sentence["request"]["EndpointName"])["FailureReason"]
    pattern = world.pattern(sentence.get("message") or sentence["starts"], {"region": region})
    # The local AWS adds the last lines of the container's log to a FailureReason.
    matches = pattern.match if "starts" in sentence else pattern.fullmatch
    assert matches(message), message


def refusal(world: World, sentence: dict[str, Any], region: str) -> str:
    """The message of the error, whose code and status are checked."""
    with pytest.raises((ClientError, EventStreamError)) as raised:
        for _ in world.call(sentence["operation"], sentence["request"], region).get("Body", ()):
            pass
    response: Any = raised.value.response
    assert response["Error"]["Code"] == sentence["code"], response["Error"]
    if "status" in sentence:
        assert response["ResponseMetadata"]["HTTPStatusCode"] == sentence["status"]
    return str(response["Error"]["Message"])
