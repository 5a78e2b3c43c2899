locals {
  # An asynchronous endpoint publishes neither Invocations nor InvocationModelErrors nor OverheadLatency:
  # https://docs.aws.amazon.com/sagemaker/latest/dg/async-inference-monitor.html
  _synchronous = ["realtime", "scale_to_zero", "serverless"]
  _every_kind  = concat(["async"], local._synchronous)

  # Alarms with hurts = true mean that callers are affected: they make an endpoint unhealthy, and notify once, through
  # the composite alarm. The others notify one by one. Those with rolls_back = true also roll deployments back.
  _conditions = var.alarms == null ? {} : {
    errors = {
      kinds       = local._every_kind
      comparison  = "GreaterThanOrEqualToThreshold"
      datapoints  = 2
      description = "SageMaker or the container answers with 5XX"
      hurts       = true
      metric      = "Invocation5XXErrors"
      minutes     = 3
      namespace   = "AWS/SageMaker"
      rolls_back  = true
      statistic   = "Sum"
      threshold   = var.alarms.errors_per_minute
    }
    model-errors = {
      kinds       = local._synchronous
      comparison  = "GreaterThanOrEqualToThreshold"
      datapoints  = 2
      description = "the model answers with something else than 2XX"
      hurts       = true
      metric      = "InvocationModelErrors"
      minutes     = 3
      namespace   = "AWS/SageMaker"
      rolls_back  = true
      statistic   = "Sum"
      threshold   = var.alarms.model_errors_per_minute
    }
    latency = {
      kinds       = local._synchronous
      comparison  = "GreaterThanThreshold"
      datapoints  = 3
      description = "one request in twenty takes the model over ${var.alarms.latency_p95_ms} ms"
      hurts       = true
      metric      = "ModelLatency"
      minutes     = 5
      namespace   = "AWS/SageMaker"
      rolls_back  = true
      statistic   = "p95"
      # The metric is in microseconds.
      threshold = var.alarms.latency_p95_ms * 1000
    }
    overhead = {
      kinds      = local._synchronous
      comparison = "GreaterThanThreshold"
      datapoints = 5
      description = join(" ", [
        "one request in twenty waits for SageMaker over",
        "${var.alarms.overhead_p95_ms} ms: cold starts or queues",
      ])
      hurts      = false
      metric     = "OverheadLatency"
      minutes    = 5
      namespace  = "AWS/SageMaker"
      rolls_back = false
      statistic  = "p95"
      threshold  = var.alarms.overhead_p95_ms * 1000
    }
    concurrency = {
      kinds       = ["serverless"]
      comparison  = "GreaterThanOrEqualToThreshold"
      datapoints  = 3
      description = "nearly as many requests at once as max_concurrency allows: more are throttled"
      hurts       = false
      metric      = "ServerlessConcurrentExecutionsUtilization"
      minutes     = 5
      namespace   = "AWS/SageMaker"
      rolls_back  = false
      statistic   = "Maximum"
      threshold   = var.alarms.concurrency_utilization
    }
    gpu-memory = {
      kinds       = local._every_kind
      comparison  = "GreaterThanThreshold"
      datapoints  = 5
      description = "the memory of the instance's GPUs is nearly full: the next long batch may not fit"
      hurts       = false
      metric      = "GPUMemoryUtilization"
      minutes     = 5
      namespace   = "/aws/sagemaker/Endpoints"
      rolls_back  = false
      statistic   = "Maximum"
      # For each GPU; the metric is the sum over an instance's GPUs, up to 400 % for four.
      threshold = var.alarms.gpu_memory_percent
    }
    failures = {
      kinds       = ["async"]
      comparison  = "GreaterThanOrEqualToThreshold"
      datapoints  = 1
      description = "asynchronous requests fail; their failure locations say why"
      hurts       = true
      metric      = "InvocationFailures"
      minutes     = 1
      namespace   = "AWS/SageMaker"
      rolls_back  = true
      statistic   = "Sum"
      threshold   = var.alarms.failures_per_minute
    }
    expired = {
      kinds       = ["async"]
      comparison  = "GreaterThanOrEqualToThreshold"
      datapoints  = 1
      description = "asynchronous requests expire in the queue"
      hurts       = true
      metric      = "ExpiredRequests"
      minutes     = 1
      namespace   = "AWS/SageMaker"
      rolls_back  = false
      statistic   = "Sum"
      threshold   = var.alarms.failures_per_minute
    }
    queue-age = {
      kinds       = ["async"]
      comparison  = "GreaterThanThreshold"
      datapoints  = 3
      description = "an asynchronous request has waited for over ${var.alarms.queue_age_s} seconds"
      hurts       = true
      metric      = "ApproximateAgeOfOldestRequest"
      minutes     = 3
      namespace   = "AWS/SageMaker"
      rolls_back  = false
      statistic   = "Maximum"
      threshold   = var.alarms.queue_age_s
    }
    silence = {
      kinds       = var.alarms.no_traffic_minutes == null ? [] : local._every_kind
      comparison  = "LessThanThreshold"
      datapoints  = coalesce(var.alarms.no_traffic_minutes, 1)
      description = "no request for ${coalesce(var.alarms.no_traffic_minutes, 1)} minutes: callers may not get through"
      hurts       = true
      metric      = "Invocations"
      minutes     = coalesce(var.alarms.no_traffic_minutes, 1)
      namespace   = "AWS/SageMaker"
      rolls_back  = false
      statistic   = "Sum"
      threshold   = 1
    }
  }

  _alarms = merge([
    for fleet_key, fleet in local._fleets : {
      for name, condition in local._conditions : "${fleet_key}/${name}" => merge(condition, {
        dimensions = (
          name == "queue-age" ? { EndpointName = fleet.host_dimensions.EndpointName } :
          condition.namespace == "AWS/SageMaker" ? fleet.request_dimensions : fleet.host_dimensions
        )
        fleet     = fleet
        metric    = condition.metric == "Invocations" ? fleet.requests_metric : condition.metric
        name      = "${var.name}-${fleet.name}-${name}"
        threshold = condition.threshold * (name == "gpu-memory" ? fleet.gpus : 1)
        }) if alltrue([
        contains(condition.kinds, fleet.kind),
        name != "gpu-memory" || fleet.gpus > 0,
        # An endpoint has one queue for all variants.
        name != "queue-age" || fleet.is_first,
      ])
    }
  ]...)
}

