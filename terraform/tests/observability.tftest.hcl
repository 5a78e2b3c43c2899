# Alarms, topic and dashboard.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  name = "alex"
  endpoints = {
    batch     = { kind = "async", name = "alex-batch-endpoint" }
    embedding = { kind = "serverless", name = "alex-embedding-endpoint" }
    gpu = {
      kind     = "realtime"
      name     = "alex-gpu-endpoint"
      gpus     = { AllTraffic = 1, candidate = 4 }
      variants = ["AllTraffic", "candidate"]
    }
    sleeping = { kind = "scale_to_zero", name = "alex-sleeping-endpoint", component_name = "alex-sleeping-component" }
  }
}

run "defaults_create_nothing" {
  command = plan
  module { source = "./modules/observability" }

  assert {
    condition = (
      (
        length(aws_cloudwatch_metric_alarm.embeddings) +
        length(aws_cloudwatch_composite_alarm.unhealthy) +
        length(aws_cloudwatch_dashboard.embeddings) +
        length(aws_sns_topic.embeddings) +
        length(aws_kms_key.embeddings) +
        length(aws_budgets_budget.embeddings) +
        length(aws_ce_anomaly_monitor.embeddings)
      ) ==
      0
    )
    error_message = "By default there must be no resources."
  }
  assert {
    condition     = output.topic_arn == null && length(output.rollback_alarm_names["gpu"]) == 0
    error_message = "There must be no topic and no alarms."
  }
}

