# Instances that run and serve nothing. SageMaker writes no zero for a minute without requests, and no data alone does
# not mean idle: so an endpoint is idle if it has had no request and running instances in every hour. One that is
# younger, or that is scaled to zero, has hours without instances.

locals {
  _idle_hours = try(var.alarms.idle_hours, 0)

  _idle_fleets = {
    for key, fleet in local._fleets : key => merge(fleet, {
      # Money of a month with 730 hours, for a forecast.
      cost = (
        lookup(var.endpoints[fleet.key].hourly_usd, split("/", key)[1], null) == null ?
        "They are billed until they are removed; their price is not in the price book." :
        format(
          "An instance costs about %.2f USD a month (%s USD an hour, list price, 730 hours).",
          var.endpoints[fleet.key].hourly_usd[split("/", key)[1]] * 730,
          var.endpoints[fleet.key].hourly_usd[split("/", key)[1]],
        )
      )
    }) if local._idle_hours > 0 && contains(["async", "realtime"], fleet.kind)
  }
}

resource "aws_cloudwatch_metric_alarm" "no_requests" {
  for_each = local._idle_fleets

  alarm_name          = "${var.name}-${each.value.name}-no-requests"
  alarm_description   = "${var.endpoints[each.value.key].name}: no request for ${local._idle_hours} hours."
  comparison_operator = "LessThanThreshold"
  datapoints_to_alarm = local._idle_hours
  # Without VariantName there is no data, and every endpoint looks idle.
  dimensions         = each.value.request_dimensions
  evaluation_periods = local._idle_hours
  metric_name        = each.value.requests_metric
  namespace          = "AWS/SageMaker"
  period             = 3600
  statistic          = "Sum"
  tags               = var.tags
  threshold          = 1
  treat_missing_data = "breaching"
}

resource "aws_cloudwatch_metric_alarm" "running" {
  for_each = local._idle_fleets

  alarm_name          = "${var.name}-${each.value.name}-running"
  alarm_description   = "${var.endpoints[each.value.key].name}: instances in each of ${local._idle_hours} hours."
  comparison_operator = "GreaterThanOrEqualToThreshold"
  datapoints_to_alarm = local._idle_hours
  dimensions          = each.value.host_dimensions
  evaluation_periods  = local._idle_hours
  metric_name         = "CPUUtilization"
  namespace           = "/aws/sagemaker/Endpoints"
  period              = 3600
  statistic           = "SampleCount"
  tags                = var.tags
  threshold           = 1
  treat_missing_data  = "notBreaching"
}

resource "aws_cloudwatch_composite_alarm" "idle" {
  for_each = local._idle_fleets

  alarm_name    = "${var.name}-${each.value.name}-idle"
  alarm_actions = [local.topic_arn]
  alarm_description = join(" ", [
    "${var.endpoints[each.value.key].name} is idle: its instances served no request for ${local._idle_hours} hours.",
    each.value.cost,
  ])
  alarm_rule = join(" AND ", [
    "ALARM(\"${aws_cloudwatch_metric_alarm.no_requests[each.key].alarm_name}\")",
    "ALARM(\"${aws_cloudwatch_metric_alarm.running[each.key].alarm_name}\")",
  ])
  ok_actions = [local.topic_arn]
  tags       = var.tags
}
