"""What a bucket tells of its objects: to a queue, and to a function."""

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
