# The module of scheduled functions.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

override_resource {
  target          = aws_lambda_function.function
  override_during = plan
  values          = { arn = "arn:aws:lambda:us-east-1:123456789012:function:alex-health-check" }
}

override_resource {
  target          = aws_sqs_queue.undelivered
  override_during = plan
  values          = { arn = "arn:aws:sqs:us-east-1:123456789012:alex-health-check-undelivered" }
}

variables {
  name        = "alex-health-check"
  description = "Checks the endpoints of alex"
  package     = "tests/fixtures/function.zip"
  schedule    = "rate(5 minutes)"
}

run "defaults" {
  command = plan
  module { source = "./modules/scheduled-function" }

  assert {
    condition = (
      aws_scheduler_schedule.function.schedule_expression == "rate(5 minutes)" &&
      one(aws_scheduler_schedule.function.flexible_time_window).mode == "OFF" &&
      one(aws_scheduler_schedule.function.target).arn == aws_lambda_function.function.arn &&
      one(one(aws_scheduler_schedule.function.target).dead_letter_config).arn == aws_sqs_queue.undelivered.arn &&
      one(one(aws_scheduler_schedule.function.target).retry_policy).maximum_retry_attempts == 3
    )
    error_message = "The schedule must invoke the function, retry and keep what cannot be delivered."
  }
  assert {
    condition = (
      jsondecode(aws_iam_role_policy.schedule.policy).Statement ==
      [
        {
          Sid      = "InvokeFunction"
          Effect   = "Allow"
          Action   = "lambda:InvokeFunction"
          Resource = "arn:aws:lambda:us-east-1:123456789012:function:alex-health-check"
        },
        {
          Sid      = "KeepUndelivered"
          Effect   = "Allow"
          Action   = "sqs:SendMessage"
          Resource = "arn:aws:sqs:us-east-1:123456789012:alex-health-check-undelivered"
        },
      ]
    )
    error_message = "The schedule may invoke this function only."
  }
  assert {
    condition = (
      jsondecode(aws_iam_role.schedule.assume_role_policy).Statement[0].Condition ==
      {
        ArnLike      = { "aws:SourceArn" = "arn:aws:scheduler:us-east-1:123456789012:schedule-group/default" }
        StringEquals = { "aws:SourceAccount" = "123456789012" }
      }
    )
    error_message = "Schedules of other accounts must not assume the role."
  }
  assert {
    condition = (
      [for statement in jsondecode(aws_iam_role_policy.function.policy).Statement : statement.Sid] ==
      ["WriteLogs", "Trace"] &&
      aws_sqs_queue.undelivered.sqs_managed_sse_enabled &&
      aws_cloudwatch_log_group.function.retention_in_days == 30 &&
      output.alarm_name == null
    )
    error_message = "Without statements the function may write logs and traces only."
  }
}

run "everything" {
  command = plan
  module { source = "./modules/scheduled-function" }

  variables {
    alarm       = { topic_arn = "arn:aws:sns:us-east-1:123456789012:operations" }
    environment = { HEALTH_ENDPOINTS = "alex-embedding-endpoint" }
    kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/0a1b2c3d-0000-4000-8000-000000000000"
    schedule    = "cron(0 7 * * ? *)"
    timezone    = "Europe/Rome"
    statements = [
      {
        Sid      = "Probe"
        Effect   = "Allow"
        Action   = "sagemaker:InvokeEndpoint"
        Resource = "arn:aws:sagemaker:us-east-1:123456789012:endpoint/alex-embedding-endpoint"
      },
    ]
  }

  assert {
    condition = (
      [for statement in jsondecode(aws_iam_role_policy.function.policy).Statement : statement.Sid] ==
      ["WriteLogs", "Trace", "UseKey", "Probe"]
    )
    error_message = "The function's role must have the caller's statements and the key."
  }
  assert {
    condition = (
      aws_scheduler_schedule.function.schedule_expression_timezone == "Europe/Rome" &&
      aws_scheduler_schedule.function.kms_key_arn == var.kms_key_arn &&
      aws_sqs_queue.undelivered.kms_master_key_id == var.kms_key_arn &&
      aws_cloudwatch_log_group.function.kms_key_id == var.kms_key_arn
    )
    error_message = "Schedule, queue and logs must use the key."
  }
  assert {
    condition = (
      output.alarm_name == "alex-health-check-failures" &&
      aws_cloudwatch_metric_alarm.failures[0].alarm_actions == toset([var.alarm.topic_arn]) &&
      aws_lambda_function.function.environment[0].variables["POWERTOOLS_SERVICE_NAME"] == "alex-health-check" &&
      aws_lambda_function.function.environment[0].variables["HEALTH_ENDPOINTS"] == "alex-embedding-endpoint"
    )
    error_message = "The alarm must notify, and the function have its settings."
  }
}

run "refused_sizes" {
  command = plan
  module { source = "./modules/scheduled-function" }

  variables {
    memory_mb = 128
    retry     = { attempts = 186 }
    schedule  = "every 5 minutes"
    timeout_s = 901
  }

  expect_failures = [var.memory_mb, var.retry, var.schedule, var.timeout_s]
}

run "refused_names" {
  command = plan
  module { source = "./modules/scheduled-function" }

  variables {
    name    = "alex health"
    package = "tests/fixtures/missing.zip"
  }

  expect_failures = [var.name, var.package]
}