resource "aws_cloudwatch_metric_alarm" "embeddings" {
  for_each = local._alarms

  alarm_name          = each.value.name
  alarm_actions       = each.value.hurts ? [] : [local.topic_arn]
  alarm_description   = "${var.endpoints[each.value.fleet.key].name}: ${each.value.description}."
  comparison_operator = each.value.comparison
  datapoints_to_alarm = each.value.datapoints
  dimensions          = each.value.dimensions
  evaluation_periods  = each.value.minutes
  extended_statistic  = startswith(each.value.statistic, "p") ? each.value.statistic : null
  metric_name         = each.value.metric
  namespace           = each.value.namespace
  ok_actions          = each.value.hurts ? [] : [local.topic_arn]
  period              = 60
  statistic           = startswith(each.value.statistic, "p") ? null : each.value.statistic
  tags                = var.tags
  threshold           = each.value.threshold
  # SageMaker writes no zeros: without requests or errors, data is missing.
  treat_missing_data = each.value.comparison == "LessThanThreshold" ? "breaching" : "notBreaching"

  # With few requests, the percentile is the slowest one. Ignoring those minutes would keep the alarm's state below 200
  # requests per minute (10 / (1 - 0.95)). Requiring several slow minutes avoids false alarms.
  evaluate_low_sample_count_percentiles = startswith(each.value.statistic, "p") ? "evaluate" : null
}

resource "aws_cloudwatch_composite_alarm" "unhealthy" {
  for_each = var.alarms == null ? {} : var.endpoints

  alarm_name    = "${var.name}-${each.key}-unhealthy"
  alarm_actions = [local.topic_arn]
  alarm_description = join(" ", [
    "${each.value.name} is unhealthy: callers get errors or wait too long.",
    "The alarms in its rule say which.",
  ])
  alarm_rule = join(" OR ", [
    for alarm in values(local._alarms) : "ALARM(\"${alarm.name}\")" if alarm.fleet.key == each.key && alarm.hurts
  ])
  ok_actions = [local.topic_arn]
  tags       = var.tags

  # A rule can refer only to existing alarms.
  depends_on = [aws_cloudwatch_metric_alarm.embeddings]
}
