# Permissions of an apply, restricted by name wherever IAM supports it.

locals {
  _alarms          = "arn:${local._partition}:cloudwatch:${local._region}:${local._account}:alarm"
  _scaling         = "arn:${local._partition}:application-autoscaling:${local._region}:${local._account}"
  _scaling_service = "sagemaker.application-autoscaling.amazonaws.com"
  _service_roles   = "arn:${local._partition}:iam::${local._account}:role/aws-service-role"
  _scaling_role    = "${local._scaling_service}/AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
  _database_role   = "rds.amazonaws.com/AWSServiceRoleForRDS"

  _write_statements = concat(length(var.async_output_buckets) == 0 ? [] : [
    {
      Sid      = "ReadAnswers"
      Effect   = "Allow"
      Action   = "s3:GetObject"
      Resource = [for bucket in sort(var.async_output_buckets) : "arn:${local._partition}:s3:::${bucket}/*"]
    },
    {
      # Without it, GetObject on a missing response returns 403 instead of 404.
      Sid      = "FindAnswers"
      Effect   = "Allow"
      Action   = "s3:ListBucket"
      Resource = [for bucket in sort(var.async_output_buckets) : "arn:${local._partition}:s3:::${bucket}"]
    },
    ], [
    {
      Sid      = "WriteState"
      Effect   = "Allow"
      Action   = "s3:PutObject"
      Resource = "${aws_s3_bucket.state.arn}/${var.name}/*"
    },
    {
      Sid    = "ManageSageMaker"
      Effect = "Allow"
      Action = [
        "sagemaker:AddTags",
        "sagemaker:CreateEndpoint",
        "sagemaker:CreateEndpointConfig",
        "sagemaker:CreateInferenceComponent",
        "sagemaker:CreateModel",
        "sagemaker:DeleteEndpoint",
        "sagemaker:DeleteEndpointConfig",
        "sagemaker:DeleteInferenceComponent",
        "sagemaker:DeleteModel",
        "sagemaker:DeleteTags",
        "sagemaker:InvokeEndpoint",
        "sagemaker:InvokeEndpointAsync",
        "sagemaker:UpdateEndpoint",
        "sagemaker:UpdateEndpointWeightsAndCapacities",
        "sagemaker:UpdateInferenceComponent",
        "sagemaker:UpdateInferenceComponentRuntimeConfig",
      ]
      Resource = local._sagemaker
    },
    {
      # A role without the boundary could do anything, so that none can be created.
      Sid       = "MakeBoundedRoles"
      Effect    = "Allow"
      Action    = ["iam:CreateRole", "iam:PutRolePermissionsBoundary"]
      Resource  = local._roles
      Condition = { StringEquals = { "iam:PermissionsBoundary" = local._boundary_arn } }
    },
    {
      Sid       = "ManageBoundedRoles"
      Effect    = "Allow"
      Action    = ["iam:DeleteRolePolicy", "iam:PutRolePolicy"]
      Resource  = local._roles
      Condition = { StringEquals = { "iam:PermissionsBoundary" = local._boundary_arn } }
    },
    {
      # None of these actions grants a permission, and the path contains bounded roles only.
      Sid    = "ManageRoles"
      Effect = "Allow"
      Action = [
        "iam:DeleteRole",
        "iam:TagRole",
        "iam:UntagRole",
        "iam:UpdateAssumeRolePolicy",
        "iam:UpdateRole",
        "iam:UpdateRoleDescription",
      ]
      Resource = local._roles
    },
    {
      Sid       = "PassRolesToSageMaker"
      Effect    = "Allow"
      Action    = "iam:PassRole"
      Resource  = local._roles
      Condition = { StringEquals = { "iam:PassedToService" = "sagemaker.amazonaws.com" } }
    },
    {
      Sid       = "MakeServicesRoles"
      Effect    = "Allow"
      Action    = "iam:CreateServiceLinkedRole"
      Resource  = "${local._service_roles}/${local._scaling_role}"
      Condition = { StringEquals = { "iam:AWSServiceName" = local._scaling_service } }
    },
    {
      Sid    = "ManageLogGroups"
      Effect = "Allow"
      Action = [
        "logs:CreateLogGroup",
        "logs:DeleteLogGroup",
        "logs:DeleteRetentionPolicy",
        "logs:PutRetentionPolicy",
        "logs:TagResource",
        "logs:UntagResource",
      ]
      Resource = local._logs
    },
    {
      Sid    = "ManageStack"
      Effect = "Allow"
      Action = [
        "cloudformation:CreateStack",
        "cloudformation:DeleteStack",
        "cloudformation:TagResource",
        "cloudformation:UntagResource",
        "cloudformation:UpdateStack",
      ]
      Resource = local._stacks
    },
    {
      Sid    = "ManageScaling"
      Effect = "Allow"
      Action = [
        "application-autoscaling:DeleteScalingPolicy",
        "application-autoscaling:DeleteScheduledAction",
        "application-autoscaling:DeregisterScalableTarget",
        "application-autoscaling:PutScalingPolicy",
        "application-autoscaling:PutScheduledAction",
        "application-autoscaling:RegisterScalableTarget",
        "application-autoscaling:TagResource",
        "application-autoscaling:UntagResource",
      ]
      Resource  = "${local._scaling}:scalable-target/*"
      Condition = { StringEqualsIfExists = { "application-autoscaling:service-namespace" = "sagemaker" } }
    },
    {
      # Target tracking creates alarms named after its target with the permissions of the policy's creator.
      Sid    = "ManageAlarmsAndDashboard"
      Effect = "Allow"
      Action = [
        "cloudwatch:DeleteAlarms",
        "cloudwatch:DeleteDashboards",
        "cloudwatch:PutCompositeAlarm",
        "cloudwatch:PutDashboard",
        "cloudwatch:PutMetricAlarm",
        "cloudwatch:TagResource",
        "cloudwatch:UntagResource",
      ]
      Resource = [
        "${local._alarms}:${local._named}",
        "${local._alarms}:TargetTracking-endpoint/${local._named}",
        "${local._alarms}:TargetTracking-inference-component/${local._named}",
        "arn:${local._partition}:cloudwatch::${local._account}:dashboard/${local._named}",
      ]
    },
    {
      Sid    = "ManageTopic"
      Effect = "Allow"
      Action = [
        "sns:CreateTopic",
        "sns:DeleteTopic",
        "sns:SetTopicAttributes",
        "sns:Subscribe",
        "sns:TagResource",
        "sns:UntagResource",
      ]
      Resource = "arn:${local._partition}:sns:${local._region}:${local._account}:${local._named}"
    },
    {
      # A subscription's ARN ends in a generated id.
      Sid      = "Unsubscribe"
      Effect   = "Allow"
      Action   = "sns:Unsubscribe"
      Resource = "*"
    },
    {
      Sid      = "ManageCosts"
      Effect   = "Allow"
      Action   = ["budgets:ModifyBudget", "budgets:TagResource", "budgets:UntagResource"]
      Resource = "arn:${local._partition}:budgets::${local._account}:budget/${local._named}"
    },
    {
      # The monitor and the subscription do not exist yet.
      Sid      = "MakeAnomalies"
      Effect   = "Allow"
      Action   = ["ce:CreateAnomalyMonitor", "ce:CreateAnomalySubscription"]
      Resource = "*"
    },
    {
      Sid    = "ManageAnomalies"
      Effect = "Allow"
      Action = [
        "ce:DeleteAnomalyMonitor",
        "ce:DeleteAnomalySubscription",
        "ce:TagResource",
        "ce:UntagResource",
        "ce:UpdateAnomalyMonitor",
        "ce:UpdateAnomalySubscription",
      ]
      Resource = [
        "arn:${local._partition}:ce::${local._account}:anomalymonitor/*",
        "arn:${local._partition}:ce::${local._account}:anomalysubscription/*",
      ]
    },
  ])
}
