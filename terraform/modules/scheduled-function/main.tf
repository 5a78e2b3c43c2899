data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  _account   = data.aws_caller_identity.current.account_id
  _partition = data.aws_partition.current.partition
  # Provider 5.100 has no attribute region, and newer ones deprecate id and name.
  _region = split(".", data.aws_region.current.endpoint)[1]

  _arn           = "arn:${local._partition}:lambda:${local._region}:${local._account}:function:${var.name}"
  _log_group_arn = "arn:${local._partition}:logs:${local._region}:${local._account}:log-group:/aws/lambda/${var.name}"
}

# Lambda would create the group on the first log line, without a retention period and unknown to Terraform.
resource "aws_cloudwatch_log_group" "function" {
  #checkov:skip=CKV_AWS_158:CloudWatch encrypts logs with its own key or kms_key_arn, and the functions log no texts
  #checkov:skip=CKV_AWS_338:These logs are for operation; log_retention_days = 365 keeps them for a year
  name              = "/aws/lambda/${var.name}"
  kms_key_id        = var.kms_key_arn
  retention_in_days = var.log_retention_days
  tags              = var.tags
}

resource "aws_lambda_function" "function" {
  #checkov:skip=CKV_AWS_115:One schedule invokes it, one run at a time; new accounts cannot reserve concurrency
  #checkov:skip=CKV_AWS_116:Undelivered invocations go to the schedule's queue; a failed run is counted by an alarm
  #checkov:skip=CKV_AWS_117:It calls AWS services only, and needs no VPC
  #checkov:skip=CKV_AWS_173:Lambda encrypts the environment with its own key or kms_key_arn; it contains no secret
  #checkov:skip=CKV_AWS_272:The package is built from this repository, and the plan contains its hash
  function_name    = var.name
  architectures    = [var.architecture]
  description      = var.description
  filename         = var.package
  handler          = "function.handler"
  kms_key_arn      = var.kms_key_arn
  memory_size      = var.memory_mb
  role             = aws_iam_role.function.arn
  runtime          = "python${var.python_version}"
  source_code_hash = filebase64sha256(var.package)
  tags             = var.tags
  timeout          = var.timeout_s

  environment {
    variables = merge(
      { POWERTOOLS_METRICS_NAMESPACE = "EmbedStack", POWERTOOLS_SERVICE_NAME = var.name },
      var.environment,
    )
  }
  logging_config {
    # The functions write JSON themselves, and metrics in CloudWatch's embedded metric format.
    log_format = "Text"
    log_group  = aws_cloudwatch_log_group.function.name
  }
  tracing_config {
    mode = "Active"
  }
}

resource "aws_cloudwatch_metric_alarm" "failures" {
  count = var.alarm == null ? 0 : 1

  alarm_name          = "${var.name}-failures"
  alarm_actions       = compact([var.alarm.topic_arn])
  alarm_description   = "${var.name}: runs of the function fail or time out. Its log in /aws/lambda/ says why."
  comparison_operator = "GreaterThanOrEqualToThreshold"
  datapoints_to_alarm = 1
  dimensions          = { FunctionName = var.name }
  evaluation_periods  = 1
  metric_name         = "Errors"
  namespace           = "AWS/Lambda"
  ok_actions          = compact([var.alarm.topic_arn])
  period              = 300
  statistic           = "Sum"
  tags                = var.tags
  threshold           = 1
  # Between two runs there is no data.
  treat_missing_data = "ignore"
}
