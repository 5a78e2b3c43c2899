# Scaling that is refused.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  capacity = { min = 1, max = 5 }
  name     = "alex-embedding"
  target   = { kind = "instances", endpoint_name = "alex-embedding-endpoint" }
  tracking = { value = 600 }
}

run "minimum_of_zero_instances" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    capacity = { min = 0, max = 5 }
  }

  expect_failures = [var.capacity]
}

run "fractional_instance_count" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    capacity = { min = 1.5, max = 5 }
  }

  expect_failures = [var.capacity]
}

run "minimum_over_the_maximum" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    capacity = { min = 6, max = 5 }
  }

  expect_failures = [var.capacity]
}

run "maximum_of_zero" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    capacity = { min = 0, max = 0 }
    target   = { kind = "async", endpoint_name = "e" }
  }

  expect_failures = [var.capacity]
}

run "unknown_kind" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    target = { kind = "gpus", endpoint_name = "e" }
  }

  expect_failures = [var.target]
}

run "copies_without_a_component" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    target = { kind = "copies", endpoint_name = "e" }
  }

  expect_failures = [var.target]
}

run "component_beside_instances" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    target = { kind = "instances", component_name = "c", endpoint_name = "e" }
  }

  expect_failures = [var.target]
}

run "name_with_a_space" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    name = "alex embedding"
  }

  expect_failures = [var.name]
}

run "no_scaling_at_all" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    tracking = null
  }

  expect_failures = [var.tracking]
}

run "tracking_without_a_target" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    tracking = {}
  }

  expect_failures = [var.tracking]
}

run "tracking_with_two_targets" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    tracking = { requests_per_second = 20, value = 600 }
  }

  expect_failures = [var.tracking]
}

run "metric_of_another_kind" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    tracking = { metric = "SageMakerInferenceComponentInvocationsPerCopy", value = 5 }
  }

  expect_failures = [var.tracking]
}

run "metric_that_does_not_exist" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    tracking = { metric = "ModelInvocations", value = 5 }
  }

  expect_failures = [var.tracking]
}

run "two_metrics" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    tracking = {
      metric = "SageMakerVariantInvocationsPerInstance"
      custom = { namespace = "n", metric_name = "m" }
      value  = 5
    }
  }

  expect_failures = [var.tracking]
}

run "target_of_zero" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    tracking = { value = 0 }
  }

  expect_failures = [var.tracking]
}

run "requests_per_second_for_a_concurrency_metric" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    tracking = { metric = "SageMakerVariantConcurrentRequestsPerModelHighResolution", requests_per_second = 5 }
  }

  expect_failures = [var.tracking]
}

run "provisioned_concurrency_target_over_one" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    target   = { kind = "provisioned_concurrency", endpoint_name = "e" }
    tracking = { value = 70 }
  }

  expect_failures = [var.tracking]
}

run "scale_in_faster_than_scale_out" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    tracking = { requests_per_second = 20, scale_in_cooldown_s = 60 }
  }

  expect_failures = [var.tracking]
}

run "burstable_instances" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    target = { kind = "instances", endpoint_name = "alex-embedding-endpoint", instance_type = "ml.t2.medium" }
  }

  expect_failures = [var.target]
}

run "custom_metric_with_a_percentile" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    tracking = { custom = { metric_name = "m", namespace = "n", statistic = "p95" }, value = 1 }
  }

  expect_failures = [var.tracking]
}

run "queue_tracked_by_invocations" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    target   = { kind = "async", endpoint_name = "e" }
    tracking = { metric = "SageMakerVariantInvocationsPerInstance", value = 600 }
  }

  expect_failures = [var.tracking]
}

run "queue_tracked_by_requests_per_second" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    target   = { kind = "async", endpoint_name = "e" }
    tracking = { requests_per_second = 20 }
  }

  expect_failures = [var.tracking]
}

run "queue_tracked_by_a_metric_that_is_not_published" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    target   = { kind = "async", endpoint_name = "e" }
    tracking = { custom = { metric_name = "InvocationsPerInstance", namespace = "AWS/SageMaker" }, value = 600 }
  }

  expect_failures = [var.tracking]
}

run "queue_scaled_in_steps_by_a_metric_that_is_not_published" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    step = {
      metric_name = "Invocations"
      steps       = [{ lower = 0, change = 1 }]
      threshold   = 100
    }
    target   = { kind = "async", endpoint_name = "e" }
    tracking = null
  }

  expect_failures = [var.step]
}
