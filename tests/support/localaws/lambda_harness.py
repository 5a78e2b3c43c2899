"""Functions for the tests of the local AWS's Lambda: a handler's source becomes a zip, and that a function."""

import io
import json
import textwrap
import time
import zipfile
from collections.abc import Callable
from typing import Any

import urllib3

from tests.support.localaws.harness import Aws, wait_until

#: A handler that answers what it was asked.
ECHO = """
    import os, time
    print("imported")
    COUNT = 0

    def handler(event, context):
        global COUNT
        COUNT += 1
        if event.get("sleep"):
            time.sleep(event["sleep"])
        print("working on", event.get("name"))
        return {"count": COUNT, "pid": os.getpid(), "event": event, "id": context.aws_request_id,
                "left": context.get_remaining_time_in_millis(), "memory": context.memory_limit_in_mb}
"""
ROLE = "function"
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
)


def package(source: str, name: str = "function.py", **more: str) -> bytes:
    """A .zip file archive with one module, and more of them by name."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, content in {name: source, **more}.items():
            archive.writestr(path, textwrap.dedent(content))
    return buffer.getvalue()


class Lambda:
    """Clients of one local AWS, and what the tests do with functions."""

    def __init__(self, aws: Aws) -> None:
        self.aws = aws
        self.client = aws.client("lambda")
        self.sqs = aws.client("sqs")
        self.logs = aws.client("logs")
        iam = aws.client("iam")
        self.role = iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
        for policy in ("AWSLambdaSQSQueueExecutionRole", "AWSLambdaVPCAccessExecutionRole"):
            iam.attach_role_policy(RoleName=ROLE, PolicyArn=f"arn:aws:iam::aws:policy/service-role/{policy}")
        allowed = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"}
        iam.put_role_policy(
            RoleName=ROLE,
            PolicyName="dead-letters",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allowed]}),
        )

    def create(self, name: str, source: str, **settings: Any) -> dict[str, Any]:
        defaults = {
            "Runtime": "python3.12",
            "Handler": "function.handler",
            "Role": self.role,
            "Timeout": 20,
            "MemorySize": 256,
            "Code": {"ZipFile": package(source)},
        }
        return dict(self.client.create_function(FunctionName=name, **{**defaults, **settings}))

    def invoke(self, name: str, event: Any = None, **options: Any) -> dict[str, Any]:
        """Invoke, with the payload read and parsed."""
        answer = self.client.invoke(FunctionName=name, Payload=json.dumps(event).encode(), **options)
        content = answer["Payload"].read()
        return {**answer, "Payload": json.loads(content) if content else None}

    def queue(self, name: str, **attributes: str) -> tuple[str, str]:
        """URL and ARN of a new queue."""
        url = self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        return url, self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]

    def queue_with_dlq(self, name: str, receives: int, **attributes: str) -> tuple[str, str, str]:
        """URL and ARN of a new queue, and the URL of its dead-letter queue."""
        dead_url, dead_arn = self.queue(f"{name}-dlq")
        policy = json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": receives})
        return (*self.queue(name, RedrivePolicy=policy, **attributes), dead_url)

    def is_empty(self, url: str) -> bool:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return set(found.values()) == {"0"}

    def received(self, url: str, count: int, timeout: float = 20) -> list[dict[str, Any]]:
        """So many messages of a queue, deleted."""
        found: list[dict[str, Any]] = []
        deadline = time.monotonic() + timeout
        while len(found) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count} messages came"
            for message in self.sqs.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=10,
                WaitTimeSeconds=1,
                MessageAttributeNames=["All"],
                MessageSystemAttributeNames=["All"],
            ).get("Messages", []):
                found.append(message)
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return found

    def log(self, group: str) -> list[str]:
        """The lines of a log group."""
        try:
            events = self.logs.filter_log_events(logGroupName=group)["events"]
        except self.logs.exceptions.ResourceNotFoundException:
            return []
        return [event["message"] for event in events]

    def when(self, condition: Callable[[], bool], timeout: float = 20) -> None:
        wait_until(condition, timeout)


def post(url: str, document: Any, **headers: str) -> urllib3.BaseHTTPResponse:
    body = json.dumps(document).encode()
    return urllib3.request("POST", url, body=body, headers={"Content-Type": "application/json", **headers})


def send(functions: Lambda, url: str, *bodies: Any) -> None:
    for start in range(0, len(bodies), 10):
        entries = [
            {"Id": str(number), "MessageBody": json.dumps(body)}
            for number, body in enumerate(bodies[start : start + 10])
        ]
        functions.sqs.send_message_batch(QueueUrl=url, Entries=entries)
