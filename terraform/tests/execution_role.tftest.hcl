# The execution role, statement by statement.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  endpoint_name = "alex-embedding-endpoint"
  image_uri     = "683313688378.dkr.ecr.us-east-1.amazonaws.com/tei-cpu:2.0.1-tei1.8.2-cpu-py310-ubuntu22.04"
  name          = "alex-embedding-role"
}

run "for_a_hub_model" {
  command = plan
  module { source = "./modules/execution-role" }

  assert {
    condition = jsondecode(aws_iam_role.embeddings.assume_role_policy) == {
      Version = "2012-10-17"
      Statement = [
        {
          Sid       = "AllowSageMaker"
          Effect    = "Allow"
          Principal = { Service = "sagemaker.amazonaws.com" }
          Action    = "sts:AssumeRole"
          Condition = { ArnLike = { "aws:SourceArn" = "arn:aws:sagemaker:us-east-1:123456789012:*" } }
        },
      ]
    }
    error_message = "Only SageMaker may assume the role, for this account and region."
  }
  assert {
    condition = jsondecode(aws_iam_role_policy.embeddings.policy) == {
      Version = "2012-10-17"
      Statement = [
        {
          Sid      = "PullImage"
          Effect   = "Allow"
          Action   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
          Resource = "arn:aws:ecr:us-east-1:683313688378:repository/tei-cpu"
        },
        {
          Sid      = "AuthenticateToRegistry"
          Effect   = "Allow"
          Action   = "ecr:GetAuthorizationToken"
          Resource = "*"
        },
        {
          Sid    = "WriteLogs"
          Effect = "Allow"
          Action = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
          Resource = [
            "arn:aws:logs:us-east-1:123456789012:log-group:/aws/sagemaker/Endpoints/alex-embedding-endpoint",
            "arn:aws:logs:us-east-1:123456789012:log-group:/aws/sagemaker/Endpoints/alex-embedding-endpoint:*",
          ]
        },
        {
          Sid       = "PublishMetrics"
          Effect    = "Allow"
          Action    = "cloudwatch:PutMetricData"
          Resource  = "*"
          Condition = { StringEquals = { "cloudwatch:namespace" = ["/aws/sagemaker/Endpoints"] } }
        },
      ]
    }
    error_message = "The role must have these four statements and no other."
  }
  assert {
    condition     = output.arn == "arn:aws:iam::123456789012:role/alex-embedding-role"
    error_message = "The ARN must be known in the plan."
  }
  assert {
    condition     = aws_iam_role.embeddings.permissions_boundary == null
    error_message = "There must be no boundary unless one is given."
  }
}

run "for_an_artifact" {
  command = plan
  module { source = "./modules/execution-role" }

  variables {
    artifact             = "s3://my-models/minilm/model.tar.gz"
    permissions_boundary = "arn:aws:iam::123456789012:policy/team-boundary"
    role_path            = "/embeddings/"
  }

  assert {
    condition = (
      [for statement in jsondecode(output.policy_json).Statement : statement.Sid] ==
      ["PullImage", "AuthenticateToRegistry", "WriteLogs", "PublishMetrics", "ReadArtifact", "FindArtifact"]
    )
    error_message = "An artifact must add two statements."
  }
  assert {
    condition = jsondecode(output.policy_json).Statement[4] == {
      Sid      = "ReadArtifact"
      Effect   = "Allow"
      Action   = "s3:GetObject"
      Resource = "arn:aws:s3:::my-models/minilm/model.tar.gz"
    }
    error_message = "The role may read the artifact and no other object."
  }
  assert {
    condition = jsondecode(output.policy_json).Statement[5] == {
      Sid       = "FindArtifact"
      Effect    = "Allow"
      Action    = "s3:ListBucket"
      Resource  = "arn:aws:s3:::my-models"
      Condition = { StringEquals = { "s3:prefix" = "minilm/model.tar.gz" } }
    }
    error_message = "The role may list the artifact's key and no other."
  }
  assert {
    condition     = aws_iam_role.embeddings.permissions_boundary == "arn:aws:iam::123456789012:policy/team-boundary"
    error_message = "The role must have the boundary."
  }
  assert {
    condition = (
      aws_iam_role.embeddings.path == "/embeddings/" &&
      output.arn == "arn:aws:iam::123456789012:role/embeddings/alex-embedding-role"
    )
    error_message = "The role must have the path, and its ARN the same one."
  }
}

