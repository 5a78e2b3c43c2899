# Scaling by an alarm: custom steps, and scaling from zero, where target tracking has no metric yet.

locals {
  _alarms = merge(
    var.capacity.min > 0 || local._kind.backlog == null ? {} : {
      wake = {
        comparison         = "GreaterThanOrEqualToThreshold"
        cooldown_s         = local._kind.backlog.cooldown
        description        = "Requests to ${local._resource_id} find no capacity: start the first."
        dimensions         = local._kind.backlog.dimensions
        evaluation_periods = 1
        metric_name        = local._kind.backlog.metric
        namespace          = "AWS/SageMaker"
        period_s           = 60
        statistic          = local._kind.backlog.statistic
        steps              = [{ change = 1, lower = 0, upper = null }]
        threshold          = 1
      }
    },
    var.step == null ? {} : {
      step = merge(var.step, {
        description = "The load of ${local._resource_id} calls for other capacity."
        dimensions = coalesce(
          var.step.dimensions,
          var.target.kind == "copies" ? { InferenceComponentName = coalesce(var.target.component_name, "-") } : merge(
            { EndpointName = var.target.endpoint_name },
            contains(local._queue_metrics, var.step.metric_name) ? {} : { VariantName = var.target.variant },
          ),
        )
      })
    },
  )
}

resource "aws_appautoscaling_policy" "step" {
  for_each = local._alarms

  name               = "${var.name}-${each.key}"
  policy_type        = "StepScaling"
  resource_id        = aws_appautoscaling_target.embeddings.resource_id
  scalable_dimension = aws_appautoscaling_target.embeddings.scalable_dimension
  service_namespace  = aws_appautoscaling_target.embeddings.service_namespace

  step_scaling_policy_configuration {
    adjustment_type         = "ChangeInCapacity"
    cooldown                = each.value.cooldown_s
    metric_aggregation_type = "Maximum"

    dynamic "step_adjustment" {
      for_each = each.value.steps

      content {
        metric_interval_lower_bound = step_adjustment.value.lower
        metric_interval_upper_bound = step_adjustment.value.upper
        scaling_adjustment          = step_adjustment.value.change
      }
    }
  }

  lifecycle {
    replace_triggered_by = [terraform_data.registration]
  }
}

resource "aws_cloudwatch_metric_alarm" "step" {
  for_each = local._alarms

  alarm_name          = "${var.name}-${each.key}"
  alarm_actions       = [aws_appautoscaling_policy.step[each.key].arn]
  alarm_description   = each.value.description
  comparison_operator = each.value.comparison
  dimensions          = each.value.dimensions
  evaluation_periods  = each.value.evaluation_periods
  metric_name         = each.value.metric_name
  namespace           = each.value.namespace
  period              = each.value.period_s
  statistic           = each.value.statistic
  tags                = var.tags
  threshold           = each.value.threshold
  # Neither service writes zeros: missing data means no requests.
  treat_missing_data = "notBreaching"
}
