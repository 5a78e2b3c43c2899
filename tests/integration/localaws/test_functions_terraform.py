"""Functions, queues and notifications by Terraform: applied once, up to date then, and destroyed without a rest."""

import json
from pathlib import Path

import pytest

from embedstack.terraform import TerraformRoot
from tests.integration.localaws.harness import Aws
from tests.integration.localaws.lambda_harness import Lambda, package

VERSIONS = """
terraform {
  required_version = ">= 1.11"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100.0, < 7.0.0"
    }
  }
}
"""
MAIN = """
variable "role" { type = string }
variable "key" { type = string }

# The provider waits for half a minute wherever it makes a queue: its dead-letter queue is there already.
data "aws_sqs_queue" "dead" { name = "documents-dlq" }

resource "aws_sqs_queue" "documents" {
  name                       = "documents"
  visibility_timeout_seconds = 120
  kms_master_key_id          = var.key
  redrive_policy = jsonencode({ deadLetterTargetArn = data.aws_sqs_queue.dead.arn, maxReceiveCount = 3 })
  redrive_allow_policy = jsonencode({ redrivePermission = "denyAll" })
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "notifications"
      Effect    = "Allow"
      Principal = { Service = "s3.amazonaws.com" }
      Action    = "sqs:SendMessage"
      Resource  = "arn:aws:sqs:us-east-1:123456789012:documents"
      Condition = { ArnEquals = { "aws:SourceArn" = aws_s3_bucket.documents.arn } }
    }]
  })
}

resource "aws_s3_bucket" "documents" { bucket = "alex-documents" }

resource "aws_s3_bucket_notification" "documents" {
  bucket = aws_s3_bucket.documents.id
  queue {
    id            = "documents"
    queue_arn     = aws_sqs_queue.documents.arn
    events        = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]
    filter_prefix = "in/"
  }
}

resource "aws_lambda_function" "ingest" {
  function_name                  = "ingest"
  role                           = var.role
  filename                       = "${path.module}/ingest.zip"
  source_code_hash               = filebase64sha256("${path.module}/ingest.zip")
  handler                        = "function.handler"
  runtime                        = "python3.12"
  architectures                  = ["arm64"]
  memory_size                    = 256
  timeout                        = 20
  reserved_concurrent_executions = 2
  kms_key_arn                    = var.key
  environment { variables = { ANSWER = "bytes" } }
  ephemeral_storage { size = 1024 }
  tracing_config { mode = "Active" }
  dead_letter_config { target_arn = data.aws_sqs_queue.dead.arn }
  logging_config {
    log_format            = "JSON"
    application_log_level = "INFO"
    system_log_level      = "WARN"
    log_group             = "/alex/ingest"
  }
  vpc_config {
    subnet_ids         = [aws_subnet.private.id]
    security_group_ids = [aws_security_group.function.id]
  }
}

resource "aws_vpc" "own" { cidr_block = "10.0.0.0/16" }

resource "aws_subnet" "private" {
  vpc_id     = aws_vpc.own.id
  cidr_block = "10.0.1.0/24"
}

resource "aws_security_group" "function" {
  name   = "function"
  vpc_id = aws_vpc.own.id
}

resource "aws_lambda_event_source_mapping" "documents" {
  event_source_arn        = aws_sqs_queue.documents.arn
  function_name           = aws_lambda_function.ingest.arn
  batch_size              = 5
  function_response_types = ["ReportBatchItemFailures"]
  scaling_config { maximum_concurrency = 2 }
}

resource "aws_lambda_function_url" "ingest" {
  function_name      = aws_lambda_function.ingest.function_name
  authorization_type = "AWS_IAM"
}

resource "aws_lambda_permission" "url" {
  statement_id           = "url"
  action                 = "lambda:InvokeFunctionUrl"
  function_name          = aws_lambda_function.ingest.function_name
  principal              = "123456789012"
  function_url_auth_type = "AWS_IAM"
}

output "url" { value = aws_lambda_function_url.ingest.function_url }
"""
SOURCE = """
    import json, os
    import boto3

    def handler(event, context):
        for record in event["Records"]:
            for each in json.loads(record["body"]).get("Records", []):
                where = {"Bucket": each["s3"]["bucket"]["name"]}
                content = boto3.client("s3").get_object(**where, Key=each["s3"]["object"]["key"])["Body"].read()
                boto3.client("s3").put_object(**where, Key="out/" + os.environ["ANSWER"], Body=str(len(content)))
        return {"batchItemFailures": []}
"""


def test_the_pipeline_of_documents(aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    functions = Lambda(aws)
    functions.queue("documents-dlq")
    key = aws.client("kms").create_key()["KeyMetadata"]["Arn"]
    for name, value in {**aws.server.environment(), "TF_WORKSPACE": "default"}.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "versions.tf").write_text(VERSIONS)
    (tmp_path / "main.tf").write_text(MAIN)
    (tmp_path / "ingest.zip").write_bytes(package(SOURCE))
    (tmp_path / "terraform.tfvars").write_text(f"role = {json.dumps(functions.role)}\nkey = {json.dumps(key)}\n")
    root = TerraformRoot(tmp_path)
    root.init()
    root.apply(root.plan(tmp_path / "plan"), show_progress=False)

    aws.s3.put_object(Bucket="alex-documents", Key="in/a.txt", Body=b"seven b")
    functions.when(lambda: "Contents" in aws.s3.list_objects_v2(Bucket="alex-documents", Prefix="out/"))
    assert aws.s3.get_object(Bucket="alex-documents", Key="out/bytes")["Body"].read() == b"7"
    aws.s3.delete_object(Bucket="alex-documents", Key="in/a.txt")
    aws.s3.delete_object(Bucket="alex-documents", Key="out/bytes")
    again = root.plan(tmp_path / "plan")
    assert not again.has_changes, again.summary

    root.destroy()
    assert functions.client.list_functions()["Functions"] == []
    assert functions.client.list_event_source_mappings()["EventSourceMappings"] == []
    assert aws.pids() == []
