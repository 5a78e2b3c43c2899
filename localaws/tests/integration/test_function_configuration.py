"""The settings of functions and queues are described as they were set, so that Terraform plans no changes."""

import json
from typing import Any

from tests.support.localaws.lambda_harness import ECHO, Lambda

LOGGING = {
    "LogFormat": "JSON", "ApplicationLogLevel": "INFO", "SystemLogLevel": "WARN", "LogGroup": "/alex/configured",
}  # fmt: skip


def configuration(functions: Lambda) -> dict[str, Any]:
    """Settings that depend on other resources."""
    ec2 = functions.aws.client("ec2")
    network = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=network, CidrBlock="10.0.1.0/24")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName="function", Description="Its own", VpcId=network)["GroupId"]
    return {
        "KMSKeyArn": functions.aws.client("kms").create_key()["KeyMetadata"]["Arn"],
        "VpcConfig": {"SubnetIds": [subnet], "SecurityGroupIds": [group]},
    }


def test_function_settings_are_described_as_set(functions: Lambda) -> None:
    expected = {
        "Architectures": ["arm64"], "MemorySize": 512, "Timeout": 21, "Environment": {"Variables": {"ANSWER": "bytes"}},
        "EphemeralStorage": {"Size": 1024}, "TracingConfig": {"Mode": "Active"}, "LoggingConfig": LOGGING,
        **configuration(functions),
    }  # fmt: skip
    created = functions.create("configured", ECHO, **expected)
    functions.client.put_function_concurrency(FunctionName="configured", ReservedConcurrentExecutions=2)
    described = functions.client.get_function_configuration(FunctionName="configured")
    for response in (created, described):
        network = {name: response["VpcConfig"][name] for name in expected["VpcConfig"]}
        assert {**{name: response[name] for name in expected}, "VpcConfig": network} == expected
    assert described["LastUpdateStatus"] == "Successful"
    described = functions.client.get_function(FunctionName="configured")
    assert described["Concurrency"] == {"ReservedConcurrentExecutions": 2}
    functions.client.delete_function(FunctionName="configured")
    assert "configured" not in [each["FunctionName"] for each in functions.client.list_functions()["Functions"]]


def test_queue_attributes_are_described_as_set(functions: Lambda) -> None:
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
    described = functions.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert {name: described[name] for name in plain} == plain
    assert {name: json.loads(described[name]) for name in documents} == documents
