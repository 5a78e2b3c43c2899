"""From an object in a bucket to a function's answer: S3 events, queues, event sources, and function URLs."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from embedstack.localaws import LocalAwsConfig
from tests.integration.localaws.harness import Aws
from tests.integration.localaws.lambda_harness import Lambda, post

COLLECT = """
    import json, os, time
    import boto3

    sqs = boto3.client("sqs")

    def handler(event, context):
        failed = []
        for record in event["Records"]:
            body = json.loads(record["body"])
            if body.get("die") and record["attributes"]["ApproximateReceiveCount"] == "1":
                os.kill(os.getpid(), 9)
            if body.get("sleep"):
                time.sleep(body["sleep"])
            if body.get("poison"):
                failed.append({"itemIdentifier": record["messageId"]})
                continue
            sqs.send_message(QueueUrl=os.environ["DONE"], MessageBody=json.dumps(
                {"record": record, "batch": len(event["Records"]), "pid": os.getpid()}))
        return {"batchItemFailures": failed}
"""


@pytest.fixture(scope="module")
def config() -> LocalAwsConfig:
    return LocalAwsConfig(port=0, stop_grace=5, clock_speed=0, function_processes=6)


@pytest.fixture(scope="module")
def functions(aws: Aws) -> Lambda:
    return Lambda(aws)


@pytest.fixture
def done(functions: Lambda, request: pytest.FixtureRequest) -> str:
    """The queue that the collecting function reports to."""
    return functions.queue(f"done-{abs(hash(request.node.name))}")[0]


@pytest.fixture
def collect(functions: Lambda, done: str, request: pytest.FixtureRequest) -> Callable[..., tuple[str, str, str]]:
    """Makes a queue with a dead-letter queue that a collecting function reads; URLs of both, and the mapping's id."""

    def collect(name: str, receives: int = 5, visibility: int = 2, **mapping: Any) -> tuple[str, str, str]:
        attributes = {"VisibilityTimeout": str(visibility)}
        url, arn, dead_url = functions.queue_with_dlq(name, receives, **attributes)
        functions.create(name, COLLECT, Timeout=visibility, Environment={"Variables": {"DONE": done}})
        created = functions.client.create_event_source_mapping(
            EventSourceArn=arn,
            FunctionName=name,
            **{"FunctionResponseTypes": ["ReportBatchItemFailures"], **mapping},
        )
        assert created["State"] == "Creating"
        uuid = created["UUID"]
        assert functions.client.get_event_source_mapping(UUID=uuid)["State"] == "Enabled"

        def remove() -> None:
            functions.client.delete_event_source_mapping(UUID=uuid)
            functions.client.delete_function(FunctionName=name)

        request.addfinalizer(remove)
        return url, dead_url, uuid

    return collect


def send(functions: Lambda, url: str, *bodies: Any) -> None:
    for start in range(0, len(bodies), 10):
        entries = [
            {"Id": str(number), "MessageBody": json.dumps(body)}
            for number, body in enumerate(bodies[start : start + 10])
        ]
        functions.sqs.send_message_batch(QueueUrl=url, Entries=entries)


def test_messages_become_records_and_are_deleted(functions: Lambda, collect: Any, done: str) -> None:
    url, _, _ = collect("records")
    attribute = {"kind": {"DataType": "String", "StringValue": "test"}}
    sent = functions.sqs.send_message(QueueUrl=url, MessageBody='{"n": 1}', MessageAttributes=attribute)
    report = json.loads(functions.received(done, 1)[0]["Body"])
    record = report["record"]
    assert (record["messageId"], record["body"]) == (sent["MessageId"], '{"n": 1}')
    assert record["md5OfBody"] == sent["MD5OfMessageBody"]
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert record["attributes"].keys() == {
        "ApproximateReceiveCount", "SentTimestamp", "SenderId", "ApproximateFirstReceiveTimestamp",
    }  # fmt: skip
    assert record["messageAttributes"]["kind"]["stringValue"] == "test"
    assert (record["eventSource"], record["awsRegion"]) == ("aws:sqs", "us-east-1")
    assert record["eventSourceARN"] == "arn:aws:sqs:us-east-1:123456789012:records"
    functions.when(lambda: functions.is_empty(url))