run "for_an_image_by_digest" {
  command = plan
  module { source = "./modules/execution-role" }

  variables {
    image_uri = join(":", [
      "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/embedstack@sha256",
      "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    ])
  }

  assert {
    condition = (
      jsondecode(output.policy_json).Statement[0].Resource ==
      "arn:aws:ecr:us-east-1:123456789012:repository/team/embedstack"
    )
    error_message = "The repository's name must keep slashes and exclude the digest."
  }
}

run "in_another_partition" {
  command = plan
  module { source = "./modules/execution-role" }

  variables {
    artifact = "s3://my-models/model.tar.gz"
    image_uri = join(":", [
      "727897471807.dkr.ecr.cn-north-1.amazonaws.com.cn/huggingface-pytorch-inference",
      "2.6.0-transformers4.51.3-cpu-py312-ubuntu22.04",
    ])
  }

  override_data {
    target          = data.aws_partition.current
    override_during = plan
    values          = { partition = "aws-cn" }
  }

  assert {
    condition = (
      !strcontains(output.policy_json, "arn:aws:") &&
      strcontains(
        output.policy_json,
        "arn:aws-cn:ecr:cn-north-1:727897471807:repository/huggingface-pytorch-inference",
      )
    )
    error_message = "ARNs must be of the provider's partition."
  }
}

run "for_asynchronous_inference" {
  command = plan
  module { source = "./modules/execution-role" }

  variables {
    storage = {
      kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/0a1b2c3d"
      read_paths  = ["s3://my-bucket/requests/"]
      topic_arns  = ["arn:aws:sns:us-east-1:123456789012:failures"]
      write_paths = ["s3://my-bucket/answers", "s3://another/failures"]
    }
  }

  assert {
    condition = slice(jsondecode(output.policy_json).Statement, 4, 9) == [
      {
        Sid      = "ReadRequests"
        Effect   = "Allow"
        Action   = "s3:GetObject"
        Resource = ["arn:aws:s3:::my-bucket/requests/*"]
      },
      {
        Sid      = "WriteAnswers"
        Effect   = "Allow"
        Action   = ["s3:AbortMultipartUpload", "s3:PutObject"]
        Resource = ["arn:aws:s3:::my-bucket/answers/*", "arn:aws:s3:::another/failures/*"]
      },
      {
        Sid      = "TellOfAnswers"
        Effect   = "Allow"
        Action   = "sns:Publish"
        Resource = ["arn:aws:sns:us-east-1:123456789012:failures"]
      },
      {
        Sid      = "UseKey"
        Effect   = "Allow"
        Action   = ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"]
        Resource = "arn:aws:kms:us-east-1:123456789012:key/0a1b2c3d"
      },
      {
        Sid       = "GrantKeyToVolumes"
        Effect    = "Allow"
        Action    = "kms:CreateGrant"
        Resource  = "arn:aws:kms:us-east-1:123456789012:key/0a1b2c3d"
        Condition = { Bool = { "kms:GrantIsForAWSResource" = "true" } }
      },
    ]
    error_message = "The role may only read requests, write responses, publish to the topics and use the key."
  }
}

run "in_a_vpc" {
  command = plan
  module { source = "./modules/execution-role" }

  variables {
    vpc = { security_group_ids = ["sg-1"], subnet_ids = ["subnet-1", "subnet-2"] }
  }

  assert {
    condition = (
      slice(jsondecode(output.policy_json).Statement, 4, 7) ==
      [
        {
          Sid    = "CreateInterfaces"
          Effect = "Allow"
          Action = "ec2:CreateNetworkInterface"
          Resource = [
            "arn:aws:ec2:us-east-1:123456789012:network-interface/*",
            "arn:aws:ec2:us-east-1:123456789012:security-group/sg-1",
            "arn:aws:ec2:us-east-1:123456789012:subnet/subnet-1",
            "arn:aws:ec2:us-east-1:123456789012:subnet/subnet-2",
          ]
        },
        {
          Sid    = "ManageInterfaces"
          Effect = "Allow"
          Action = [
            "ec2:CreateNetworkInterfacePermission",
            "ec2:DeleteNetworkInterface",
            "ec2:DeleteNetworkInterfacePermission",
          ]
          Resource = "arn:aws:ec2:us-east-1:123456789012:network-interface/*"
          Condition = {
            ArnEquals = {
              "ec2:Subnet" = [
                "arn:aws:ec2:us-east-1:123456789012:subnet/subnet-1",
                "arn:aws:ec2:us-east-1:123456789012:subnet/subnet-2",
              ]
            }
          }
        },
        {
          Sid    = "LookAtNetwork"
          Effect = "Allow"
          Action = [
            "ec2:DescribeDhcpOptions",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeSubnets",
            "ec2:DescribeVpcs",
          ]
          Resource = "*"
        },
      ]
    )
    error_message = "The role may manage interfaces in these subnets, and in no other."
  }
}

run "for_an_inference_component" {
  command = plan
  module { source = "./modules/execution-role" }

  variables {
    component_name = "alex-embedding-component"
  }

  assert {
    condition = jsondecode(output.policy_json).Statement[2].Resource == [
      "arn:aws:logs:us-east-1:123456789012:log-group:/aws/sagemaker/Endpoints/alex-embedding-endpoint",
      "arn:aws:logs:us-east-1:123456789012:log-group:/aws/sagemaker/Endpoints/alex-embedding-endpoint:*",
      "arn:aws:logs:us-east-1:123456789012:log-group:/aws/sagemaker/InferenceComponents/alex-embedding-component",
      "arn:aws:logs:us-east-1:123456789012:log-group:/aws/sagemaker/InferenceComponents/alex-embedding-component:*",
    ]
    error_message = "The role must be able to write to the component's log group."
  }
  assert {
    condition = (
      jsondecode(output.policy_json).Statement[3].Condition ==
      {
        StringEquals = { "cloudwatch:namespace" = ["/aws/sagemaker/Endpoints", "/aws/sagemaker/InferenceComponents"] }
      }
    )
    error_message = "The role must be able to publish the component's metrics."
  }
}

run "for_rollback_alarms" {
  command = plan
  module { source = "./modules/execution-role" }

  variables {
    alarm_names = ["alex-embedding-endpoint-no-rollback", "alex-embedding-errors"]
  }

  assert {
    condition = (
      [
        for statement in jsondecode(aws_iam_role_policy.embeddings.policy).Statement :
        statement if statement.Sid == "WatchDeployments"
      ] ==
      [
        {
          Sid    = "WatchDeployments"
          Effect = "Allow"
          Action = "cloudwatch:DescribeAlarms"
          Resource = [
            "arn:aws:cloudwatch:us-east-1:123456789012:alarm:alex-embedding-endpoint-no-rollback",
            "arn:aws:cloudwatch:us-east-1:123456789012:alarm:alex-embedding-errors",
          ]
        },
      ]
    )
    error_message = "The role may describe only these alarms."
  }
}
