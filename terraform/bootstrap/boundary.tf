# The permissions boundary of the two roles here and of every role that an apply creates: a role with it cannot create
# a role without it. Rules for the roles that an apply creates belong here and not in the apply role's policy, because
# their own policies are whatever the Terraform code contains.

locals {
  _boundary_arn = "arn:${local._partition}:iam::${local._account}:policy/${var.name}-boundary"

  # Statements about objects and indexes have the ARN of their bucket as a prefix.
  _shared_arns = sort(flatten([
    for arn in setunion(
      var.shared_arns,
      [for name in setunion(var.artifact_buckets, var.async_output_buckets) : "arn:${local._partition}:s3:::${name}"],
    ) : strcontains(arn, ":s3") ? [arn, "${arn}/*"] : [arn]
  ]))

  # A boundary grants nothing: the roles' own policies do. It names the resources of the project, because these
  # policies can contain anything. Actions apply to the resources of their own service only.
  _boundary_statements = concat(
    [
      {
        Sid    = "UseTheProject"
        Effect = "Allow"
        Action = [
          "budgets:*Budget",
          "budgets:*agResource",
          "budgets:ListTags*",
          "cloudformation:*Stack",
          "cloudformation:*agResource",
          "cloudformation:DescribeStack*",
          "cloudformation:GetTemplate",
          "cloudwatch:*",
          "iam:*Role*",
          "lambda:*",
          "logs:*",
          "rds:*",
          "s3:*",
          "s3vectors:*",
          "sagemaker:*Endpoint*",
          "sagemaker:*InferenceComponent*",
          "sagemaker:*Model",
          "sagemaker:*Tags",
          "secretsmanager:*",
          "sns:*",
          "sqs:*",
        ]
        Resource = [
          "arn:${local._partition}:budgets::${local._account}:budget/${local._named}",
          "arn:${local._partition}:cloudformation:*:${local._account}:stack/${local._stacks_named}",
          "arn:${local._partition}:cloudwatch:*:${local._account}:alarm:${local._named}",
          "arn:${local._partition}:cloudwatch:*:${local._account}:alarm:TargetTracking-*/${local._named}",
          "arn:${local._partition}:cloudwatch::${local._account}:dashboard/${local._named}",
          local._roles,
          "arn:${local._partition}:lambda:*:${local._account}:function:${local._pipeline_named}",
          "arn:${local._partition}:logs:*:${local._account}:log-group:/aws/*/${local._named}",
          "arn:${local._partition}:rds:*:${local._account}:*:${local._vectors_named}",
          "arn:${local._partition}:s3:::${local._pipeline_named}",
          aws_s3_bucket.state.arn,
          "${aws_s3_bucket.state.arn}/*",
          "arn:${local._partition}:s3vectors:*:${local._account}:bucket/${local._vectors_named}",
          "arn:${local._partition}:sagemaker:*:${local._account}:*/${local._named}",
          "arn:${local._partition}:secretsmanager:*:${local._account}:secret:${local._vectors_named}",
          "arn:${local._partition}:sns:*:${local._account}:${local._named}",
          "arn:${local._partition}:sqs:*:${local._account}:${local._pipeline_named}",
        ]
      },
      {
        # These actions support no resource, or their resources have generated ids.
        Sid    = "UseUnnamedResources"
        Effect = "Allow"
        Action = [
          "application-autoscaling:*",
          "ce:*Anomaly*",
          "ce:*Tag*",
          "ce:GetCostAndUsage",
          "cloudwatch:DescribeAlarms",
          "cloudwatch:GetMetricData",
          "cloudwatch:ListMetrics",
          "cloudwatch:PutMetricData",
          "ec2:*PrivateIpAddresses",
          "ec2:CreateNetworkInterface*",
          "ec2:DeleteNetworkInterface*",
          "ec2:Describe*",
          "ecr:*Get*",
          "ecr:BatchCheck*",
          "ecr:Describe*",
          "kms:DescribeKey",
          "kms:GetKey*",
          "kms:ListResourceTags",
          "logs:DescribeLogGroups",
          "rds:Describe*",
          "rds:ListTagsForResource",
          "sns:GetSubscriptionAttributes",
          "sns:Unsubscribe",
          "sts:GetCallerIdentity",
          "xray:Put*",
        ]
        Resource = "*"
      },
      {
        # RDS requires a cluster's option group, although Aurora has none.
        Sid      = "UseOptionGroups"
        Effect   = "Allow"
        Action   = ["rds:*DBCluster", "rds:*DBInstance"]
        Resource = "arn:${local._partition}:rds:*:${local._account}:og:*"
      },
      {
        # A mapping has a generated id; its function identifies the project.
        Sid       = "UseQueueReaders"
        Effect    = "Allow"
        Action    = "lambda:*EventSourceMapping"
        Resource  = "*"
        Condition = { ArnLike = { "lambda:FunctionArn" = local._functions_anywhere } }
      },
      {
        Sid      = "TagQueueReaders"
        Effect   = "Allow"
        Action   = ["lambda:*agResource", "lambda:ListTags"]
        Resource = "arn:${local._partition}:lambda:*:${local._account}:event-source-mapping:*"
      },
      {
        # RDS names the secret of a master user and tags it with its cluster. Only AWS can set tags in "aws:".
        Sid       = "ReadDatabaseSecrets"
        Effect    = "Allow"
        Action    = ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"]
        Resource  = local._database_secrets
        Condition = { StringLike = { "aws:ResourceTag/aws:rds:primaryDBClusterArn" = local._databases } }
      },
      {
        # RDS creates it with the caller's permissions.
        Sid       = "MakeDatabaseSecrets"
        Effect    = "Allow"
        Action    = ["secretsmanager:CreateSecret", "secretsmanager:TagResource"]
        Resource  = local._database_secrets
        Condition = { "ForAllValues:StringLike" = { "aws:TagKeys" = "aws:*" } }
      },
      {
        # Keys that AWS created for its services, which no IAM policy shares with others.
        Sid       = "UseKeysOfAws"
        Effect    = "Allow"
        Action    = local._key_usage
        Resource  = "*"
        Condition = { "ForAnyValue:StringLike" = { "kms:ResourceAliases" = "alias/aws/*" } }
      },
      {
        Sid    = "MakeServicesRoles"
        Effect = "Allow"
        Action = "iam:CreateServiceLinkedRole"
        Resource = [
          "${local._service_roles}/${local._scaling_role}",
          "${local._service_roles}/${local._database_role}",
        ]
      },
      {
        # For these actions IAM knows the boundary of the request or of the role.
        Sid    = "ChangeBoundedRolesOnly"
        Effect = "Deny"
        Action = [
          "iam:AttachRolePolicy",
          "iam:CreateRole",
          "iam:DeleteRolePolicy",
          "iam:DetachRolePolicy",
          "iam:PutRolePermissionsBoundary",
          "iam:PutRolePolicy",
        ]
        Resource  = "*"
        Condition = { StringNotEquals = { "iam:PermissionsBoundary" = local._boundary_arn } }
      },
      {
        Sid       = "PassRolesToTheseServicesOnly"
        Effect    = "Deny"
        Action    = "iam:PassRole"
        Resource  = "*"
        Condition = { StringNotEquals = { "iam:PassedToService" = local._passed_to } }
      },
      {
        Sid       = "ScaleSageMakerOnly"
        Effect    = "Deny"
        Action    = [for kind in ["Action", "Policy", "Target"] : "application-autoscaling:*${kind}"]
        Resource  = "*"
        Condition = { StringNotEquals = { "application-autoscaling:service-namespace" = "sagemaker" } }
      },
      {
        # An alarm can stop machines and call functions with the permissions of CloudWatch.
        Sid       = "NotifyByAlarmsOnly"
        Effect    = "Deny"
        Action    = ["cloudwatch:PutCompositeAlarm", "cloudwatch:PutMetricAlarm"]
        Resource  = "*"
        Condition = { "ForAnyValue:StringNotLike" = { "cloudwatch:AlarmActions" = local._alarm_actions } }
      },
      {
        # Only an apply of this bootstrap changes the bucket's settings and deletes versions of the state.
        Sid       = "LeaveTheStateBucketAlone"
        Effect    = "Deny"
        NotAction = ["s3:DeleteObject", "s3:GetObject", "s3:ListBucket", "s3:PutObject"]
        Resource  = [aws_s3_bucket.state.arn, "${aws_s3_bucket.state.arn}/*"]
      },
      {
        Sid      = "KeepTheBoundary"
        Effect   = "Deny"
        Action   = ["iam:*Policy*Version", "iam:DeletePolicy", "iam:DeleteRolePermissionsBoundary"]
        Resource = "*"
      },
    ],
    [
      for statement in [
        {
          Sid    = "UseSharedResources"
          Effect = "Allow"
          Action = concat(local._key_usage, [
            "s3:AbortMultipartUpload",
            "s3:GetObject*",
            "s3:ListBucket",
            "s3:PutObject",
            "s3vectors:*Vectors",
            "s3vectors:CreateIndex",
            "s3vectors:GetIndex",
            "s3vectors:GetVectorBucket",
            "s3vectors:ListTagsForResource",
            "s3vectors:TagResource",
            "s3vectors:UpdateIndexMode",
            "s3vectors:UpdateMetadataConfiguration",
            "sagemaker:InvokeEndpoint*",
            "sns:Publish",
          ])
          Resource = local._shared_arns
        },
        {
          Sid       = "GrantSharedKeysToServices"
          Effect    = "Allow"
          Action    = "kms:CreateGrant"
          Resource  = [for arn in local._shared_arns : arn if strcontains(arn, ":kms:")]
          Condition = { Bool = { "kms:GrantIsForAWSResource" = "true" } }
        },
      ] : statement if length(statement.Resource) > 0
    ],
  )

  _alarm_actions      = [for service in ["autoscaling", "sns"] : "arn:${local._partition}:${service}:*"]
  _databases          = "arn:${local._partition}:rds:*:${local._account}:cluster:${local._vectors_named}"
  _database_secrets   = "arn:${local._partition}:secretsmanager:*:${local._account}:secret:rds!cluster-*"
  _functions_anywhere = "arn:${local._partition}:lambda:*:${local._account}:function:${local._pipeline_named}"
  _key_usage          = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
  _passed_to          = ["lambda.amazonaws.com", "sagemaker.amazonaws.com"]
}

resource "aws_iam_policy" "boundary" {
  #checkov:skip=CKV_AWS_355:A boundary grants nothing, and lists services, not resources
  #checkov:skip=CKV_AWS_290:A boundary grants nothing
  #checkov:skip=CKV_AWS_289:A boundary grants nothing
  #checkov:skip=CKV_AWS_288:A boundary grants nothing
  #checkov:skip=CKV_AWS_287:A boundary grants nothing
  #checkov:skip=CKV_AWS_286:A boundary grants nothing
  name        = "${var.name}-boundary"
  description = "Bounds every role of ${var.name}"

  policy = jsonencode({ Version = "2012-10-17", Statement = local._boundary_statements })

  lifecycle {
    precondition {
      condition     = length(jsonencode({ Version = "2012-10-17", Statement = local._boundary_statements })) <= 6144
      error_message = "The boundary has more than 6,144 characters, IAM's limit. Shorten shared_arns."
    }
  }
}