run "alarms" {
  command = plan
  module { source = "./modules/observability" }

  variables {
    alarms = { latency_p95_ms = 500, no_traffic_minutes = 60 }
  }

  assert {
    condition = (
      aws_cloudwatch_metric_alarm.embeddings["embedding/AllTraffic/latency"].metric_name == "ModelLatency" &&
      aws_cloudwatch_metric_alarm.embeddings["embedding/AllTraffic/latency"].extended_statistic == "p95" &&
      aws_cloudwatch_metric_alarm.embeddings["embedding/AllTraffic/latency"].statistic == null &&
      aws_cloudwatch_metric_alarm.embeddings["embedding/AllTraffic/latency"].threshold == 500000 &&
      aws_cloudwatch_metric_alarm.embeddings["embedding/AllTraffic/latency"].treat_missing_data == "notBreaching"
    )
    error_message = "500 ms are 500000 microseconds."
  }
  assert {
    condition = (
      aws_cloudwatch_metric_alarm.embeddings["embedding/AllTraffic/errors"].metric_name == "Invocation5XXErrors" &&
      aws_cloudwatch_metric_alarm.embeddings["embedding/AllTraffic/errors"].statistic == "Sum" &&
      (
        aws_cloudwatch_metric_alarm.embeddings["embedding/AllTraffic/errors"].dimensions ==
        tomap({ EndpointName = "alex-embedding-endpoint", VariantName = "AllTraffic" })
      ) &&
      length(aws_cloudwatch_metric_alarm.embeddings["embedding/AllTraffic/errors"].alarm_actions) == 0
    )
    error_message = "Errors must be counted by variant, and only the composite alarm must notify."
  }
  assert {
    condition = (
      (
        aws_cloudwatch_metric_alarm.embeddings["embedding/AllTraffic/concurrency"].metric_name ==
        "ServerlessConcurrentExecutionsUtilization"
      ) &&
      aws_cloudwatch_metric_alarm.embeddings["embedding/AllTraffic/concurrency"].threshold == 0.8 &&
      (
        aws_cloudwatch_metric_alarm.embeddings["embedding/AllTraffic/concurrency"].comparison_operator ==
        "GreaterThanOrEqualToThreshold"
      ) &&
      length(aws_cloudwatch_metric_alarm.embeddings["embedding/AllTraffic/concurrency"].alarm_actions) == 1
    )
    error_message = "The alarm must fire at 80 % of the concurrency and notify."
  }
  assert {
    condition = (
      aws_cloudwatch_metric_alarm.embeddings["gpu/candidate/gpu-memory"].namespace == "/aws/sagemaker/Endpoints" &&
      aws_cloudwatch_metric_alarm.embeddings["gpu/candidate/gpu-memory"].metric_name == "GPUMemoryUtilization" &&
      (
        aws_cloudwatch_metric_alarm.embeddings["gpu/candidate/gpu-memory"].dimensions ==
        tomap({ EndpointName = "alex-gpu-endpoint", VariantName = "candidate" })
      )
    )
    error_message = "Each variant with a GPU must have a memory alarm."
  }
  assert {
    condition = (
      [
        for key, alarm in aws_cloudwatch_metric_alarm.embeddings :
        "${key} ${alarm.threshold}" if endswith(key, "/gpu-memory")
      ] ==
      ["gpu/AllTraffic/gpu-memory 90", "gpu/candidate/gpu-memory 360"]
    )
    error_message = "The threshold for four GPUs must be 360, and variants without GPU must have no alarm."
  }
  assert {
    condition = (
      aws_cloudwatch_metric_alarm.embeddings["sleeping/AllTraffic/errors"].dimensions ==
      tomap({ InferenceComponentName = "alex-sleeping-component" })
    )
    error_message = "Requests to an inference component are counted under its name."
  }
  assert {
    condition = (
      aws_cloudwatch_metric_alarm.embeddings["batch/AllTraffic/silence"].treat_missing_data == "breaching" &&
      aws_cloudwatch_metric_alarm.embeddings["batch/AllTraffic/silence"].evaluation_periods == 60
    )
    error_message = "An hour without a request must be told of, and no requests are no data."
  }
  assert {
    condition = (
      sort([for key in keys(aws_cloudwatch_metric_alarm.embeddings) : key if startswith(key, "batch/")]) ==
      tolist([
        "batch/AllTraffic/errors",
        "batch/AllTraffic/expired",
        "batch/AllTraffic/failures",
        "batch/AllTraffic/queue-age",
        "batch/AllTraffic/silence",
      ])
    )
    error_message = "A queue must have alarms on the metrics that asynchronous endpoints publish, and no other."
  }
  assert {
    condition = (
      {
        for name in ["errors", "expired", "failures", "queue-age", "silence"] :
        name => aws_cloudwatch_metric_alarm.embeddings["batch/AllTraffic/${name}"].metric_name
        } == {
        errors    = "Invocation5XXErrors"
        expired   = "ExpiredRequests"
        failures  = "InvocationFailures"
        queue-age = "ApproximateAgeOfOldestRequest"
        silence   = "InvocationsProcessed"
      }
    )
    error_message = "An asynchronous endpoint publishes no Invocations."
  }
  assert {
    condition = (
      aws_cloudwatch_metric_alarm.embeddings["batch/AllTraffic/queue-age"].dimensions ==
      tomap({ EndpointName = "alex-batch-endpoint" })
    )
    error_message = "The queue's age is a metric of the endpoint."
  }
  assert {
    condition     = output.rollback_alarm_names.batch == ["alex-batch-errors", "alex-batch-failures"]
    error_message = "Requests that were queued before a deployment must not roll it back."
  }
  assert {
    condition = (
      aws_cloudwatch_composite_alarm.unhealthy["embedding"].alarm_rule ==
      join(" ", [
        "ALARM(\"alex-embedding-errors\") OR ALARM(\"alex-embedding-latency\") OR",
        "ALARM(\"alex-embedding-model-errors\") OR ALARM(\"alex-embedding-silence\")",
      ])
    )
    error_message = "The composite alarm must include the alarms that affect callers."
  }
  assert {
    condition = (
      output.rollback_alarm_names["gpu"] ==
      [
        "alex-gpu-errors",
        "alex-gpu-latency",
        "alex-gpu-model-errors",
        "alex-gpu-candidate-errors",
        "alex-gpu-candidate-latency",
        "alex-gpu-candidate-model-errors",
      ]
    )
    error_message = "Alarms that affect callers must roll back, except the one for missing traffic."
  }
}

