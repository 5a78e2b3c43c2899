# Alarms of idle endpoints, and the dashboard's row of costs.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  name   = "alex"
  alarms = {}
  endpoints = {
    batch = { kind = "async", name = "alex-batch-endpoint", hourly_usd = { AllTraffic = 0.23 } }
    gpu = {
      kind       = "realtime"
      name       = "alex-gpu-endpoint"
      hourly_usd = { AllTraffic = 1.408 }
      variants   = ["AllTraffic", "candidate"]
    }
    serverless = { kind = "serverless", name = "alex-serverless-endpoint" }
    sleeping = {
      component_name = "alex-sleeping-component"
      kind           = "scale_to_zero"
      name           = "alex-sleeping-endpoint"
    }
  }
}

run "idle_endpoints" {
  command = plan
  module { source = "./modules/observability" }

  assert {
    condition = (
      join(" ", keys(aws_cloudwatch_composite_alarm.idle)) == "batch/AllTraffic gpu/AllTraffic gpu/candidate"
    )
    error_message = "Only instances that run all the time can be idle."
  }
  assert {
    condition = (
      aws_cloudwatch_metric_alarm.no_requests["gpu/candidate"].dimensions ==
      tomap({ EndpointName = "alex-gpu-endpoint", VariantName = "candidate" }) &&
      aws_cloudwatch_metric_alarm.no_requests["gpu/candidate"].metric_name == "Invocations" &&
      aws_cloudwatch_metric_alarm.no_requests["batch/AllTraffic"].metric_name == "InvocationsProcessed" &&
      aws_cloudwatch_metric_alarm.no_requests["gpu/candidate"].treat_missing_data == "breaching" &&
      aws_cloudwatch_metric_alarm.no_requests["gpu/candidate"].evaluation_periods == 24 &&
      aws_cloudwatch_metric_alarm.no_requests["gpu/candidate"].period == 3600
    )
    error_message = "Requests must be counted by variant, and hours without data are hours without requests."
  }
  assert {
    condition = (
      aws_cloudwatch_metric_alarm.running["gpu/AllTraffic"].datapoints_to_alarm == 24 &&
      aws_cloudwatch_metric_alarm.running["gpu/AllTraffic"].statistic == "SampleCount" &&
      aws_cloudwatch_metric_alarm.running["gpu/AllTraffic"].treat_missing_data == "notBreaching"
    )
    error_message = "An endpoint without instances in an hour must not be idle."
  }
  assert {
    condition = (
      strcontains(aws_cloudwatch_composite_alarm.idle["gpu/AllTraffic"].alarm_description, "1027.84 USD a month") &&
      strcontains(aws_cloudwatch_composite_alarm.idle["batch/AllTraffic"].alarm_description, "167.90 USD a month") &&
      strcontains(aws_cloudwatch_composite_alarm.idle["gpu/candidate"].alarm_description, "not in the price book")
    )
    error_message = "The alarm must say what an instance costs a month, or that the price is unknown."
  }
  assert {
    condition = (
      aws_cloudwatch_composite_alarm.idle["gpu/AllTraffic"].alarm_rule ==
      "ALARM(\"alex-gpu-no-requests\") AND ALARM(\"alex-gpu-running\")" &&
      length(aws_cloudwatch_composite_alarm.idle["gpu/AllTraffic"].alarm_actions) == 1
    )
    error_message = "Idle means no requests and running instances, and notifies."
  }
}

run "without_idle_alarms" {
  command = plan
  module { source = "./modules/observability" }

  variables {
    alarms = { idle_hours = 0 }
  }

  assert {
    condition     = length(aws_cloudwatch_composite_alarm.idle) + length(aws_cloudwatch_metric_alarm.running) == 0
    error_message = "idle_hours = 0 must create no alarm."
  }
}

run "idle_hours_beyond_a_week" {
  command = plan
  module { source = "./modules/observability" }

  variables {
    alarms = { idle_hours = 169 }
  }

  expect_failures = [var.alarms]
}

run "dashboard_of_costs" {
  command = plan
  module { source = "./modules/observability" }

  variables {
    alarms    = null
    dashboard = true
  }

  assert {
    condition = [
      for widget in jsondecode(aws_cloudwatch_dashboard.embeddings[0].dashboard_body).widgets :
      widget.properties.metrics[0][0].expression
      if try(widget.properties.title, "") == "Instances, USD per hour at list prices"
    ] == ["i0/60*0.23"]
    error_message = "Instances must be shown with their price."
  }
  assert {
    condition = length([
      for widget in jsondecode(aws_cloudwatch_dashboard.embeddings[0].dashboard_body).widgets :
      widget if try(widget.properties.metrics[0][1], "") == "CostPerEmbedding"
    ]) == 1
    error_message = "The ledger's metrics must be shown."
  }
}