def test_what_a_function_reports_as_failed_ends_in_the_dead_letter_queue(
    functions: Lambda, collect: Any, done: str
) -> None:
    url, dead_url, _ = collect("partial", receives=2, visibility=1)
    send(functions, url, {"n": 1}, {"poison": True}, {"n": 2})
    bodies = [json.loads(message["Body"])["record"]["body"] for message in functions.received(done, 2)]
    assert sorted(bodies) == ['{"n": 1}', '{"n": 2}']
    dead = functions.received(dead_url, 1)[0]
    assert dead["Body"] == '{"poison": true}'
    assert dead["Attributes"]["DeadLetterQueueSourceArn"].endswith(":partial")
    assert functions.is_empty(url)


def test_a_killed_function_gives_its_messages_back(functions: Lambda, collect: Any, done: str) -> None:
    url, _, _ = collect("killed", visibility=1)
    send(functions, url, {"die": True, "n": 1})
    report = json.loads(functions.received(done, 1)[0]["Body"])
    assert report["record"]["attributes"]["ApproximateReceiveCount"] == "2"
    functions.when(lambda: functions.is_empty(url))


def test_each_message_is_worked_on_once_however_many_work(functions: Lambda, collect: Any, done: str) -> None:
    url, _, _ = collect("many", visibility=20, BatchSize=5, ScalingConfig={"MaximumConcurrency": 3})
    batches = [[{"n": 10 * batch + number} for number in range(10)] for batch in range(30)]
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(lambda batch: send(functions, url, *batch), batches))
    reports = [json.loads(message["Body"]) for message in functions.received(done, 300, timeout=60)]
    assert sorted(json.loads(report["record"]["body"])["n"] for report in reports) == list(range(300))
    assert len({report["pid"] for report in reports}) <= 3
    assert max(report["batch"] for report in reports) <= 5
    functions.when(lambda: functions.is_empty(url))


def test_a_throttled_function_loses_nothing(functions: Lambda, collect: Any, done: str) -> None:
    url, dead_url, _ = collect("throttled", receives=1, visibility=10, BatchSize=1)
    functions.client.put_function_concurrency(FunctionName="throttled", ReservedConcurrentExecutions=1)
    send(functions, url, *({"n": number, "sleep": 0.1} for number in range(8)))
    reports = [json.loads(message["Body"]) for message in functions.received(done, 8)]
    assert len({report["pid"] for report in reports}) == 1
    functions.when(lambda: functions.is_empty(url))
    assert functions.is_empty(dead_url)


def test_a_mapping_is_disabled_changed_and_deleted(functions: Lambda, collect: Any, done: str) -> None:
    url, _, uuid = collect("changing")
    updated = functions.client.update_event_source_mapping(UUID=uuid, Enabled=False)
    assert updated["State"] == "Updating"
    assert functions.client.get_event_source_mapping(UUID=uuid)["State"] == "Disabled"
    send(functions, url, {"n": 1}, {"n": 2})
    time.sleep(0.5)
    assert not functions.is_empty(url)
    window = {"BatchSize": 20, "MaximumBatchingWindowInSeconds": 1}
    assert functions.client.update_event_source_mapping(UUID=uuid, Enabled=True, **window)["BatchSize"] == 20
    assert [json.loads(message["Body"])["batch"] for message in functions.received(done, 2)] == [2, 2]


def test_mappings_that_cannot_be(functions: Lambda, collect: Any) -> None:
    collect("strict")
    mapping = {"EventSourceArn": "arn:aws:sqs:us-east-1:123456789012:strict", "FunctionName": "strict"}
    with pytest.raises(functions.client.exceptions.ResourceConflictException, match="already exists"):
        functions.client.create_event_source_mapping(**mapping)
    _, arn = functions.queue("impatient", VisibilityTimeout="1")
    with pytest.raises(ClientError, match="visibility timeout: 1 seconds is less than Function timeout: 2 seconds"):
        functions.client.create_event_source_mapping(**{**mapping, "EventSourceArn": arn})
    _, arn = functions.queue("patient")
    with pytest.raises(ClientError, match="Maximum batch window in seconds must be greater than 0"):
        functions.client.create_event_source_mapping(**{**mapping, "EventSourceArn": arn, "BatchSize": 11})
    criteria = {"Filters": [{"Pattern": "{}"}]}
    with pytest.raises(ClientError, match="FilterCriteria"):
        functions.client.create_event_source_mapping(**{**mapping, "EventSourceArn": arn, "FilterCriteria": criteria})
    with pytest.raises(ClientError, match="NonExistentQueue"):
        functions.client.create_event_source_mapping(**{**mapping, "EventSourceArn": f"{arn}-not"})