run "without_a_no_traffic_alarm" {
  command = plan
  module { source = "./modules/observability" }

  variables {
    alarms = {}
  }

  assert {
    condition = (
      length([for key in keys(aws_cloudwatch_metric_alarm.embeddings) : key if endswith(key, "/silence")]) ==
      0
    )
    error_message = "Without no_traffic_minutes, there must be no alarm for missing traffic."
  }
  assert {
    condition = (
      aws_kms_key.embeddings[0].enable_key_rotation &&
      aws_sns_topic.embeddings[0].name == "alex-notifications"
    )
    error_message = "The topic must have its own key with rotation."
  }
  assert {
    condition = (
      jsondecode(aws_kms_key.embeddings[0].policy) ==
      {
        Version = "2012-10-17"
        Statement = [
          {
            Sid       = "ManageByIam"
            Effect    = "Allow"
            Principal = { AWS = "arn:aws:iam::123456789012:root" }
            Action    = "kms:*"
            Resource  = "*"
          },
          {
            Sid    = "EncryptNotifications"
            Effect = "Allow"
            Principal = {
              Service = ["cloudwatch.amazonaws.com", "costalerts.amazonaws.com", "budgets.amazonaws.com"]
            }
            Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
            Resource  = "*"
            Condition = { StringEquals = { "aws:SourceAccount" = "123456789012" } }
          },
        ]
      }
    )
    error_message = "The services that publish must be able to encrypt, for this account only."
  }
  assert {
    condition = (
      [
        for statement in jsondecode(aws_sns_topic_policy.embeddings[0].policy).Statement :
        [
          statement.Sid,
          statement.Effect,
          jsonencode(statement.Principal),
          statement.Action,
          jsonencode(statement.Condition),
        ]
      ] ==
      [
        [
          "PublishAlarms",
          "Allow",
          jsonencode({ Service = "cloudwatch.amazonaws.com" }),
          "sns:Publish",
          jsonencode({
            ArnLike      = { "aws:SourceArn" = "arn:aws:cloudwatch:us-east-1:123456789012:alarm:alex-*" }
            StringEquals = { "aws:SourceAccount" = "123456789012" }
          }),
        ],
        [
          "PublishAnomalies",
          "Allow",
          jsonencode({ Service = "costalerts.amazonaws.com" }),
          "sns:Publish",
          jsonencode({
            ArnLike      = { "aws:SourceArn" = "arn:aws:ce::123456789012:*" }
            StringEquals = { "aws:SourceAccount" = "123456789012" }
          }),
        ],
        [
          "PublishBudgets",
          "Allow",
          jsonencode({ Service = "budgets.amazonaws.com" }),
          "sns:Publish",
          jsonencode({
            ArnLike      = { "aws:SourceArn" = "arn:aws:budgets::123456789012:*" }
            StringEquals = { "aws:SourceAccount" = "123456789012" }
          }),
        ],
        [
          "RefusePlainText",
          "Deny",
          jsonencode("*"),
          "sns:Publish",
          jsonencode({ Bool = { "aws:SecureTransport" = "false" } }),
        ],
      ]
    )
    error_message = "Only three services may publish, for this account, and only over TLS."
  }
}

run "subscriptions" {
  command = plan
  module { source = "./modules/observability" }

  variables {
    alarms = {}
    notifications = {
      emails        = ["team@example.com"]
      subscriptions = { queue = { protocol = "sqs", endpoint = "arn:aws:sqs:us-east-1:123456789012:alarms" } }
    }
  }

  assert {
    condition = (
      aws_sns_topic_subscription.embeddings["team@example.com"].protocol == "email" &&
      aws_sns_topic_subscription.embeddings["queue"].protocol == "sqs"
    )
    error_message = "Both must be subscribed."
  }
}

run "existing_key" {
  command = plan
  module { source = "./modules/observability" }

  variables {
    alarms = {}
    notifications = {
      emails      = ["operator@example.com"]
      kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/0a1b2c3d-0000-4000-8000-000000000000"
    }
  }

  assert {
    condition = (
      length(aws_kms_key.embeddings) == 0 &&
      (
        aws_sns_topic.embeddings[0].kms_master_key_id ==
        "arn:aws:kms:us-east-1:123456789012:key/0a1b2c3d-0000-4000-8000-000000000000"
      )
    )
    error_message = "The topic must use the existing key, and none must be created."
  }
}

