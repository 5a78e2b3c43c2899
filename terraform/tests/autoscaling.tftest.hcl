# Scaling of each kind of capacity.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  capacity = { min = 1, max = 5 }
  name     = "alex-embedding"
  target   = { kind = "instances", endpoint_name = "alex-embedding-endpoint" }
  tracking = { requests_per_second = 20 }
}

run "instances_by_measured_throughput" {
  command = plan
  module { source = "./modules/autoscaling" }

  assert {
    condition = (
      output.target_value == 600 &&
      aws_appautoscaling_policy.tracking[0].target_tracking_scaling_policy_configuration[0].target_value == 600
    )
    error_message = "20 requests per second are 600 per minute at half load."
  }
  assert {
    condition = (
      one(
        aws_appautoscaling_policy.tracking[0].target_tracking_scaling_policy_configuration,
      ).predefined_metric_specification[0].predefined_metric_type ==
      "SageMakerVariantInvocationsPerInstance"
    )
    error_message = "Instances must be tracked by invocations."
  }
  assert {
    condition = (
      aws_appautoscaling_target.embeddings.resource_id == "endpoint/alex-embedding-endpoint/variant/AllTraffic" &&
      aws_appautoscaling_target.embeddings.scalable_dimension == "sagemaker:variant:DesiredInstanceCount"
    )
    error_message = "The variant's instances must be scaled."
  }
  assert {
    condition = (
      aws_appautoscaling_target.embeddings.min_capacity == 1 &&
      aws_appautoscaling_target.embeddings.max_capacity == 5
    )
    error_message = "The capacity must be the given one."
  }
  assert {
    condition = (
      aws_appautoscaling_policy.tracking[0].target_tracking_scaling_policy_configuration[0].scale_in_cooldown == 300 &&
      aws_appautoscaling_policy.tracking[0].target_tracking_scaling_policy_configuration[0].scale_out_cooldown == 300
    )
    error_message = "Five minutes must pass between changes."
  }
  assert {
    condition = (
      length(aws_appautoscaling_policy.step) == 0 &&
      length(aws_cloudwatch_metric_alarm.step) == 0 &&
      length(aws_appautoscaling_scheduled_action.embeddings) == 0
    )
    error_message = "There must be no other scaling policy."
  }
}

run "instances_by_concurrency" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    target = { kind = "instances", endpoint_name = "alex-embedding-endpoint", variant = "candidate" }
    tracking = {
      metric              = "SageMakerVariantConcurrentRequestsPerModelHighResolution"
      value               = 4
      disable_scale_in    = true
      scale_in_cooldown_s = 600
    }
  }

  assert {
    condition = (
      aws_appautoscaling_target.embeddings.resource_id ==
      "endpoint/alex-embedding-endpoint/variant/candidate"
    )
    error_message = "The named variant must be scaled."
  }
  assert {
    condition = (
      (
        one(
          aws_appautoscaling_policy.tracking[0].target_tracking_scaling_policy_configuration,
        ).predefined_metric_specification[0].predefined_metric_type ==
        "SageMakerVariantConcurrentRequestsPerModelHighResolution"
      ) &&
      aws_appautoscaling_policy.tracking[0].target_tracking_scaling_policy_configuration[0].target_value == 4 &&
      aws_appautoscaling_policy.tracking[0].target_tracking_scaling_policy_configuration[0].disable_scale_in
    )
    error_message = "The given metric and value must be tracked."
  }
}