def allow_s3(functions: Lambda, url: str, arn: str, bucket: str) -> None:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": f"arn:aws:s3:::{bucket}"}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    functions.sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})


def events(functions: Lambda, url: str, count: int) -> list[dict[str, Any]]:
    bodies = [json.loads(message["Body"]) for message in functions.received(url, count)]
    return [body["Records"][0] for body in bodies]


def test_a_bucket_tells_its_queue_what_happens_to_objects(functions: Lambda) -> None:
    s3, (url, arn) = functions.aws.s3, functions.queue("bucket-events")
    s3.create_bucket(Bucket="told")
    rules = [{"Name": "prefix", "Value": "in/"}, {"Name": "suffix", "Value": ".txt"}]
    configuration = {
        "QueueConfigurations": [
            {
                "Id": "documents",
                "QueueArn": arn,
                "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"],
                "Filter": {"Key": {"FilterRules": rules}},
            }
        ]
    }
    with pytest.raises(ClientError, match="Unable to validate the following destination configurations"):
        s3.put_bucket_notification_configuration(Bucket="told", NotificationConfiguration=configuration)
    allow_s3(functions, url, arn, "told")
    s3.put_bucket_notification_configuration(Bucket="told", NotificationConfiguration=configuration)
    described = s3.get_bucket_notification_configuration(Bucket="told")
    assert described["QueueConfigurations"] == configuration["QueueConfigurations"]
    test = json.loads(functions.received(url, 1)[0]["Body"])
    assert (test["Event"], test["Bucket"]) == ("s3:TestEvent", "told")

    s3.put_object(Bucket="told", Key="elsewhere/a.txt", Body=b"")
    s3.put_object(Bucket="told", Key="in/a.pdf", Body=b"")
    put = s3.put_object(Bucket="told", Key="in/some text & more/ä.txt", Body=b"twelve bytes")
    (event,) = events(functions, url, 1)
    assert (event["eventName"], event["eventSource"]) == ("ObjectCreated:Put", "aws:s3")
    assert event["s3"]["bucket"]["name"] == "told"
    assert event["s3"]["configurationId"] == "documents"
    described = event["s3"]["object"]
    assert described["key"] == "in/some+text+%26+more/%C3%A4.txt"
    assert (described["size"], described["eTag"]) == (12, put["ETag"].strip('"'))
    assert "versionId" not in described
    first = described["sequencer"]

    s3.copy_object(Bucket="told", Key="in/copy.txt", CopySource={"Bucket": "told", "Key": "in/a.pdf"})
    upload = s3.create_multipart_upload(Bucket="told", Key="in/parts.txt")["UploadId"]
    part = {"Bucket": "told", "Key": "in/parts.txt", "UploadId": upload}
    etag = s3.upload_part(**part, PartNumber=1, Body=b"part")["ETag"]
    s3.complete_multipart_upload(**part, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
    s3.delete_object(Bucket="told", Key="in/copy.txt")
    s3.delete_objects(Bucket="told", Delete={"Objects": [{"Key": "in/parts.txt"}, {"Key": "in/a.pdf"}]})
    told = events(functions, url, 4)
    assert [event["eventName"] for event in told] == [
        "ObjectCreated:Copy", "ObjectCreated:CompleteMultipartUpload", "ObjectRemoved:Delete", "ObjectRemoved:Delete",
    ]  # fmt: skip
    assert told[-1]["s3"]["object"].keys() == {"key", "sequencer"}
    assert first < told[0]["s3"]["object"]["sequencer"] < told[-1]["s3"]["object"]["sequencer"]

    s3.put_bucket_versioning(Bucket="told", VersioningConfiguration={"Status": "Enabled"})
    version = s3.put_object(Bucket="told", Key="in/v.txt", Body=b"1")["VersionId"]
    s3.delete_object(Bucket="told", Key="in/v.txt")
    s3.delete_object(Bucket="told", Key="in/v.txt", VersionId=version)
    told = events(functions, url, 3)
    assert [(event["eventName"], event["s3"]["object"]["versionId"] == version) for event in told] == [
        ("ObjectCreated:Put", True), ("ObjectRemoved:DeleteMarkerCreated", False), ("ObjectRemoved:Delete", True),
    ]  # fmt: skip
    s3.put_bucket_notification_configuration(Bucket="told", NotificationConfiguration={})
    s3.put_object(Bucket="told", Key="in/untold.txt", Body=b"")
    assert functions.is_empty(url)


def test_a_bucket_invokes_a_function(functions: Lambda, done: str) -> None:
    source = """
        import boto3, os
        def handler(event, context):
            key = event["Records"][0]["s3"]["object"]["key"]
            content = boto3.client("s3").get_object(Bucket="invoking", Key=key)["Body"].read().decode()
            boto3.client("sqs").send_message(QueueUrl=os.environ["DONE"], MessageBody=content)
    """
    arn = functions.create("invoked", source, Environment={"Variables": {"DONE": done}})["FunctionArn"]
    functions.aws.s3.create_bucket(Bucket="invoking")
    target = {"LambdaFunctionArn": arn, "Events": ["s3:ObjectCreated:Put"]}
    configuration = {"LambdaFunctionConfigurations": [target]}
    with pytest.raises(ClientError, match="Unable to validate"):
        functions.aws.s3.put_bucket_notification_configuration(
            Bucket="invoking", NotificationConfiguration=configuration
        )
    functions.client.add_permission(
        FunctionName="invoked",
        StatementId="s3",
        Action="lambda:InvokeFunction",
        Principal="s3.amazonaws.com",
        SourceArn="arn:aws:s3:::invoking",
    )
    functions.aws.s3.put_bucket_notification_configuration(Bucket="invoking", NotificationConfiguration=configuration)
    functions.aws.s3.put_object(Bucket="invoking", Key="a", Body=b"the content")
    assert functions.received(done, 1)[0]["Body"] == "the content"


def signed(url: str, body: bytes, service: str = "lambda") -> dict[str, str]:
    request = AWSRequest("POST", url, data=body, headers={"Content-Type": "application/json"})
    SigV4Auth(Credentials("local", "local"), service, "us-east-1").add_auth(request)
    return dict(request.headers)


def test_a_function_url_takes_signed_requests(functions: Lambda) -> None:
    source = """
        import json
        def handler(event, context):
            if event["rawPath"] == "/plain":
                return {"path": event["rawPath"]}
            if event["rawPath"] == "/broken":
                raise ValueError
            return {"statusCode": 201, "headers": {"X-Own": "1"}, "cookies": ["a=1", "b=2"],
                    "body": json.dumps(event)}
    """
    functions.create("answering", source)
    created = functions.client.create_function_url_config(FunctionName="answering", AuthType="AWS_IAM")
    url = created["FunctionUrl"]
    assert functions.client.get_function_url_config(FunctionName="answering")["FunctionUrl"] == url
    unsigned = post(url, {"query": "text"})
    assert (unsigned.status, unsigned.json()) == (403, {"Message": "Forbidden"})
    body = b'{"query": "text"}'
    wrong = urllib3.request("POST", url, body=body, headers=signed(url, body, service="s3"))
    assert wrong.status == 403

    target = f"{url}some/path?k=5&k=6"
    answer = urllib3.request("POST", target, body=body, headers={**signed(target, body), "Cookie": "c=3; d=4"})
    assert (answer.status, answer.headers["X-Own"]) == (201, "1")
    assert answer.headers.getlist("Set-Cookie") == ["a=1", "b=2"]
    event = answer.json()
    assert (event["version"], event["rawPath"], event["rawQueryString"]) == ("2.0", "/some/path", "k=5&k=6")
    assert (event["body"], event["isBase64Encoded"]) == (body.decode(), False)
    assert event["queryStringParameters"] == {"k": "5,6"}
    assert event["cookies"] == ["c=3", "d=4"]
    assert event["requestContext"]["http"]["method"] == "POST"
    assert event["requestContext"]["authorizer"]["iam"]["accountId"] == "123456789012"

    plain = urllib3.request("POST", f"{url}plain", body=body, headers=signed(f"{url}plain", body))
    assert (plain.status, plain.json()) == (200, {"path": "/plain"})
    broken = urllib3.request("POST", f"{url}broken", body=body, headers=signed(f"{url}broken", body))
    assert broken.status == 502
    functions.client.put_function_concurrency(FunctionName="answering", ReservedConcurrentExecutions=0)
    assert urllib3.request("POST", url, body=body, headers=signed(url, body)).status == 429


def test_a_function_url_without_authentication_needs_a_policy(functions: Lambda) -> None:
    functions.create("open", "def handler(event, context): return 'welcome'")
    url = functions.client.create_function_url_config(FunctionName="open", AuthType="NONE")["FunctionUrl"]
    assert urllib3.request("GET", url).status == 403
    functions.client.add_permission(
        FunctionName="open",
        StatementId="public",
        Action="lambda:InvokeFunctionUrl",
        Principal="*",
        FunctionUrlAuthType="NONE",
    )
    answer = urllib3.request("GET", url)
    assert (answer.status, answer.data) == (200, b"welcome")


def test_queues_tell_cloudwatch_what_waits(functions: Lambda) -> None:
    url, _ = functions.queue("watched")
    cloudwatch = functions.aws.client("cloudwatch")
    for metric, threshold in (("ApproximateNumberOfMessagesVisible", 1), ("ApproximateAgeOfOldestMessage", 600)):
        cloudwatch.put_metric_alarm(
            AlarmName=metric,
            Namespace="AWS/SQS",
            MetricName=metric,
            Dimensions=[{"Name": "QueueName", "Value": "watched"}],
            Statistic="Maximum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=threshold,
            ComparisonOperator="GreaterThanOrEqualToThreshold",
        )

    def states() -> dict[str, str]:
        return {alarm["AlarmName"]: alarm["StateValue"] for alarm in cloudwatch.describe_alarms()["MetricAlarms"]}

    functions.aws.advance(180)
    functions.when(lambda: set(states().values()) == {"OK"})
    functions.sqs.send_message(QueueUrl=url, MessageBody="waits")
    functions.aws.advance(180)
    functions.when(lambda: states()["ApproximateNumberOfMessagesVisible"] == "ALARM")
    assert states()["ApproximateAgeOfOldestMessage"] == "OK"
    functions.aws.advance(900)
    functions.when(lambda: states()["ApproximateAgeOfOldestMessage"] == "ALARM")


def test_a_dead_letter_queue_is_moved_back(functions: Lambda) -> None:
    url, arn, dead_url = functions.queue_with_dlq("moved", 1)
    send(functions, url, {"n": 1}, {"n": 2})
    functions.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
    assert "Messages" not in functions.sqs.receive_message(QueueUrl=url)
    dead_arn = f"{arn}-dlq"
    functions.sqs.start_message_move_task(SourceArn=dead_arn)
    task = functions.sqs.list_message_move_tasks(SourceArn=dead_arn)["Results"][0]
    assert (task["Status"], task["ApproximateNumberOfMessagesMoved"]) == ("COMPLETED", 2)
    assert functions.is_empty(dead_url)
    moved = functions.received(url, 2)
    assert {message["Attributes"]["ApproximateReceiveCount"] for message in moved} == {"1"}


def test_receivers_share_a_queue_without_loss_or_repetition(functions: Lambda) -> None:
    url, _ = functions.queue("shared", VisibilityTimeout="60")
    found: list[str] = []
    sending = threading.Event()
    sending.set()

    def receive() -> None:
        while sending.is_set() or not functions.is_empty(url):
            for message in functions.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
                functions.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                found.append(message["Body"])

    receivers = [threading.Thread(target=receive) for _ in range(3)]
    for receiver in receivers:
        receiver.start()
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda n: send(functions, url, *({"n": 10 * n + each} for each in range(10))), range(20)))
    sending.clear()
    for receiver in receivers:
        receiver.join()
    assert sorted(json.loads(body)["n"] for body in found) == list(range(200))


def test_nothing_is_left_of_a_function_that_was_killed_with_its_process_group(functions: Lambda) -> None:
    functions.create("grouped", "import os\ndef handler(event, context): return os.getpid()")
    pid = functions.invoke("grouped")["Payload"]
    assert pid in functions.aws.pids()
    os.kill(pid, signal.SIGKILL)
    functions.client.delete_function(FunctionName="grouped")
    assert pid not in functions.aws.pids()
