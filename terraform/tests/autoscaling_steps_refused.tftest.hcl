# Steps that are refused.

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

run "step_without_bounds" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    step = { metric_name = "m", threshold = 1, steps = [{ change = 1 }] }
  }

  expect_failures = [var.step]
}

run "step_without_a_change" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    step = { metric_name = "m", threshold = 1, steps = [{ change = 0, lower = 0 }] }
  }

  expect_failures = [var.step]
}

run "step_with_lower_over_upper" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    step = { metric_name = "m", threshold = 1, steps = [{ change = 1, lower = 5, upper = 2 }] }
  }

  expect_failures = [var.step]
}

run "step_by_an_unknown_comparison" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    step = { comparison = ">", metric_name = "m", threshold = 1, steps = [{ change = 1, lower = 0 }] }
  }

  expect_failures = [var.step]
}

run "steps_that_overlap" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    step = {
      metric_name = "m"
      threshold   = 1
      steps       = [{ change = 1, lower = 0, upper = 20 }, { change = 2, lower = 10 }]
    }
  }

  expect_failures = [var.step]
}

run "steps_with_a_gap" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    step = {
      metric_name = "m"
      threshold   = 1
      steps       = [{ change = 1, lower = 0, upper = 10 }, { change = 2, lower = 20 }]
    }
  }

  expect_failures = [var.step]
}

run "steps_with_equal_bounds" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    step = { metric_name = "m", threshold = 1, steps = [{ change = 1, lower = 0 }, { change = 2, lower = 0 }] }
  }

  expect_failures = [var.step]
}

run "steps_with_a_bounded_end" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    step = {
      metric_name = "m"
      threshold   = 1
      steps       = [{ change = 1, lower = 0, upper = 10 }, { change = 2, lower = 10, upper = 20 }]
    }
  }

  expect_failures = [var.step]
}

run "period_of_a_minute_and_a_half" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    step = { period_s = 90, metric_name = "m", threshold = 1, steps = [{ change = 1, lower = 0 }] }
  }

  expect_failures = [var.step]
}

run "high_resolution_period_of_an_aws_metric" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    step = { period_s = 10, metric_name = "m", threshold = 1, steps = [{ change = 1, lower = 0 }] }
  }

  expect_failures = [var.step]
}

run "periods_of_more_than_a_day" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    step = {
      evaluation_periods = 25
      period_s           = 3600
      metric_name        = "m"
      threshold          = 1
      steps              = [{ change = 1, lower = 0 }]
    }
  }

  expect_failures = [var.step]
}

run "fractional_period" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    step = { evaluation_periods = 0.5, metric_name = "m", threshold = 1, steps = [{ change = 1, lower = 0 }] }
  }

  expect_failures = [var.step]
}

run "negative_cooldown" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    step = { cooldown_s = -1, metric_name = "m", threshold = 1, steps = [{ change = 1, lower = 0 }] }
  }

  expect_failures = [var.step]
}

run "step_with_a_percentile" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    step = { statistic = "p95", metric_name = "m", threshold = 1, steps = [{ change = 1, lower = 0 }] }
  }

  expect_failures = [var.step]
}
