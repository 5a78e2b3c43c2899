# The health check in the root.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  name = "alex"
  endpoints = {
    asleep    = { model = { hub_id = "BAAI/bge-m3" }, scale_to_zero = { instance_type = "ml.c7i.xlarge" } }
    embedding = { model = { hub_id = "sentence-transformers/all-MiniLM-L6-v2" }, serverless = {} }
    reranker = {
      model      = { hub_id = "BAAI/bge-reranker-base", kind = "reranker" }
      serverless = { memory_mb = 6144 }
    }
  }
  health_check = {
    bedrock_models = ["amazon.titan-embed-text-v2:0"]
    package        = "tests/fixtures/function.zip"
  }
}

run "without_notifications" {
  command = plan

  assert {
    condition = (
      output.health_check.function_name == "alex-health-check" &&
      output.health_check.alarm_names == {} &&
      output.health_check.bucket == "alex-health-check-123456789012-us-east-1"
    )
    error_message = "The check must have names by the project, and no alarms without a topic."
  }
}

run "with_notifications" {
  command = plan
  variables {
    alarms = {}
  }

  assert {
    condition = output.health_check.alarm_names == {
      failures  = "alex-health-check-failures"
      unhealthy = "alex-health-check-unhealthy"
    }
    error_message = "The check must notify of its own failures and of unhealthy targets."
  }
}

run "role" {
  command = plan
  module { source = "./modules/health-check" }

  variables {
    actions        = ["redeploy"]
    bedrock_models = ["amazon.titan-embed-text-v2:0"]
    endpoints      = { embedding = { name = "alex-embedding-endpoint" } }
    name           = "alex-health-check"
    notifications  = { topic_arn = "arn:aws:sns:us-east-1:123456789012:operations" }
    package        = "tests/fixtures/function.zip"
    project        = "alex"
  }

  assert {
    condition = [for statement in local._statements : statement.Sid] == [
      "ProbeEndpoints", "DescribeEndpoints", "ReadLogs", "Redeploy", "ProbeModels", "Notify", "KeepState",
      "KnowThatStateIsNew", "PublishMetrics",
    ]
    error_message = "The role must have a statement for each part of the check, and no other."
  }
  assert {
    condition = (
      local._environment["HEALTH_ENDPOINTS"] == "alex-embedding-endpoint" &&
      local._environment["HEALTH_STATE"] == "s3://alex-health-check-123456789012-us-east-1" &&
      !contains(keys(local._environment), "HEALTH_RERANKERS")
    )
    error_message = "The function must get its targets and its bucket."
  }
}

run "refused" {
  command = plan
  module { source = "./modules/health-check" }

  variables {
    actions   = ["restart"]
    endpoints = { embedding = { name = "alex-embedding-endpoint" } }
    name      = "Alex_Health"
    package   = "tests/fixtures/function.zip"
    project   = "alex"
  }

  expect_failures = [var.actions, var.name]
}

run "nothing_to_check" {
  command = plan
  module { source = "./modules/health-check" }

  variables {
    endpoints = {}
    name      = "alex-health-check"
    package   = "tests/fixtures/function.zip"
    project   = "alex"
  }

  expect_failures = [var.endpoints]
}
