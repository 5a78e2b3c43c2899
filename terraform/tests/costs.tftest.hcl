# Budget and anomalies, and observability settings that are refused.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  endpoints = { embedding = { kind = "serverless", name = "alex-embedding-endpoint" } }
  name      = "alex"
}

run "hundred_dollars_a_month" {
  command = plan
  module { source = "./modules/observability" }

  variables {
    budget = {}
  }

  assert {
    condition = (
      aws_budgets_budget.embeddings[0].limit_amount == "100.00" &&
      aws_budgets_budget.embeddings[0].limit_unit == "USD" &&
      aws_budgets_budget.embeddings[0].time_unit == "MONTHLY" &&
      aws_budgets_budget.embeddings[0].budget_type == "COST"
    )
    error_message = "The budget must be 100 USD a month."
  }
  assert {
    condition = (
      toset([
        for notification in aws_budgets_budget.embeddings[0].notification :
        join(" ", [
          "${notification.notification_type} ${notification.threshold} ${notification.threshold_type}",
          "${notification.comparison_operator}",
        ])
      ]) ==
      toset([
        "ACTUAL 80 PERCENTAGE GREATER_THAN",
        "ACTUAL 100 PERCENTAGE GREATER_THAN",
        "FORECASTED 80 PERCENTAGE GREATER_THAN",
        "FORECASTED 100 PERCENTAGE GREATER_THAN",
      ])
    )
    error_message = "Both percentages must notify of actual and forecast costs."
  }
  assert {
    condition = (
      one([
        for filter in aws_budgets_budget.embeddings[0].cost_filter :
        "${filter.name} ${join(",", filter.values)}"
      ]) ==
      "Service Amazon SageMaker"
    )
    error_message = "SageMaker's cost must be counted, which needs no tag to be activated."
  }
  assert {
    condition = (
      jsondecode(aws_ce_anomaly_monitor.embeddings[0].monitor_specification).Tags ==
      { Key = "Project", MatchOptions = null, Values = ["alex"] }
    )
    error_message = "There must be an anomaly monitor for the project's costs."
  }
  assert {
    condition = (
      one(aws_ce_anomaly_subscription.embeddings[0].threshold_expression[0].dimension).values == toset(["10"]) &&
      aws_ce_anomaly_subscription.embeddings[0].frequency == "IMMEDIATE"
    )
    error_message = "Ten unusual dollars must notify immediately."
  }
}

run "by_tag_without_anomalies" {
  command = plan
  module { source = "./modules/observability" }

  variables {
    budget = { anomaly_usd = 0, by_tag = true, limit_usd = 219.999, percentages = [50] }
  }

  assert {
    condition = (
      one([
        for filter in aws_budgets_budget.embeddings[0].cost_filter :
        "${filter.name} ${join(",", filter.values)}"
      ]) ==
      "TagKeyValue user:Project$alex"
    )
    error_message = "The project's tag must be counted."
  }
  assert {
    condition = (
      aws_budgets_budget.embeddings[0].limit_amount == "220.00" &&
      length(aws_budgets_budget.embeddings[0].notification) == 2
    )
    error_message = "The limit must have cents, and each percentage two notifications."
  }
  assert {
    condition     = length(aws_ce_anomaly_monitor.embeddings) + length(aws_ce_anomaly_subscription.embeddings) == 0
    error_message = "With anomaly_usd = 0, there must be no anomaly monitor."
  }
}

run "budget_of_zero" {
  command = plan
  module { source = "./modules/observability" }

  variables {
    budget = { limit_usd = 0 }
  }

  expect_failures = [var.budget]
}

run "six_percentages" {
  command = plan
  module { source = "./modules/observability" }

  variables {
    budget = { percentages = [10, 20, 30, 40, 50, 60] }
  }

  expect_failures = [var.budget]
}

run "percentage_twice" {
  command = plan
  module { source = "./modules/observability" }

  variables {
    budget = { percentages = [80, 80] }
  }

  expect_failures = [var.budget]
}

run "negative_anomaly" {
  command = plan
  module { source = "./modules/observability" }

  variables {
    budget = { anomaly_usd = -1 }
  }

  expect_failures = [var.budget]
}

run "latency_of_zero" {
  command = plan
  module { source = "./modules/observability" }

  variables {
    alarms = { latency_p95_ms = 0 }
  }

  expect_failures = [var.alarms]
}

run "concurrency_in_percent" {
  command = plan
  module { source = "./modules/observability" }

  variables {
    alarms = { concurrency_utilization = 80 }
  }

  expect_failures = [var.alarms]
}

run "gpu_memory_of_four_gpus" {
  command = plan
  module { source = "./modules/observability" }

  variables {
    alarms = { gpu_memory_percent = 360 }
  }

  expect_failures = [var.alarms]
}

run "gpu_memory_under_one_percent" {
  command = plan
  module { source = "./modules/observability" }

  variables {
    alarms = { gpu_memory_percent = 0.9 }
  }

  expect_failures = [var.alarms]
}

run "no_traffic_over_a_day" {
  command = plan
  module { source = "./modules/observability" }

  variables {
    alarms = { no_traffic_minutes = 1441 }
  }

  expect_failures = [var.alarms]
}

run "address_without_a_domain" {
  command = plan
  module { source = "./modules/observability" }

  variables {
    alarms        = {}
    notifications = { emails = ["team"] }
  }

  expect_failures = [var.notifications]
}

run "unknown_protocol" {
  command = plan
  module { source = "./modules/observability" }

  variables {
    alarms        = {}
    notifications = { subscriptions = { chat = { protocol = "slack", endpoint = "https://example.com" } } }
  }

  expect_failures = [var.notifications]
}

run "topic_without_an_arn" {
  command = plan
  module { source = "./modules/observability" }

  variables {
    alarms        = {}
    notifications = { topic_arn = "operations" }
  }

  expect_failures = [var.notifications]
}

run "subscriptions_with_an_existing_topic" {
  command = plan
  module { source = "./modules/observability" }

  variables {
    alarms        = {}
    notifications = { emails = ["team@example.com"], topic_arn = "arn:aws:sns:us-east-1:123456789012:operations" }
  }

  expect_failures = [var.notifications]
}

run "notifications_without_alarms_or_budget" {
  command = plan
  module { source = "./modules/observability" }

  variables {
    notifications = { emails = ["team@example.com"] }
  }

  expect_failures = [var.notifications]
}

run "endpoint_of_an_unknown_kind" {
  command = plan
  module { source = "./modules/observability" }

  variables {
    endpoints = { embedding = { kind = "batch", name = "e" } }
  }

  expect_failures = [var.endpoints]
}

run "name_with_a_space" {
  command = plan
  module { source = "./modules/observability" }

  variables {
    name = "our project"
  }

  expect_failures = [var.name]
}
