locals {
  # What each kind of capacity is called, how far down it goes, what it is tracked by unless told otherwise, and
  # which metric says that somebody is waiting while there is none of it.
  _kinds = {
    async = {
      backlog   = { cooldown = 300, dimensions = { EndpointName = var.target.endpoint_name }, metric = "HasBacklogWithoutCapacity", statistic = "Maximum" }
      dimension = "sagemaker:variant:DesiredInstanceCount"
      least     = 0
      metrics   = ["SageMakerVariantInvocationsPerInstance"]
    }
    copies = {
      backlog   = { cooldown = 60, dimensions = { InferenceComponentName = coalesce(var.target.component_name, "-") }, metric = "NoCapacityInvocationFailures", statistic = "Sum" }
      dimension = "sagemaker:inference-component:DesiredCopyCount"
      least     = 0
      metrics   = ["SageMakerInferenceComponentInvocationsPerCopy", "SageMakerInferenceComponentConcurrentRequestsPerCopyHighResolution"]
    }
    instances = {
      backlog   = null
      dimension = "sagemaker:variant:DesiredInstanceCount"
      least     = 1
      metrics   = ["SageMakerVariantInvocationsPerInstance", "SageMakerVariantConcurrentRequestsPerModelHighResolution"]
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

  # A queue is tracked by its length per instance: by the time that requests are counted, they have waited.
  _tracks_backlog = var.target.kind == "async" && try(var.tracking.metric == null && var.tracking.custom == null, false)
  _custom = local._tracks_backlog ? {
    dimensions  = { EndpointName = var.target.endpoint_name }
    metric_name = "ApproximateBacklogSizePerInstance"
    namespace   = "AWS/SageMaker"
    statistic   = "Average"
  } : try(var.tracking.custom, null)
  _predefined = try(coalesce(var.tracking.metric, local._kind.metrics[0]), null)

  # The metric counts requests per minute; half of what an instance can take leaves room until the next is up.
  _safety_factor = 0.5
  target_value = try(coalesce(
    var.tracking.value,
    try(var.tracking.requests_per_second * local._safety_factor * 60, null),
    local._tracks_backlog ? 5 : null,
    var.target.kind == "provisioned_concurrency" && try(var.tracking.custom == null, false) ? 0.7 : null,
  ), null)
}

# A change of these deregisters the target and registers it anew, before the endpoint itself is changed. SageMaker
# refuses another instance type for a registered variant; and the range cannot be updated in place, because
# schedules move it, which must not look like a change that somebody made by hand.
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
    # Deregistering the target has taken its policies with it.
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
  # A rate has no time of day, and the service answers none for it.
  timezone = startswith(each.value.schedule, "rate(") ? null : each.value.timezone

  scalable_target_action {
    max_capacity = each.value.max
    min_capacity = each.value.min
  }

  lifecycle {
    replace_triggered_by = [terraform_data.registration]
  }
}
