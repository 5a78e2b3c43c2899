data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  _account   = data.aws_caller_identity.current.account_id
  _partition = data.aws_partition.current.partition
  # Provider 5.100 has no attribute region, and newer ones deprecate id and name.
  _region = split(".", data.aws_region.current.endpoint)[1]

  _sagemaker = "arn:${local._partition}:sagemaker:${local._region}:${local._account}"
  _logs      = "arn:${local._partition}:logs:${local._region}:${local._account}"

  _endpoint_names = [for endpoint in values(var.endpoints) : endpoint.name]
  _components     = compact([for endpoint in values(var.endpoints) : endpoint.component_name])

  # Endpoints in SageMaker have resources with generated names: configurations and models begin with the endpoint's
  # prefix, whose first part is the project's name.
  _described = concat(
    formatlist("${local._sagemaker}:endpoint/%s", local._endpoint_names),
    formatlist("${local._sagemaker}:inference-component/%s", local._components),
    ["${local._sagemaker}:endpoint-config/${var.project}-*", "${local._sagemaker}:model/${var.project}-*"],
  )

  _statements = concat(
    [
      for statement in [
        {
          Sid    = "ProbeEndpoints"
          Action = "sagemaker:InvokeEndpoint"
          Resource = concat(
            formatlist("${local._sagemaker}:endpoint/%s", local._endpoint_names),
            formatlist("${local._sagemaker}:inference-component/%s", local._components),
          )
        },
        {
          Sid = "DescribeEndpoints"
          Action = [
            "sagemaker:DescribeEndpoint",
            "sagemaker:DescribeEndpointConfig",
            "sagemaker:DescribeInferenceComponent",
            "sagemaker:DescribeModel",
            "sagemaker:ListTags",
          ]
          Resource = length(var.endpoints) == 0 ? [] : local._described
        },
        {
          Sid    = "ReadLogs"
          Action = ["logs:DescribeLogStreams", "logs:FilterLogEvents"]
          Resource = concat(
            formatlist("${local._logs}:log-group:/aws/sagemaker/Endpoints/%s:*", local._endpoint_names),
            formatlist("${local._logs}:log-group:/aws/sagemaker/InferenceComponents/%s:*", local._components),
          )
        },
        {
          Sid    = "Redeploy"
          Action = "sagemaker:UpdateEndpoint"
          Resource = !contains(var.actions, "redeploy") ? [] : concat(
            formatlist("${local._sagemaker}:endpoint/%s", local._endpoint_names),
            ["${local._sagemaker}:endpoint-config/${var.project}-*"],
          )
        },
        {
          Sid    = "ProbeModels"
          Action = "bedrock:InvokeModel"
          Resource = formatlist(
            "arn:${local._partition}:bedrock:${local._region}::foundation-model/%s", var.bedrock_models,
          )
        },
        {
          Sid      = "Notify"
          Action   = "sns:Publish"
          Resource = var.notifications == null ? [] : [var.notifications.topic_arn]
        },
        {
          Sid      = "UseTopicKey"
          Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
          Resource = var.notifications == null ? [] : var.notifications.key_arns
        },
      ] : merge(statement, { Effect = "Allow" }) if length(statement.Resource) > 0
    ],
    [
      {
        Sid      = "KeepState"
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:PutObject"]
        Resource = "${local._bucket_arn}/*"
      },
      {
        # Without it, GetObject on a missing object returns 403 instead of 404.
        Sid      = "KnowThatStateIsNew"
        Effect   = "Allow"
        Action   = "s3:ListBucket"
        Resource = local._bucket_arn
      },
      {
        # This action supports no resource.
        Sid       = "PublishMetrics"
        Effect    = "Allow"
        Action    = "cloudwatch:PutMetricData"
        Resource  = "*"
        Condition = { StringEquals = { "cloudwatch:namespace" = "EmbedStack" } }
      },
    ],
  )

  _rerankers = [for endpoint in values(var.endpoints) : endpoint.name if endpoint.kind == "reranker"]
  _embedders = [for endpoint in values(var.endpoints) : endpoint.name if endpoint.kind == "embedding"]
  _settings = {
    for name, value in {
      HEALTH_ACTIONS        = join(",", var.actions)
      HEALTH_BEDROCK_MODELS = join(",", var.bedrock_models)
      HEALTH_ENDPOINTS      = join(",", local._embedders)
      HEALTH_LATENCY_MS     = tostring(var.latency_ms)
      HEALTH_METRICS        = "true"
      HEALTH_MONITOR        = var.name
      HEALTH_RERANKERS      = join(",", local._rerankers)
      HEALTH_STATE          = "s3://${local._bucket_name}"
    } : name => value if value != ""
  }
  _environment = merge(
    local._settings,
    var.notifications == null ? {} : { HEALTH_TOPIC_ARN = var.notifications.topic_arn },
  )
}

module "function" {
  source = "../scheduled-function"

  alarm                = var.notifications == null ? null : { topic_arn = var.notifications.topic_arn }
  architecture         = var.architecture
  description          = "Checks the endpoints and models of ${var.project}"
  environment          = local._environment
  log_retention_days   = var.log_retention_days
  name                 = var.name
  package              = var.package
  permissions_boundary = var.permissions_boundary
  python_version       = var.python_version
  role_path            = var.role_path
  schedule             = var.schedule
  statements           = local._statements
  tags                 = var.tags
  timeout_s            = 290
}

# Also in alarm if the function no longer runs: then the metric is missing.
resource "aws_cloudwatch_metric_alarm" "unhealthy" {
  count = var.notifications == null ? 0 : 1

  alarm_name          = "${var.name}-unhealthy"
  alarm_actions       = [var.notifications.topic_arn]
  alarm_description   = "An endpoint or model of ${var.project} is unhealthy, or its health is no longer checked."
  comparison_operator = "GreaterThanThreshold"
  datapoints_to_alarm = 2
  dimensions          = { Monitor = var.name }
  evaluation_periods  = 2
  metric_name         = "UnhealthyTargets"
  namespace           = "EmbedStack"
  ok_actions          = [var.notifications.topic_arn]
  period              = 600
  statistic           = "Maximum"
  tags                = var.tags
  threshold           = 0
  treat_missing_data  = "breaching"
}
