# Actual, forecast and unusual costs.

resource "aws_budgets_budget" "embeddings" {
  count = var.budget == null ? 0 : 1

  name         = "${var.name}-monthly"
  budget_type  = "COST"
  limit_amount = format("%.2f", var.budget.limit_usd)
  limit_unit   = "USD"
  tags         = var.tags
  time_unit    = "MONTHLY"

  # By service it works immediately. By tag it is exact, but counts nothing until the tag is activated for costs.
  cost_filter {
    name   = var.budget.by_tag ? "TagKeyValue" : "Service"
    values = var.budget.by_tag ? [format("user:Project$%s", var.name)] : ["Amazon SageMaker"]
  }

  dynamic "notification" {
    for_each = [
      for pair in setproduct(var.budget.percentages, ["ACTUAL", "FORECASTED"]) :
      { percentage = pair[0], type = pair[1] }
    ]

    content {
      comparison_operator       = "GREATER_THAN"
      notification_type         = notification.value.type
      subscriber_sns_topic_arns = [local.topic_arn]
      threshold                 = notification.value.percentage
      threshold_type            = "PERCENTAGE"
    }
  }

  # Budgets tests the topic immediately, and rejects one that it may not publish to.
  depends_on = [aws_sns_topic_policy.embeddings]
}

resource "aws_ce_anomaly_monitor" "embeddings" {
  count = try(var.budget.anomaly_usd, 0) == 0 ? 0 : 1

  name         = "${var.name}-costs"
  monitor_type = "CUSTOM"
  tags         = var.tags

  # An account can have only one monitor by service. By tag, it counts nothing until the tag is activated.
  monitor_specification = jsonencode({
    And            = null
    CostCategories = null
    Dimensions     = null
    Not            = null
    Or             = null
    Tags           = { Key = "Project", MatchOptions = null, Values = [var.name] }
  })
}

resource "aws_ce_anomaly_subscription" "embeddings" {
  count = length(aws_ce_anomaly_monitor.embeddings)

  name             = "${var.name}-costs"
  frequency        = "IMMEDIATE"
  monitor_arn_list = [aws_ce_anomaly_monitor.embeddings[0].arn]
  tags             = var.tags

  subscriber {
    address = local.topic_arn
    type    = "SNS"
  }

  threshold_expression {
    dimension {
      key           = "ANOMALY_TOTAL_IMPACT_ABSOLUTE"
      match_options = ["GREATER_THAN_OR_EQUAL"]
      values        = [tostring(var.budget.anomaly_usd)]
    }
  }

  depends_on = [aws_sns_topic_policy.embeddings]
}
