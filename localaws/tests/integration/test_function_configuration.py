"""Lambda and SQS: what functions and queues are told to be is what they say they are, so that plans come out empty."""

import json
from typing import Any

from tests.support.localaws.lambda_harness import ECHO, Lambda

LOGGING = {
    "LogFormat": "JSON", "ApplicationLogLevel": "INFO", "SystemLogLevel": "WARN", "LogGroup": "/alex/configured",
}  # fmt: skip


def configuration(functions: Lambda) -> dict[str, Any]:
    """Every member that Terraform's module or its users set, and that needs something else to exist."""
    ec2 = functions.aws.client("ec2")
    network = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=network, CidrBlock="10.0.1.0/24")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName="function", Description="Its own", VpcId=network)["GroupId"]
    return {
        "KMSKeyArn": functions.aws.client("kms").create_key()["KeyMetadata"]["Arn"],
        "VpcConfig": {"SubnetIds": [subnet], "SecurityGroupIds": [group]},
    }


def test_a_function_is_as_it_was_told_to_be(functions: Lambda) -> None:
    told = {
        "Architectures": ["arm64"], "MemorySize": 512, "Timeout": 21, "Environment": {"Variables": {"ANSWER": "bytes"}},
        "EphemeralStorage": {"Size": 1024}, "TracingConfig": {"Mode": "Active"}, "LoggingConfig": LOGGING,
        **configuration(functions),
    }  # fmt: skip
    created = functions.create("configured", ECHO, **told)
    functions.client.put_function_concurrency(FunctionName="configured", ReservedConcurrentExecutions=2)
    found = functions.client.get_function_configuration(FunctionName="configured")
    for said in (created, found):
        network = {name: said["VpcConfig"][name] for name in told["VpcConfig"]}
        assert {**{name: said[name] for name in told}, "VpcConfig": network} == told
    assert found["LastUpdateStatus"] == "Successful"
    described = functions.client.get_function(FunctionName="configured")
    assert described["Concurrency"] == {"ReservedConcurrentExecutions": 2}
    functions.client.delete_function(FunctionName="configured")
    assert "configured" not in [each["FunctionName"] for each in functions.client.list_functions()["Functions"]]


def test_a_queue_is_as_it_was_told_to_be(functions: Lambda) -> None:
    _, dead = functions.queue("told-dlq")
    statement = {
        "Sid": "notifications", "Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "sqs:SendMessage", "Resource": "arn:aws:sqs:us-east-1:123456789012:told",
        "Condition": {"ArnEquals": {"aws:SourceArn": "arn:aws:s3:::alex-documents"}},
    }  # fmt: skip
    documents = {
        "RedrivePolicy": {"deadLetterTargetArn": dead, "maxReceiveCount": 3},
        "RedriveAllowPolicy": {"redrivePermission": "denyAll"},
        "Policy": {"Version": "2012-10-17", "Statement": [statement]},
    }
    plain = {
        "VisibilityTimeout": "120", "KmsMasterKeyId": functions.aws.client("kms").create_key()["KeyMetadata"]["Arn"],
    }  # fmt: skip
    url, _ = functions.queue("told", **plain, **{name: json.dumps(document) for name, document in documents.items()})
    found = functions.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert {name: found[name] for name in plain} == plain
    assert {name: json.loads(found[name]) for name in documents} == documents