run "existing_topic" {
  command = plan
  module { source = "./modules/observability" }

  variables {
    alarms        = {}
    notifications = { topic_arn = "arn:aws:sns:us-east-1:123456789012:operations" }
  }

  assert {
    condition = (
      length(aws_sns_topic.embeddings) == 0 &&
      output.topic_arn == "arn:aws:sns:us-east-1:123456789012:operations" &&
      (
        aws_cloudwatch_composite_alarm.unhealthy["gpu"].alarm_actions ==
        toset(["arn:aws:sns:us-east-1:123456789012:operations"])
      )
    )
    error_message = "The given topic must be notified, and none created."
  }
}

run "dashboard" {
  command = plan
  module { source = "./modules/observability" }

  variables {
    dashboard = true
    pipeline = {
      dead_letter_queue = "alex-dead-letters"
      functions         = { ingest = "alex-ingest", search = "alex-search" }
      queue             = "alex-queue"
    }
  }

  assert {
    condition     = aws_cloudwatch_dashboard.embeddings[0].dashboard_name == "alex-embeddings"
    error_message = "The dashboard must be named after the project."
  }
  assert {
    condition = (
      [
        for widget in jsondecode(aws_cloudwatch_dashboard.embeddings[0].dashboard_body).widgets :
        widget.properties.title if widget.type == "metric" && widget.y < 8
      ] ==
      ["Requests per minute", "Latency of the model, and time in the queue, in ms", "Errors per minute", "Instances"]
    )
    error_message = "Each fleet must have four widgets side by side."
  }
  assert {
    condition = (
      length([
        for widget in jsondecode(aws_cloudwatch_dashboard.embeddings[0].dashboard_body).widgets :
        widget if widget.type == "text"
      ]) ==
      7
    )
    error_message = "Each fleet, the pipeline and the costs must have a heading."
  }
  assert {
    condition = (
      (
        [
          for widget in jsondecode(aws_cloudwatch_dashboard.embeddings[0].dashboard_body).widgets :
          widget.properties.title if widget.type == "metric" && widget.y == 41
        ] ==
        [
          "Documents",
          "Age of the oldest waiting document, in s",
          "Functions, per minute",
          "Time that the functions take, in ms",
        ]
      ) &&
      (
        max([for widget in jsondecode(aws_cloudwatch_dashboard.embeddings[0].dashboard_body).widgets : widget.y]...) ==
        56
      )
    )
    error_message = "The pipeline's row must follow the five variants' rows, and the rows of costs must follow it."
  }
  assert {
    condition = strcontains(
      aws_cloudwatch_dashboard.embeddings[0].dashboard_body,
      jsonencode([
        "AWS/SageMaker",
        "Invocations",
        "EndpointName",
        "alex-embedding-endpoint",
        "VariantName",
        "AllTraffic",
        { label = "requests", stat = "Sum" },
      ]),
    )
    error_message = "Metrics must have CloudWatch's flat form."
  }
  assert {
    condition = (
      length(setsubtract(
        flatten([
          for widget in jsondecode(aws_cloudwatch_dashboard.embeddings[0].dashboard_body).widgets :
          [for metric in try(widget.properties.metrics, []) : metric[1] if can(tostring(metric[1]))]
        ]),
        [
          "Invocations",
          "ExpiredRequests",
          "Invocation4XXErrors",
          "Invocation5XXErrors",
          "InvocationFailures",
          "InvocationModelErrors",
          "InvocationsProcessed",
          "ModelLatency",
          "OverheadLatency",
          "TimeInBacklog",
          "CPUUtilization",
          "CostPerEmbedding",
          "EmbeddingTokens",
          "ApproximateBacklogSize",
          "ServerlessConcurrentExecutionsUtilization",
          "ServerlessProvisionedConcurrencyUtilization",
          "EstimatedCharges",
          "ApproximateNumberOfMessagesVisible",
          "ApproximateNumberOfMessagesNotVisible",
          "ApproximateAgeOfOldestMessage",
          "Invocations",
          "Errors",
          "Throttles",
          "Duration",
        ],
      )) ==
      0
    )
    error_message = "The dashboard must use existing metrics."
  }
}
