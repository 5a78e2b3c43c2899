# Permissions of a plan. Some actions that list or describe support no resource: these have "*", and change nothing.

locals {
  _logs = "arn:${local._partition}:logs:${local._region}:${local._account}:log-group:/aws/sagemaker/*/${local._named}"

  _cfn    = "arn:${local._partition}:cloudformation:${local._region}:${local._account}"
  _stacks = "${local._cfn}:stack/${local._stacks_named}"

  _sm = "arn:${local._partition}:sagemaker:${local._region}:${local._account}"

  _sagemaker = [
    for kind in ["endpoint", "endpoint-config", "inference-component", "model"] :
    "${local._sm}:${kind}/${local._named}"
  ]

  _read_statements = concat(length(var.artifact_buckets) == 0 ? [] : [
    {
      # The root reads a package's size and ETag, and the provider also reads its tags.
      Sid      = "ReadArtifacts"
      Effect   = "Allow"
      Action   = ["s3:GetObject", "s3:GetObjectTagging"]
      Resource = [for bucket in sort(var.artifact_buckets) : "arn:${local._partition}:s3:::${bucket}/*"]
    },
    ], [
    {
      Sid    = "ReadSageMaker"
      Effect = "Allow"
      Action = [
        "sagemaker:DescribeEndpoint",
        "sagemaker:DescribeEndpointConfig",
        "sagemaker:DescribeInferenceComponent",
        "sagemaker:DescribeModel",
        "sagemaker:ListTags",
      ]
      Resource = local._sagemaker
    },
    {
      Sid    = "ReadRoles"
      Effect = "Allow"
      Action = [
        "iam:GetRole",
        "iam:GetRolePolicy",
        "iam:ListAttachedRolePolicies",
        "iam:ListInstanceProfilesForRole",
        "iam:ListRolePolicies",
        "iam:ListRoleTags",
      ]
      Resource = local._roles
    },
    {
      Sid      = "ReadLogGroups"
      Effect   = "Allow"
      Action   = ["logs:ListTagsForResource", "logs:ListTagsLogGroup"]
      Resource = local._logs
    },
    {
      Sid      = "ReadStack"
      Effect   = "Allow"
      Action   = ["cloudformation:DescribeStackEvents", "cloudformation:DescribeStacks", "cloudformation:GetTemplate"]
      Resource = local._stacks
    },
    {
      Sid    = "ReadObservability"
      Effect = "Allow"
      Action = [
        "cloudwatch:GetDashboard",
        "cloudwatch:ListTagsForResource",
        "sns:GetTopicAttributes",
        "sns:ListTagsForResource",
      ]
      Resource = [
        "arn:${local._partition}:cloudwatch:${local._region}:${local._account}:alarm:${local._named}",
        "arn:${local._partition}:cloudwatch::${local._account}:dashboard/${local._named}",
        "arn:${local._partition}:sns:${local._region}:${local._account}:${local._named}",
      ]
    },
    {
      Sid    = "ReadCosts"
      Effect = "Allow"
      Action = [
        "budgets:ListTagsForResource",
        "budgets:ViewBudget",
        "ce:GetAnomalyMonitors",
        "ce:GetAnomalySubscriptions",
        "ce:ListTagsForResource",
      ]
      Resource = [
        "arn:${local._partition}:budgets::${local._account}:budget/${local._named}",
        "arn:${local._partition}:ce::${local._account}:anomalymonitor/*",
        "arn:${local._partition}:ce::${local._account}:anomalysubscription/*",
      ]
    },
    {
      # These have generated ids, and the repository of an image can belong to another account.
      Sid    = "ReadKeysImagesAndScaling"
      Effect = "Allow"
      Action = [
        "application-autoscaling:ListTagsForResource",
        "ecr:DescribeImages",
        "ecr:DescribeRepositories",
        "kms:DescribeKey",
        "kms:GetKeyPolicy",
        "kms:GetKeyRotationStatus",
        "kms:ListResourceTags",
      ]
      Resource = [
        "arn:${local._partition}:application-autoscaling:${local._region}:${local._account}:scalable-target/*",
        "arn:${local._partition}:ecr:${local._region}:*:repository/*",
        "arn:${local._partition}:kms:${local._region}:${local._account}:key/*",
      ]
    },
    {
      # DescribeAlarms returns composite alarms only with permission for all alarms.
      Sid    = "ReadWhatIamCannotNarrow"
      Effect = "Allow"
      Action = [
        "application-autoscaling:DescribeScalableTargets",
        "application-autoscaling:DescribeScalingPolicies",
        "application-autoscaling:DescribeScheduledActions",
        "cloudwatch:DescribeAlarms",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSecurityGroupRules",
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeSubnets",
        "logs:DescribeLogGroups",
        "sns:GetSubscriptionAttributes",
        "sts:GetCallerIdentity",
      ]
      Resource = "*"
    },
  ])

  # A plan reads the state and holds the lock; only an apply writes the state.
  _state_statements = [
    {
      Sid       = "FindState"
      Effect    = "Allow"
      Action    = "s3:ListBucket"
      Resource  = aws_s3_bucket.state.arn
      Condition = { StringLike = { "s3:prefix" = ["${var.name}/*", "env:/*"] } }
    },
    {
      Sid      = "HoldLock"
      Effect   = "Allow"
      Action   = ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
      Resource = "${aws_s3_bucket.state.arn}/*.tflock"
    },
    {
      Sid      = "ReadState"
      Effect   = "Allow"
      Action   = "s3:GetObject"
      Resource = "${aws_s3_bucket.state.arn}/${var.name}/*"
    },
  ]
}
