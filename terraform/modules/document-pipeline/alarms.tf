locals {
  _alarms = var.alarms == null ? {} : {
    dead-letters = {
      comparison  = "GreaterThanThreshold"
      datapoints  = 1
      description = "documents could not be ingested: look into the dead-letter queue for the reasons"
      dimensions  = { QueueName = aws_sqs_queue.dead_letters.name }
      metric      = "ApproximateNumberOfMessagesVisible"
      # SQS stops reporting an unused queue after some hours, even with messages in it.
      missing   = "ignore"
      namespace = "AWS/SQS"
      statistic = "Maximum"
      threshold = 0
    }
    queue-age = {
      comparison = "GreaterThanThreshold"
      datapoints = 3
      description = join(" ", [
        "a document has waited for over ${var.alarms.queue_age_minutes} minutes:",
        "ingestion is behind, or fails",
      ])
      dimensions = { QueueName = aws_sqs_queue.ingest.name }
      metric     = "ApproximateAgeOfOldestMessage"
      missing    = "notBreaching"
      namespace  = "AWS/SQS"
      statistic  = "Maximum"
      threshold  = var.alarms.queue_age_minutes * 60
    }
    ingest-failures = {
      comparison  = "GreaterThanOrEqualToThreshold"
      datapoints  = 2
      description = "the function fails as a whole: timeouts, memory, or its configuration"
      dimensions  = { FunctionName = aws_lambda_function.functions["ingest"].function_name }
      metric      = "Errors"
      missing     = "notBreaching"
      namespace   = "AWS/Lambda"
      statistic   = "Sum"
      threshold   = var.alarms.failures_per_minute
    }
    search-failures = {
      comparison  = "GreaterThanOrEqualToThreshold"
      datapoints  = 2
      description = "searches fail, by no fault of who asks: the function's log says why"
      # Over HTTP, a failure is a response of the function, which Lambda counts as a success.
      dimensions = { service = local._function_names["search"] }
      metric     = "Failed"
      missing    = "notBreaching"
      namespace  = local._metrics_namespace
      statistic  = "Sum"
      threshold  = var.alarms.failures_per_minute
    }
    search-errors = {
      comparison  = "GreaterThanOrEqualToThreshold"
      datapoints  = 2
      description = "the function that searches fails as a whole: timeouts, memory, or its package"
      dimensions  = { FunctionName = aws_lambda_function.functions["search"].function_name }
      metric      = "Errors"
      missing     = "notBreaching"
      namespace   = "AWS/Lambda"
      statistic   = "Sum"
      threshold   = var.alarms.failures_per_minute
    }
    search-throttles = {
      comparison  = "GreaterThanOrEqualToThreshold"
      datapoints  = 2
      description = "more searches at once than search.concurrency: callers are refused"
      dimensions  = { FunctionName = aws_lambda_function.functions["search"].function_name }
      metric      = "Throttles"
      missing     = "notBreaching"
      namespace   = "AWS/Lambda"
      statistic   = "Sum"
      threshold   = var.alarms.throttles_per_minute
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "pipeline" {
  for_each = local._alarms

  alarm_name          = "${var.name}-${each.key}"
  alarm_actions       = compact([var.alarms.topic_arn])
  alarm_description   = "${var.name}: ${each.value.description}."
  comparison_operator = each.value.comparison
  datapoints_to_alarm = each.value.datapoints
  dimensions          = each.value.dimensions
  evaluation_periods  = each.value.datapoints == 2 ? 3 : each.value.datapoints
  metric_name         = each.value.metric
  namespace           = each.value.namespace
  ok_actions          = compact([var.alarms.topic_arn])
  period              = 60
  statistic           = each.value.statistic
  tags                = var.tags
  threshold           = each.value.threshold
  treat_missing_data  = each.value.missing
}
