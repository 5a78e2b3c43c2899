# The daily report of costs.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  name = "alex"
  endpoints = {
    embedding = {
      model      = { hub_id = "sentence-transformers/all-MiniLM-L6-v2" }
      serverless = {}
    }
  }
}

run "no_report_by_default" {
  command = plan

  assert {
    condition     = length(module.cost_report) == 0
    error_message = "By default there must be no report."
  }
}

run "daily_report" {
  command = plan

  variables {
    budget      = {}
    cost_report = { cost_explorer = true, package = "tests/fixtures/function.zip" }
  }

  assert {
    condition     = module.cost_report[0].function_name == "alex-cost-report"
    error_message = "The function must be named after the project."
  }
  assert {
    condition = [for statement in local._report_statements : statement.Sid] == [
      "DescribeEndpoints", "ReadMetrics", "ReadCosts", "Notify", "UseTopicKey",
    ]
    error_message = "The role must read endpoints, metrics and costs, and notify."
  }
}

run "without_cost_explorer" {
  command = plan

  variables {
    budget      = {}
    cost_report = { package = "tests/fixtures/function.zip" }
  }

  assert {
    condition     = !contains([for statement in local._report_statements : statement.Sid], "ReadCosts")
    error_message = "Without Cost Explorer the role must not read costs."
  }
}

run "report_without_a_topic" {
  command = plan

  variables {
    cost_report = { package = "tests/fixtures/function.zip" }
  }

  expect_failures = [var.cost_report]
}