run "queue_from_zero" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    capacity = { min = 0, max = 4 }
    target   = { kind = "async", endpoint_name = "alex-embedding-endpoint" }
    tracking = {}
  }

  assert {
    condition = (
      (
        one(
          aws_appautoscaling_policy.tracking[0].target_tracking_scaling_policy_configuration,
        ).customized_metric_specification[0].metric_name ==
        "ApproximateBacklogSizePerInstance"
      ) &&
      (
        one(
          aws_appautoscaling_policy.tracking[0].target_tracking_scaling_policy_configuration,
        ).customized_metric_specification[0].namespace ==
        "AWS/SageMaker"
      ) &&
      (
        one(
          aws_appautoscaling_policy.tracking[0].target_tracking_scaling_policy_configuration,
        ).customized_metric_specification[0].statistic ==
        "Average"
      ) &&
      aws_appautoscaling_policy.tracking[0].target_tracking_scaling_policy_configuration[0].target_value == 5
    )
    error_message = "The queue's length per instance must be held at 5."
  }
  assert {
    condition = (
      [
        for dimension in one(
          aws_appautoscaling_policy.tracking[0].target_tracking_scaling_policy_configuration,
        ).customized_metric_specification[0].dimensions :
        "${dimension.name}=${dimension.value}"
      ] ==
      ["EndpointName=alex-embedding-endpoint"]
    )
    error_message = "The backlog is measured by endpoint."
  }
  assert {
    condition = (
      aws_cloudwatch_metric_alarm.step["wake"].metric_name == "HasBacklogWithoutCapacity" &&
      aws_cloudwatch_metric_alarm.step["wake"].dimensions == tomap({ EndpointName = "alex-embedding-endpoint" }) &&
      aws_cloudwatch_metric_alarm.step["wake"].comparison_operator == "GreaterThanOrEqualToThreshold" &&
      aws_cloudwatch_metric_alarm.step["wake"].threshold == 1 &&
      aws_cloudwatch_metric_alarm.step["wake"].evaluation_periods == 1
    )
    error_message = "The first waiting request must fire the alarm."
  }
  assert {
    condition = (
      (
        aws_appautoscaling_policy.step["wake"].step_scaling_policy_configuration[0].adjustment_type ==
        "ChangeInCapacity"
      ) &&
      (
        [
          for step in aws_appautoscaling_policy.step["wake"].step_scaling_policy_configuration[0].step_adjustment :
          "${step.metric_interval_lower_bound} ${step.scaling_adjustment}"
        ] ==
        ["0 1"]
      )
    )
    error_message = "The alarm must start one instance."
  }
}

run "copies_from_zero" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    capacity = { min = 0, max = 5 }
    target = {
      kind           = "copies"
      component_name = "alex-embedding-component"
      endpoint_name  = "alex-embedding-endpoint"
    }
  }

  assert {
    condition = (
      aws_appautoscaling_target.embeddings.resource_id == "inference-component/alex-embedding-component" &&
      aws_appautoscaling_target.embeddings.scalable_dimension == "sagemaker:inference-component:DesiredCopyCount"
    )
    error_message = "The component's copies must be scaled."
  }
  assert {
    condition = (
      (
        one(
          aws_appautoscaling_policy.tracking[0].target_tracking_scaling_policy_configuration,
        ).predefined_metric_specification[0].predefined_metric_type ==
        "SageMakerInferenceComponentInvocationsPerCopy"
      ) &&
      output.target_value == 600
    )
    error_message = "Copies must be tracked by invocations."
  }
  assert {
    condition = (
      aws_cloudwatch_metric_alarm.step["wake"].metric_name == "NoCapacityInvocationFailures" &&
      aws_cloudwatch_metric_alarm.step["wake"].namespace == "AWS/SageMaker" &&
      (
        aws_cloudwatch_metric_alarm.step["wake"].dimensions ==
        tomap({ InferenceComponentName = "alex-embedding-component" })
      ) &&
      aws_cloudwatch_metric_alarm.step["wake"].statistic == "Sum" &&
      aws_cloudwatch_metric_alarm.step["wake"].period == 60 &&
      aws_cloudwatch_metric_alarm.step["wake"].comparison_operator == "GreaterThanOrEqualToThreshold" &&
      aws_cloudwatch_metric_alarm.step["wake"].threshold == 1
    )
    error_message = "The first refused request must fire the alarm."
  }
  assert {
    condition = (
      aws_appautoscaling_policy.step["wake"].step_scaling_policy_configuration[0].cooldown == 60 &&
      aws_appautoscaling_policy.step["wake"].step_scaling_policy_configuration[0].metric_aggregation_type == "Maximum"
    )
    error_message = "A minute must pass before another copy is started."
  }
}

run "copies_with_a_minimum_of_one" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    target = {
      kind           = "copies"
      component_name = "alex-embedding-component"
      endpoint_name  = "alex-embedding-endpoint"
    }
    tracking = { metric = "SageMakerInferenceComponentConcurrentRequestsPerCopyHighResolution", value = 5 }
  }

  assert {
    condition     = length(aws_cloudwatch_metric_alarm.step) == 0
    error_message = "With min = 1, there must be no wake alarm."
  }
}

run "warm_containers" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    target   = { kind = "provisioned_concurrency", endpoint_name = "alex-embedding-endpoint" }
    tracking = {}
  }

  assert {
    condition = (
      aws_appautoscaling_target.embeddings.scalable_dimension == "sagemaker:variant:DesiredProvisionedConcurrency" &&
      output.target_value == 0.7 &&
      (
        one(
          aws_appautoscaling_policy.tracking[0].target_tracking_scaling_policy_configuration,
        ).predefined_metric_specification[0].predefined_metric_type ==
        "SageMakerVariantProvisionedConcurrencyUtilization"
      )
    )
    error_message = "70 % of the warm containers must be in use."
  }
}

