# EventBridge Scheduler invokes the function asynchronously: Lambda queues the invocation, and retries a failed run
# twice. Invocations that Lambda does not accept go to the dead-letter queue after the schedule's own retries.

locals {
  _queue_arn = "arn:${local._partition}:sqs:${local._region}:${local._account}:${var.name}-undelivered"
}

resource "aws_sqs_queue" "undelivered" {
  name                      = "${var.name}-undelivered"
  message_retention_seconds = 1209600
  tags                      = var.tags

  kms_data_key_reuse_period_seconds = var.kms_key_arn == null ? null : 300
  kms_master_key_id                 = var.kms_key_arn
  sqs_managed_sse_enabled           = var.kms_key_arn == null ? true : null

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "RefusePlainText"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sqs:*"
        Resource  = local._queue_arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })
}

resource "aws_scheduler_schedule" "function" {
  #checkov:skip=CKV_AWS_297:EventBridge encrypts schedules with its own key or kms_key_arn; they contain no secret
  name                         = var.name
  description                  = var.description
  kms_key_arn                  = var.kms_key_arn
  schedule_expression          = var.schedule
  schedule_expression_timezone = var.timezone

  flexible_time_window {
    mode = "OFF"
  }
  target {
    arn      = aws_lambda_function.function.arn
    input    = jsonencode({ source = "schedule" })
    role_arn = aws_iam_role.schedule.arn

    dead_letter_config {
      arn = aws_sqs_queue.undelivered.arn
    }
    retry_policy {
      maximum_event_age_in_seconds = var.retry.seconds
      maximum_retry_attempts       = var.retry.attempts
    }
  }

  # Scheduler checks that it may assume the role, and the first run needs its permissions.
  depends_on = [aws_iam_role_policy.schedule]
}
