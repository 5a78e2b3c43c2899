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
    defaults = { id = "us-east-1" }
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
  repository           = "example/embeddings"
}

run "everything" {
  assert {
    condition     = length(aws_iam_role.github) == 2
    error_message = "Both roles must be there."
  }
}
