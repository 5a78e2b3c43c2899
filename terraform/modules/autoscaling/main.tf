locals {
  # For each kind of capacity: its name at Application Auto Scaling, its smallest value, its predefined metrics (the
  # first is the default), and the metric of requests that wait for capacity when there is none.
  _kinds = {
    async = {
      backlog = {
        cooldown   = 300
        dimensions = { EndpointName = var.target.endpoint_name }
        metric     = "HasBacklogWithoutCapacity"
        statistic  = "Maximum"
      }
      dimension = "sagemaker:variant:DesiredInstanceCount"
      least     = 0
      # Asynchronous endpoints publish none of them.
      metrics = []
    }
    copies = {
      backlog = {
        cooldown   = 60
        dimensions = { InferenceComponentName = coalesce(var.target.component_name, "-") }
        metric     = "NoCapacityInvocationFailures"
        statistic  = "Sum"
      }
      dimension = "sagemaker:inference-component:DesiredCopyCount"
      least     = 0
      metrics = [
        "SageMakerInferenceComponentInvocationsPerCopy",
        "SageMakerInferenceComponentConcurrentRequestsPerCopyHighResolution",
      ]
    }
    instances = {
      backlog   = null
      dimension = "sagemaker:variant:DesiredInstanceCount"
      least     = 1
      metrics = [
        "SageMakerVariantInvocationsPerInstance",
        "SageMakerVariantConcurrentRequestsPerModelHighResolution",
      ]
    }
    provisioned_concurrency = {
      backlog   = null
      dimension = "sagemaker:variant:DesiredProvisionedConcurrency"
      least     = 1
      metrics   = ["SageMakerVariantProvisionedConcurrencyUtilization"]
    }
  }
  _kind = try(local._kinds[var.target.kind], local._kinds.instances)

  _resource_id = (
    var.target.kind == "copies" ? "inference-component/${coalesce(var.target.component_name, "-")}" :
    "endpoint/${var.target.endpoint_name}/variant/${var.target.variant}"
  )

  # Metrics that an asynchronous endpoint publishes in AWS/SageMaker, of the whole queue and of a variant:
  # https://docs.aws.amazon.com/sagemaker/latest/dg/async-inference-monitor.html
  _queue_metrics = [
    "ApproximateAgeOfOldestRequest",
    "ApproximateBacklogSize",
    "ApproximateBacklogSizePerInstance",
    "HasBacklogWithoutCapacity",
  ]
  _async_variant_metrics = [
    "ExpiredRequests",
    "Invocation4XXErrors",
    "Invocation5XXErrors",
    "InvocationFailures",
    "InvocationsProcessed",
    "ModelLatency",
    "NotificationFailures",
    "RequestDownloadFailures",
    "RequestDownloadLatency",
    "ResponseUploadFailures",
    "ResponseUploadLatency",
    "TimeInBacklog",
    "TotalProcessingTime",
  ]

  # A queue is tracked by its length per instance, because requests are counted only after they have waited.
  _tracks_backlog = (
    var.target.kind == "async" &&
    try(var.tracking.metric == null && var.tracking.custom == null, false)
  )
  _custom = local._tracks_backlog ? {
    dimensions  = { EndpointName = var.target.endpoint_name }
    metric_name = "ApproximateBacklogSizePerInstance"
    namespace   = "AWS/SageMaker"
    statistic   = "Average"
  } : try(var.tracking.custom, null)
  _predefined = try(coalesce(var.tracking.metric, local._kind.metrics[0]), null)

  # The metric counts requests per minute. Half of an instance's maximum leaves capacity until the next one is running.
  _safety_factor = 0.5
  target_value = try(coalesce(
    var.tracking.value,
    try(var.tracking.requests_per_second * local._safety_factor * 60, null),
    local._tracks_backlog ? 5 : null,
    var.target.kind == "provisioned_concurrency" && try(var.tracking.custom == null, false) ? 0.7 : null,
  ), null)
}

# A change of these deregisters the target and registers it again, before the endpoint changes. SageMaker rejects
# another instance type for a registered variant. The capacity cannot be updated in place, because schedules change it,
# which must not show as drift.
resource "terraform_data" "registration" {
  triggers_replace = {
    capacity      = var.capacity
    instance_type = var.target.instance_type
  }
}

