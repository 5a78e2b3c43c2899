"""S3 event notifications."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localaws import LocalAwsConfig
from tests.support.localaws.lambda_harness import Lambda


@pytest.fixture(scope="module")
def config() -> LocalAwsConfig:
    return LocalAwsConfig(port=0, stop_grace=5, clock_speed=0, function_processes=2)


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


def test_s3_events_reach_the_configured_queue(functions: Lambda) -> None:
    s3, (url, arn) = functions.aws.s3, functions.queue("bucket-events")
    s3.create_bucket(Bucket="notifying")
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
        s3.put_bucket_notification_configuration(Bucket="notifying", NotificationConfiguration=configuration)
    allow_s3(functions, url, arn, "notifying")
    s3.put_bucket_notification_configuration(Bucket="notifying", NotificationConfiguration=configuration)
    described = s3.get_bucket_notification_configuration(Bucket="notifying")
    assert described["QueueConfigurations"] == configuration["QueueConfigurations"]
    test = json.loads(functions.received(url, 1)[0]["Body"])
    assert (test["Event"], test["Bucket"]) == ("s3:TestEvent", "notifying")

    s3.put_object(Bucket="notifying", Key="elsewhere/a.txt", Body=b"")
    s3.put_object(Bucket="notifying", Key="in/a.pdf", Body=b"")
    put = s3.put_object(Bucket="notifying", Key="in/some text & more/ä.txt", Body=b"twelve bytes")
    (event,) = events(functions, url, 1)
    assert (event["eventName"], event["eventSource"]) == ("ObjectCreated:Put", "aws:s3")
    assert event["s3"]["bucket"]["name"] == "notifying"
    assert event["s3"]["configurationId"] == "documents"
    described = event["s3"]["object"]
    assert described["key"] == "in/some+text+%26+more/%C3%A4.txt"
    assert (described["size"], described["eTag"]) == (12, put["ETag"].strip('"'))
    assert "versionId" not in described
    first = described["sequencer"]

    s3.copy_object(Bucket="notifying", Key="in/copy.txt", CopySource={"Bucket": "notifying", "Key": "in/a.pdf"})
    upload = s3.create_multipart_upload(Bucket="notifying", Key="in/parts.txt")["UploadId"]
    part = {"Bucket": "notifying", "Key": "in/parts.txt", "UploadId": upload}
    etag = s3.upload_part(**part, PartNumber=1, Body=b"part")["ETag"]
    s3.complete_multipart_upload(**part, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
    s3.delete_object(Bucket="notifying", Key="in/copy.txt")
    s3.delete_objects(Bucket="notifying", Delete={"Objects": [{"Key": "in/parts.txt"}, {"Key": "in/a.pdf"}]})
    received = events(functions, url, 4)
    assert [event["eventName"] for event in received] == [
        "ObjectCreated:Copy", "ObjectCreated:CompleteMultipartUpload", "ObjectRemoved:Delete", "ObjectRemoved:Delete",
    ]  # fmt: skip
    assert received[-1]["s3"]["object"].keys() == {"key", "sequencer"}
    assert first < received[0]["s3"]["object"]["sequencer"] < received[-1]["s3"]["object"]["sequencer"]

    s3.put_bucket_versioning(Bucket="notifying", VersioningConfiguration={"Status": "Enabled"})
    version = s3.put_object(Bucket="notifying", Key="in/v.txt", Body=b"1")["VersionId"]
    s3.delete_object(Bucket="notifying", Key="in/v.txt")
    s3.delete_object(Bucket="notifying", Key="in/v.txt", VersionId=version)
    received = events(functions, url, 3)
    assert [(event["eventName"], event["s3"]["object"]["versionId"] == version) for event in received] == [
        ("ObjectCreated:Put", True), ("ObjectRemoved:DeleteMarkerCreated", False), ("ObjectRemoved:Delete", True),
    ]  # fmt: skip
    s3.put_bucket_notification_configuration(Bucket="notifying", NotificationConfiguration={})
    s3.put_object(Bucket="notifying", Key="in/untold.txt", Body=b"")
    assert functions.is_empty(url)


@pytest.mark.parametrize("name", ["LambdaFunctionConfigurations", "TopicConfigurations"])
def test_s3_events_to_other_destinations_are_not_implemented(functions: Lambda, name: str) -> None:
    functions.aws.s3.create_bucket(Bucket="elsewhere")
    member, service = {"L": ("LambdaFunctionArn", "lambda"), "T": ("TopicArn", "sns")}[name[0]]
    target = {member: f"arn:aws:{service}:us-east-1:123456789012:target", "Events": ["s3:ObjectCreated:Put"]}
    with pytest.raises(ClientError, match=f"does not implement s3: PutBucketNotificationConfiguration with {name}"):
        functions.aws.s3.put_bucket_notification_configuration(
            Bucket="elsewhere", NotificationConfiguration={name: [target]}
        )
