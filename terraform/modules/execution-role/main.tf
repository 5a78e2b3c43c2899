data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  _account   = data.aws_caller_identity.current.account_id
  _partition = data.aws_partition.current.partition
  # Provider 5.100 has no attribute region, and newer ones deprecate id and name.
  _region = split(".", data.aws_region.current.endpoint)[1]

  _artifact = try(regex("^s3://(?P<bucket>[^/]+)/(?P<key>.+)$", var.artifact), { bucket = "", key = "" })
  _image = try(
    regex(
      "^(?P<account>\\d{12})\\.dkr\\.ecr(?:-fips)?\\.(?P<region>[a-z0-9-]+)\\.[^/]+/(?P<repository>[^:@]+)",
      var.image_uri,
    ),
    { account = "", region = "", repository = "" },
  )
  _logs = "arn:${local._partition}:logs:${local._region}:${local._account}:log-group:/aws/sagemaker"
  _ecr  = "arn:${local._partition}:ecr:${local._image.region}:${local._image.account}:repository"

  # Containers of an inference component write to the component's log group.
  _log_group_arns = concat(
    ["${local._logs}/Endpoints/${var.endpoint_name}"],
    [for component in compact([var.component_name]) : "${local._logs}/InferenceComponents/${component}"],
  )
  _metric_namespaces = concat(
    ["/aws/sagemaker/Endpoints"],
    var.component_name == null ? [] : ["/aws/sagemaker/InferenceComponents"],
  )

  # Composed rather than read from the role: a plan shows every name that depends on it, and a role that was deleted
  # outside Terraform is created again without replacing the model.
  arn = "arn:${local._partition}:iam::${local._account}:role${var.role_path}${var.name}"

  _statements = concat(
    [
      {
        Sid    = "PullImage"
        Effect = "Allow"
        Action = [
          "ecr:BatchCheckLayerAvailability",
          "ecr:BatchGetImage",
          "ecr:GetDownloadUrlForLayer",
        ]
        Resource = "${local._ecr}/${local._image.repository}"
      },
      {
        # The token is for the whole registry: this action supports no resource.
        Sid      = "AuthenticateToRegistry"
        Effect   = "Allow"
        Action   = "ecr:GetAuthorizationToken"
        Resource = "*"
      },
      {
        Sid    = "WriteLogs"
        Effect = "Allow"
        Action = [
          "logs:CreateLogGroup",
          "logs:CreateLogStream",
          "logs:DescribeLogStreams",
          "logs:PutLogEvents",
        ]
        Resource = flatten([for arn in local._log_group_arns : [arn, "${arn}:*"]])
      },
      {
        # CloudWatch restricts this action by namespace, not by resource.
        Sid       = "PublishMetrics"
        Effect    = "Allow"
        Action    = "cloudwatch:PutMetricData"
        Resource  = "*"
        Condition = { StringEquals = { "cloudwatch:namespace" = local._metric_namespaces } }
      },
    ],
    [
      for statement in [
        {
          Sid      = "ReadArtifact"
          Effect   = "Allow"
          Action   = "s3:GetObject"
          Resource = "arn:${local._partition}:s3:::${local._artifact.bucket}/${local._artifact.key}"
        },
        {
          Sid       = "FindArtifact"
          Effect    = "Allow"
          Action    = "s3:ListBucket"
          Resource  = "arn:${local._partition}:s3:::${local._artifact.bucket}"
          Condition = { StringEquals = { "s3:prefix" = local._artifact.key } }
        },
      ] : statement if var.artifact != null
    ],
    length(var.alarm_names) == 0 ? [] : [
      {
        Sid    = "WatchDeployments"
        Effect = "Allow"
        Action = "cloudwatch:DescribeAlarms"
        Resource = [
          for name in var.alarm_names :
          "arn:${local._partition}:cloudwatch:${local._region}:${local._account}:alarm:${name}"
        ]
      },
    ],
    local._storage_statements,
    local._network_statements,
  )
}

resource "aws_iam_role" "embeddings" {
  name                 = var.name
  description          = "Assumed by SageMaker to run the endpoint ${var.endpoint_name}"
  path                 = var.role_path
  permissions_boundary = var.permissions_boundary
  tags                 = var.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "AllowSageMaker"
        Effect    = "Allow"
        Principal = { Service = "sagemaker.amazonaws.com" }
        Action    = "sts:AssumeRole"
        # The form that AWS documents for inference: the ARN ends in ":*" instead of a model or endpoint, and contains
        # the account, so that aws:SourceAccount is redundant.
        Condition = {
          ArnLike = { "aws:SourceArn" = "arn:${local._partition}:sagemaker:${local._region}:${local._account}:*" }
        }
      },
    ]
  })
}

resource "aws_iam_role_policy" "embeddings" {
  name = "serve-${var.endpoint_name}"
  role = aws_iam_role.embeddings.name

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = local._statements
  })
}
