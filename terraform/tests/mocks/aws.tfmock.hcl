# Values of the mocked provider, where a random string would fail a plan or an assertion.

mock_data "aws_caller_identity" {
  defaults = {
    account_id = "123456789012"
    arn        = "arn:aws:iam::123456789012:user/tester"
    user_id    = "AIDATESTER"
  }
}

mock_data "aws_ecr_image" {
  defaults = {
    image_digest        = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    image_size_in_bytes = 1073741824
  }
}

mock_data "aws_partition" {
  defaults = {
    dns_suffix = "amazonaws.com"
    partition  = "aws"
  }
}

mock_data "aws_region" {
  defaults = {
    endpoint = "ec2.us-east-1.amazonaws.com"
    id       = "us-east-1"
    name     = "us-east-1"
  }
}

mock_data "aws_s3_object" {
  defaults = {
    content_length = 91226112
    etag           = "9b2cf535f27731c974343645a3985328"
  }
}

mock_data "aws_sagemaker_prebuilt_ecr_image" {
  defaults = {
    registry_id   = "683313688378"
    registry_path = "683313688378.dkr.ecr.us-east-1.amazonaws.com/tei-cpu:2.0.1-tei1.9.3-cpu-py310-ubuntu24.04"
  }
}

mock_data "aws_subnet" {
  defaults = {
    vpc_id = "vpc-0123456789abcdef0"
  }
}

mock_resource "aws_cloudformation_stack" {
  defaults = {
    outputs = {
      EndpointArn = "arn:aws:sagemaker:us-east-1:123456789012:endpoint/alex-mocked"
    }
  }
}

mock_resource "aws_iam_role" {
  defaults = {
    arn = "arn:aws:iam::123456789012:role/mocked"
  }
}

mock_resource "aws_sagemaker_endpoint" {
  defaults = {
    arn = "arn:aws:sagemaker:us-east-1:123456789012:endpoint/alex-mocked"
  }
}

mock_resource "aws_sagemaker_endpoint_configuration" {
  defaults = {
    arn = "arn:aws:sagemaker:us-east-1:123456789012:endpoint-config/mocked"
  }
}

mock_resource "aws_sagemaker_model" {
  defaults = {
    arn = "arn:aws:sagemaker:us-east-1:123456789012:model/mocked"
  }
}

mock_resource "aws_kms_key" {
  defaults = {
    arn = "arn:aws:kms:us-east-1:123456789012:key/mocked"
  }
}

mock_resource "aws_sns_topic" {
  defaults = {
    arn = "arn:aws:sns:us-east-1:123456789012:mocked"
  }
}

mock_resource "aws_appautoscaling_policy" {
  defaults = {
    arn = "arn:aws:autoscaling:us-east-1:123456789012:scalingPolicy:0a1b2c3d:resource/sagemaker/m:policyName/m"
  }
}

mock_resource "aws_ce_anomaly_monitor" {
  defaults = {
    arn = "arn:aws:ce::123456789012:anomalymonitor/0a1b2c3d-0000-4000-8000-000000000000"
  }
}

mock_resource "aws_sqs_queue" {
  defaults = {
    arn = "arn:aws:sqs:us-east-1:123456789012:mocked"
    url = "https://sqs.us-east-1.amazonaws.com/123456789012/mocked"
  }
}

mock_resource "aws_lambda_function" {
  defaults = {
    arn = "arn:aws:lambda:us-east-1:123456789012:function:mocked"
  }
}

mock_resource "aws_lambda_function_url" {
  defaults = {
    function_url = "https://mocked.lambda-url.us-east-1.on.aws/"
  }
}

mock_resource "aws_rds_cluster" {
  defaults = {
    arn      = "arn:aws:rds:us-east-1:123456789012:cluster:mocked"
    endpoint = "mocked.cluster-abc.us-east-1.rds.amazonaws.com"
    id       = "mocked"
    master_user_secret = [
      {
        kms_key_id    = "mocked"
        secret_arn    = "arn:aws:secretsmanager:us-east-1:123456789012:secret:rds!cluster-mocked"
        secret_status = "active"
      },
    ]
  }
}

mock_resource "aws_security_group" {
  defaults = {
    arn = "arn:aws:ec2:us-east-1:123456789012:security-group/sg-0123456789abcdef0"
    id  = "sg-0123456789abcdef0"
  }
}

mock_resource "aws_secretsmanager_secret" {
  defaults = {
    arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:alex-vectors-reader-mocked"
  }
}
