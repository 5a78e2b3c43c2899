# All resources of the bootstrap, created by a mocked provider. Tests compare policies with AWS's definitions:
# terraform test -test-directory=tests/published -json -verbose

mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_region" {
    defaults = { endpoint = "ec2.us-east-1.amazonaws.com" }
  }
  mock_resource "aws_iam_openid_connect_provider" {
    defaults = { arn = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com" }
  }
  mock_resource "aws_iam_policy" {
    defaults = { arn = "arn:aws:iam::123456789012:policy/alex-boundary" }
  }
  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::alex-state-123456789012-us-east-1", id = "alex-state-123456789012-us-east-1" }
  }
}

variables {
  async_output_buckets = ["my-answers"]
  artifact_buckets     = ["my-models"]
  cost_allocation_tags = ["Project"]
  name                 = "alex"
  repository           = "example@1234/embeddings@5678"

  shared_arns = [
    "arn:aws:kms:us-east-1:123456789012:key/0a1b2c3d-0000-4000-8000-000000000000",
    "arn:aws:s3:::my-captures",
    "arn:aws:s3:::my-queue",
    "arn:aws:sns:us-east-1:123456789012:answers",
    "arn:aws:sns:us-east-1:123456789012:errors",
  ]
}

run "everything" {
  assert {
    condition     = length(aws_iam_role.github) == 2
    error_message = "Both roles must be there."
  }
}