run "custom_metric" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    tracking = {
      custom = {
        namespace   = "/aws/sagemaker/Endpoints"
        metric_name = "GPUUtilization"
        dimensions  = { EndpointName = "alex-embedding-endpoint", VariantName = "AllTraffic" }
      }
      value = 60
    }
  }

  assert {
    condition = (
      (
        length(
          one(
            aws_appautoscaling_policy.tracking[0].target_tracking_scaling_policy_configuration,
          ).predefined_metric_specification,
        ) ==
        0
      ) &&
      (
        one(
          aws_appautoscaling_policy.tracking[0].target_tracking_scaling_policy_configuration,
        ).customized_metric_specification[0].metric_name ==
        "GPUUtilization"
      )
    )
    error_message = "The given metric must be tracked."
  }
}

run "schedules" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    tracking = null
    schedules = {
      cleanup = { schedule = "rate(1 day)", max = 5 }
      evening = { schedule = "cron(0 20 ? * MON-FRI *)", timezone = "Europe/Berlin", min = 1, max = 1 }
      launch  = { schedule = "at(2027-01-31T08:00:00)", min = 5 }
      first   = { schedule = "cron(0/15 7-19 ? JAN,JUL 2#1 2027-2030)", timezone = "Etc/GMT+9", min = 2 }
      last    = { schedule = "cron(30 5,17 LW * ? 2027/2)", timezone = "Pacific/Port_Moresby", min = 2 }
      month   = { schedule = "cron(0 6 1 * ? *)", timezone = "America/Argentina/Buenos_Aires", min = 2 }
    }
  }

  assert {
    condition     = length(aws_appautoscaling_policy.tracking) == 0
    error_message = "Without tracking, only schedules must scale."
  }
  assert {
    condition = (
      aws_appautoscaling_scheduled_action.embeddings["evening"].name == "alex-embedding-evening" &&
      aws_appautoscaling_scheduled_action.embeddings["evening"].timezone == "Europe/Berlin" &&
      aws_appautoscaling_scheduled_action.embeddings["evening"].scalable_target_action[0].max_capacity == "1"
    )
    error_message = "The evening schedule must leave one instance, in local time."
  }
  assert {
    condition = (
      aws_appautoscaling_scheduled_action.embeddings["launch"].scalable_target_action[0].max_capacity == null &&
      aws_appautoscaling_scheduled_action.embeddings["launch"].timezone == "UTC"
    )
    error_message = "A schedule must leave an unset bound unchanged."
  }
  assert {
    condition     = aws_appautoscaling_scheduled_action.embeddings["cleanup"].timezone == null
    error_message = "A rate has no time zone."
  }
}

run "steps" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    tracking = null
    step = {
      metric_name = "ConcurrentRequestsPerModel"
      threshold   = 8
      steps       = [{ lower = 0, upper = 8, change = 1 }, { lower = 8, change = 2 }]
    }
  }

  assert {
    condition = (
      (
        aws_cloudwatch_metric_alarm.step["step"].dimensions ==
        tomap({ EndpointName = "alex-embedding-endpoint", VariantName = "AllTraffic" })
      ) &&
      aws_cloudwatch_metric_alarm.step["step"].evaluation_periods == 2
    )
    error_message = "The alarm must use the variant's metric."
  }
  assert {
    condition = (
      toset([
        for step in aws_appautoscaling_policy.step["step"].step_scaling_policy_configuration[0].step_adjustment :
        join(" ", [
          "${coalesce(step.metric_interval_lower_bound, "-")} ${coalesce(step.metric_interval_upper_bound, "-")}",
          "${step.scaling_adjustment}",
        ])
      ]) ==
      toset(["0 8 1", "8 - 2"])
    )
    error_message = "The steps must be the given ones."
  }
}

run "queue_in_steps" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    step = {
      metric_name = "ApproximateBacklogSize"
      steps       = [{ lower = 0, change = 1 }]
      threshold   = 100
    }
    target   = { kind = "async", endpoint_name = "alex-batch-endpoint" }
    tracking = null
  }

  assert {
    condition = (
      aws_cloudwatch_metric_alarm.step["step"].dimensions == tomap({ EndpointName = "alex-batch-endpoint" })
    )
    error_message = "The backlog is a metric of the endpoint, not of a variant."
  }
}