resource "aws_appautoscaling_target" "embeddings" {
  max_capacity       = var.capacity.max
  min_capacity       = var.capacity.min
  resource_id        = local._resource_id
  scalable_dimension = local._kind.dimension
  service_namespace  = "sagemaker"
  tags               = var.tags

  lifecycle {
    ignore_changes       = [max_capacity, min_capacity]
    replace_triggered_by = [terraform_data.registration]
  }
}

resource "aws_appautoscaling_policy" "tracking" {
  count = var.tracking == null ? 0 : 1

  name               = "${var.name}-tracking"
  policy_type        = "TargetTrackingScaling"
  resource_id        = aws_appautoscaling_target.embeddings.resource_id
  scalable_dimension = aws_appautoscaling_target.embeddings.scalable_dimension
  service_namespace  = aws_appautoscaling_target.embeddings.service_namespace

  target_tracking_scaling_policy_configuration {
    disable_scale_in   = var.tracking.disable_scale_in
    scale_in_cooldown  = var.tracking.scale_in_cooldown_s
    scale_out_cooldown = var.tracking.scale_out_cooldown_s
    target_value       = local.target_value

    dynamic "predefined_metric_specification" {
      for_each = local._custom == null ? [local._predefined] : []

      content {
        predefined_metric_type = predefined_metric_specification.value
      }
    }

    dynamic "customized_metric_specification" {
      for_each = local._custom == null ? [] : [local._custom]

      content {
        metric_name = customized_metric_specification.value.metric_name
        namespace   = customized_metric_specification.value.namespace
        statistic   = customized_metric_specification.value.statistic

        dynamic "dimensions" {
          for_each = customized_metric_specification.value.dimensions

          content {
            name  = dimensions.key
            value = dimensions.value
          }
        }
      }
    }
  }

  lifecycle {
    # Deregistering the target deletes its policies.
    replace_triggered_by = [terraform_data.registration]
  }
}

resource "aws_appautoscaling_scheduled_action" "embeddings" {
  for_each = var.schedules

  name               = "${var.name}-${each.key}"
  resource_id        = aws_appautoscaling_target.embeddings.resource_id
  scalable_dimension = aws_appautoscaling_target.embeddings.scalable_dimension
  schedule           = each.value.schedule
  service_namespace  = aws_appautoscaling_target.embeddings.service_namespace
  # A rate has no time of day, and the service returns no timezone for it.
  timezone = startswith(each.value.schedule, "rate(") ? null : each.value.timezone

  scalable_target_action {
    max_capacity = each.value.max
    min_capacity = each.value.min
  }

  lifecycle {
    replace_triggered_by = [terraform_data.registration]

    precondition {
      condition = local._is_schedule[each.key]
      error_message = join(" ", [
        "${var.name}: schedule ${each.key} = \"${each.value.schedule}\" is not valid.",
        "Use cron(minute hour day month weekday year) with ? for the day or the weekday, such as cron(0 20 ?",
        "* MON-FRI *), or rate(1 day), or at(2027-01-31T08:00:00).",
        "Minutes go to 59, hours to 23, weekdays from 1 (SUN) to 7.",
      ])
    }
    precondition {
      condition = can(regex(local._timezone_pattern, each.value.timezone))
      error_message = join(" ", [
        "${var.name}: schedule ${each.key} has the timezone \"${each.value.timezone}\".",
        "Use an IANA name of an area and a city, such as Europe/Berlin or America/New_York, which follows daylight",
        "saving time; abbreviations such as CET do not. AWS checks the city in the apply.",
      ])
    }
    precondition {
      condition     = each.value.min != null || each.value.max != null
      error_message = "${var.name}: schedule ${each.key} must set min, max or both."
    }
    precondition {
      condition = (
        each.value.min == null || each.value.max == null ? true : each.value.min <= each.value.max
        ) && alltrue([
          for count in [each.value.min, each.value.max] :
          count == null ? true : count >= local._kind.least && floor(count) == count
      ])
      error_message = join(" ", [
        "${var.name}: schedule ${each.key} must have whole numbers of at least ${local._kind.least} as min and",
        "max, and min must be at most max.",
      ])
    }
    precondition {
      condition = (
        each.value.min == null ? coalesce(each.value.max, var.capacity.min) >= var.capacity.min :
        each.value.max != null || each.value.min <= var.capacity.max
      )
      error_message = join(" ", [
        "${var.name}: schedule ${each.key} sets only one bound, which contradicts the other one of autoscaling",
        "(min ${var.capacity.min}, max ${var.capacity.max}). Set both min and max.",
      ])
    }
  }
}
