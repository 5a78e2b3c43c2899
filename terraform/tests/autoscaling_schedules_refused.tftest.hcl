# Steps and schedules that are refused.

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

run "step_of_nothing" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    step = { metric_name = "m", threshold = 1, steps = [{ change = 0, lower = 0 }] }
  }

  expect_failures = [var.step]
}

run "step_upside_down" {
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

run "cron_of_unix" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    schedules = { evening = { schedule = "0 20 * * 1-5", min = 1 } }
  }

  expect_failures = [var.schedules]
}

run "cron_of_five_fields" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    schedules = { evening = { schedule = "cron(0 20 * * 1-5)", min = 1 } }
  }

  expect_failures = [var.schedules]
}

run "cron_with_two_days" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    schedules = { evening = { schedule = "cron(0 20 * * MON-FRI *)", min = 1 } }
  }

  expect_failures = [var.schedules]
}

run "rate_without_plural" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    schedules = { often = { schedule = "rate(5 minute)", min = 1 } }
  }

  expect_failures = [var.schedules]
}

run "time_zone_by_abbreviation" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    schedules = { evening = { schedule = "cron(0 20 ? * MON-FRI *)", timezone = "CET", min = 1 } }
  }

  expect_failures = [var.schedules]
}

run "schedule_of_nothing" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    schedules = { evening = { schedule = "cron(0 20 ? * MON-FRI *)" } }
  }

  expect_failures = [var.schedules]
}

run "schedule_upside_down" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    schedules = { evening = { schedule = "cron(0 20 ? * MON-FRI *)", min = 3, max = 2 } }
  }

  expect_failures = [var.schedules]
}

run "instances_switched_off_at_night" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    schedules = { evening = { schedule = "cron(0 20 ? * MON-FRI *)", min = 0, max = 0 } }
  }

  expect_failures = [var.schedules]
}
