data "aws_partition" "current" {}

locals {
  _report_account   = data.aws_caller_identity.current.account_id
  _report_partition = data.aws_partition.current.partition
  _report_sagemaker = "arn:${local._report_partition}:sagemaker:${local._region}:${local._report_account}"
  _report_names     = [for endpoint in values(local.endpoints) : endpoint.name]

  _report_statements = var.cost_report == null ? [] : [
    for statement in [
      {
        Sid    = "DescribeEndpoints"
        Action = ["sagemaker:DescribeEndpoint", "sagemaker:DescribeEndpointConfig"]
        Resource = length(local._report_names) == 0 ? [] : concat(
          formatlist("${local._report_sagemaker}:endpoint/%s", local._report_names),
          ["${local._report_sagemaker}:endpoint-config/${var.name}-*"],
        )
      },
      {
        # These actions support no resource.
        Sid      = "ReadMetrics"
        Action   = ["cloudwatch:GetMetricData", "cloudwatch:ListMetrics"]
        Resource = ["*"]
      },
      {
        Sid    = "ReadCosts"
        Action = ["ce:GetCostAndUsage"]
        Resource = !var.cost_report.cost_explorer ? [] : [
          "arn:${local._report_partition}:billing::${local._report_account}:billingview/primary",
        ]
      },
      {
        Sid      = "Notify"
        Action   = ["sns:Publish"]
        Resource = [module.observability.topic_arn]
      },
      {
        Sid      = "UseTopicKey"
        Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource = module.observability.topic_key_arns
      },
    ] : merge(statement, { Effect = "Allow" }) if length(statement.Resource) > 0
  ]
}

module "cost_report" {
  source = "./modules/scheduled-function"
  count  = var.cost_report == null ? 0 : 1

  alarm                = var.alarms == null ? null : { topic_arn = module.observability.topic_arn }
  architecture         = var.cost_report.architecture
  description          = "Sends the costs of the day before"
  log_retention_days   = var.cost_report.log_retention_days
  name                 = "${var.name}-cost-report"
  permissions_boundary = var.permissions_boundary
  python_version       = var.cost_report.python_version
  role_path            = var.role_path
  schedule             = var.cost_report.schedule
  statements           = local._report_statements
  tags                 = local.tags
  timezone             = var.cost_report.timezone

  environment = merge(
    {
      COSTS_REPORT_ENDPOINTS = join(",", local._report_names)
      COSTS_REPORT_TOPIC_ARN = module.observability.topic_arn
    },
    var.cost_report.cost_explorer ? { COSTS_REPORT_TAG = "Project=${var.name}" } : {},
    var.cost_report.environment,
  )
  package = coalesce(
    var.cost_report.package,
    join("/", [
      "${path.module}/../.local/lambda/${var.cost_report.architecture}-${var.cost_report.python_version}",
      "cost_report.zip",
    ]),
  )
}
