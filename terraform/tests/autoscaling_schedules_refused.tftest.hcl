# Schedules that are refused.

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

run "cron_of_unix" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    schedules = { evening = { schedule = "0 20 * * 1-5", min = 1 } }
  }

  expect_failures = [aws_appautoscaling_scheduled_action.embeddings]
}

run "cron_of_five_fields" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    schedules = { evening = { schedule = "cron(0 20 * * 1-5)", min = 1 } }
  }

  expect_failures = [aws_appautoscaling_scheduled_action.embeddings]
}

run "cron_with_two_days" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    schedules = { evening = { schedule = "cron(0 20 * * MON-FRI *)", min = 1 } }
  }

  expect_failures = [aws_appautoscaling_scheduled_action.embeddings]
}

run "rate_without_plural" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    schedules = { often = { schedule = "rate(5 minute)", min = 1 } }
  }

  expect_failures = [aws_appautoscaling_scheduled_action.embeddings]
}

run "time_zone_by_abbreviation" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    schedules = { evening = { schedule = "cron(0 20 ? * MON-FRI *)", timezone = "CET", min = 1 } }
  }

  expect_failures = [aws_appautoscaling_scheduled_action.embeddings]
}

run "schedule_without_bounds" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    schedules = { evening = { schedule = "cron(0 20 ? * MON-FRI *)" } }
  }

  expect_failures = [aws_appautoscaling_scheduled_action.embeddings]
}

run "schedule_with_minimum_over_maximum" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    schedules = { evening = { schedule = "cron(0 20 ? * MON-FRI *)", min = 3, max = 2 } }
  }

  expect_failures = [aws_appautoscaling_scheduled_action.embeddings]
}

run "schedule_with_zero_instances" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    schedules = { evening = { schedule = "cron(0 20 ? * MON-FRI *)", min = 0, max = 0 } }
  }

  expect_failures = [aws_appautoscaling_scheduled_action.embeddings]
}

run "hour_25" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    schedules = { evening = { schedule = "cron(0 25 ? * MON-FRI *)", min = 1 } }
  }

  expect_failures = [aws_appautoscaling_scheduled_action.embeddings]
}

run "minute_99_and_unknown_weekday" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    schedules = { evening = { schedule = "cron(99 20 ? * FOO *)", min = 1 } }
  }

  expect_failures = [aws_appautoscaling_scheduled_action.embeddings]
}

run "cron_without_values" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    schedules = { evening = { schedule = "cron(, / ? - # *)", min = 1 } }
  }

  expect_failures = [aws_appautoscaling_scheduled_action.embeddings]
}

run "at_with_month_13" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    schedules = { evening = { schedule = "at(2027-13-45T99:99:99)", min = 1 } }
  }

  expect_failures = [aws_appautoscaling_scheduled_action.embeddings]
}

run "thirtieth_of_february" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    schedules = { evening = { schedule = "at(2027-02-30T08:00:00)", min = 1 } }
  }

  expect_failures = [aws_appautoscaling_scheduled_action.embeddings]
}

run "time_zone_without_an_area" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    schedules = { evening = { schedule = "cron(0 20 ? * MON-FRI *)", timezone = "Mordor/Barad_dur", min = 1 } }
  }

  expect_failures = [aws_appautoscaling_scheduled_action.embeddings]
}

run "schedule_minimum_over_capacity_maximum" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    schedules = { evening = { schedule = "cron(0 20 ? * MON-FRI *)", min = 6 } }
  }

  expect_failures = [aws_appautoscaling_scheduled_action.embeddings]
}

run "schedule_maximum_under_capacity_minimum" {
  command = plan
  module { source = "./modules/autoscaling" }

  variables {
    capacity  = { min = 2, max = 5 }
    schedules = { evening = { schedule = "cron(0 20 ? * MON-FRI *)", max = 1 } }
  }

  expect_failures = [aws_appautoscaling_scheduled_action.embeddings]
}
