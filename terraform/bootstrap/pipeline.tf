# Permissions for a document pipeline and a vector store, as managed policies, because a role's inline policies can
# have 10,240 characters together. The plan role may read, and the apply role has both policies.

locals {
  _lambda = "arn:${local._partition}:lambda:${local._region}:${local._account}"
  _rds    = "arn:${local._partition}:rds:${local._region}:${local._account}"

  _secrets       = "arn:${local._partition}:secretsmanager:${local._region}:${local._account}:secret"
  _reader_secret = "${local._secrets}:${local._vectors_named}-reader-*"

  _s3_vectors = "arn:${local._partition}:s3vectors:${local._region}:${local._account}"

  # Not all buckets of the project, because one contains the state.
  _documents = "arn:${local._partition}:s3:::${var.name}-pipeline-*"
  _functions = "${local._lambda}:function:${local._pipeline_named}"
  _pipeline_logs = [
    for name in ["lambda/${local._pipeline_named}", "rds/cluster/${local._vectors_named}"] :
    "arn:${local._partition}:logs:${local._region}:${local._account}:log-group:/aws/${name}"
  ]
  _queues = "arn:${local._partition}:sqs:${local._region}:${local._account}:${local._pipeline_named}"

  _pipeline_statements = {
    plan = [
      {
        Sid    = "ReadFunctions"
        Effect = "Allow"
        Action = [
          "lambda:GetFunction",
          "lambda:GetFunctionCodeSigningConfig",
          "lambda:GetFunctionUrlConfig",
          "lambda:ListVersionsByFunction",
        ]
        Resource = local._functions
      },
      {
        # A mapping has a generated id; its function identifies the project.
        Sid       = "ReadQueueReaders"
        Effect    = "Allow"
        Action    = "lambda:GetEventSourceMapping"
        Resource  = "${local._lambda}:event-source-mapping:*"
        Condition = { ArnLike = { "lambda:FunctionArn" = local._functions } }
      },
      {
        Sid      = "ReadTagsOfFunctions"
        Effect   = "Allow"
        Action   = "lambda:ListTags"
        Resource = [local._functions, "${local._lambda}:event-source-mapping:*"]
      },
      {
        Sid      = "ReadQueues"
        Effect   = "Allow"
        Action   = ["sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:ListQueueTags"]
        Resource = local._queues
      },
      {
        Sid    = "ReadBucketOfDocuments"
        Effect = "Allow"
        Action = [
          "s3:GetAccelerateConfiguration",
          "s3:GetBucketAcl",
          "s3:GetBucketCORS",
          "s3:GetBucketLogging",
          "s3:GetBucketNotification",
          "s3:GetBucketObjectLockConfiguration",
          "s3:GetBucketPolicy",
          "s3:GetBucketPublicAccessBlock",
          "s3:GetBucketRequestPayment",
          "s3:GetBucketTagging",
          "s3:GetBucketVersioning",
          "s3:GetBucketWebsite",
          "s3:GetEncryptionConfiguration",
          "s3:GetLifecycleConfiguration",
          "s3:GetReplicationConfiguration",
          "s3:ListBucket",
        ]
        Resource = local._documents
      },
      {
        Sid    = "ReadDatabase"
        Effect = "Allow"
        Action = [
          "rds:DescribeDBClusterParameterGroups",
          "rds:DescribeDBClusterParameters",
          "rds:DescribeDBClusters",
          "rds:DescribeDBInstances",
          "rds:DescribeDBSubnetGroups",
          "rds:DescribeGlobalClusters",
          "rds:ListTagsForResource",
        ]
        Resource = concat(
          [for kind in ["cluster", "cluster-pg", "db", "subgrp"] : "${local._rds}:${kind}:${local._vectors_named}"],
          ["arn:${local._partition}:rds::${local._account}:global-cluster:*"],
        )
      },
      {
        # Not its value.
        Sid      = "ReadReaderSecret"
        Effect   = "Allow"
        Action   = ["secretsmanager:DescribeSecret", "secretsmanager:GetResourcePolicy"]
        Resource = local._reader_secret
      },
      {
        Sid      = "ReadPipelineLogGroups"
        Effect   = "Allow"
        Action   = ["logs:ListTagsForResource", "logs:ListTagsLogGroup"]
        Resource = local._pipeline_logs
      },
    ]
    apply = [
      {
        Sid    = "ManageFunctions"
        Effect = "Allow"
        Action = [
          "lambda:CreateFunction",
          "lambda:CreateFunctionUrlConfig",
          "lambda:DeleteFunction",
          "lambda:DeleteFunctionConcurrency",
          "lambda:DeleteFunctionUrlConfig",
          "lambda:PutFunctionConcurrency",
          "lambda:UpdateFunctionCode",
          "lambda:UpdateFunctionConfiguration",
          "lambda:UpdateFunctionUrlConfig",
        ]
        Resource = local._functions
      },
      {
        # The mapping does not exist yet; its function identifies the project.
        Sid       = "MakeQueueReaders"
        Effect    = "Allow"
        Action    = "lambda:CreateEventSourceMapping"
        Resource  = "*"
        Condition = { ArnLike = { "lambda:FunctionArn" = local._functions } }
      },
      {
        Sid       = "ManageQueueReaders"
        Effect    = "Allow"
        Action    = ["lambda:DeleteEventSourceMapping", "lambda:UpdateEventSourceMapping"]
        Resource  = "${local._lambda}:event-source-mapping:*"
        Condition = { ArnLike = { "lambda:FunctionArn" = local._functions } }
      },
      {
        Sid      = "TagFunctions"
        Effect   = "Allow"
        Action   = ["lambda:TagResource", "lambda:UntagResource"]
        Resource = [local._functions, "${local._lambda}:event-source-mapping:*"]
      },
      {
        Sid       = "PassRolesToLambda"
        Effect    = "Allow"
        Action    = "iam:PassRole"
        Resource  = local._roles
        Condition = { StringEquals = { "iam:PassedToService" = "lambda.amazonaws.com" } }
      },
      {
        Sid      = "ManageQueues"
        Effect   = "Allow"
        Action   = ["sqs:CreateQueue", "sqs:DeleteQueue", "sqs:SetQueueAttributes", "sqs:TagQueue", "sqs:UntagQueue"]
        Resource = local._queues
      },
      {
        Sid    = "ManageBucketOfDocuments"
        Effect = "Allow"
        Action = [
          "s3:CreateBucket",
          "s3:DeleteBucket",
          "s3:DeleteBucketPolicy",
          "s3:PutBucketNotification",
          "s3:PutBucketPolicy",
          "s3:PutBucketPublicAccessBlock",
          "s3:PutBucketTagging",
          "s3:PutBucketVersioning",
          "s3:PutEncryptionConfiguration",
          "s3:PutLifecycleConfiguration",
        ]
        Resource = local._documents
      },
      {
        # CloudFormation creates it with the role's permissions.
        Sid    = "ManageVectorBucket"
        Effect = "Allow"
        Action = [
          "s3vectors:CreateVectorBucket",
          "s3vectors:DeleteVectorBucket",
          "s3vectors:GetVectorBucket",
          "s3vectors:ListTagsForResource",
          "s3vectors:TagResource",
          "s3vectors:UntagResource",
        ]
        Resource = "${local._s3_vectors}:bucket/${local._vectors_named}"
      },
      {
        Sid    = "ManageDatabase"
        Effect = "Allow"
        Action = [
          "rds:AddTagsToResource",
          "rds:CreateDBCluster",
          "rds:CreateDBClusterParameterGroup",
          "rds:CreateDBInstance",
          "rds:CreateDBSubnetGroup",
          "rds:DeleteDBCluster",
          "rds:DeleteDBClusterParameterGroup",
          "rds:DeleteDBInstance",
          "rds:DeleteDBSubnetGroup",
          "rds:ModifyDBCluster",
          "rds:ModifyDBClusterParameterGroup",
          "rds:ModifyDBInstance",
          "rds:ModifyDBSubnetGroup",
          "rds:RemoveTagsFromResource",
        ]
        Resource = [
          for kind in ["cluster", "cluster-pg", "cluster-snapshot", "db", "subgrp"] :
          "${local._rds}:${kind}:${local._vectors_named}"
        ]
      },
      {
        # RDS requires an option group, although Aurora has none.
        Sid      = "UseOptionGroups"
        Effect   = "Allow"
        Action   = ["rds:CreateDBCluster", "rds:CreateDBInstance", "rds:ModifyDBCluster", "rds:ModifyDBInstance"]
        Resource = "${local._rds}:og:*"
      },
      {
        # RDS creates the password with the role's permissions, which do not include reading it. Only AWS can set tags
        # in "aws:".
        Sid       = "MakeDatabaseSecret"
        Effect    = "Allow"
        Action    = ["secretsmanager:CreateSecret", "secretsmanager:TagResource"]
        Resource  = "${local._secrets}:rds!cluster-*"
        Condition = { "ForAllValues:StringLike" = { "aws:TagKeys" = "aws:*" } }
      },
      {
        # An ingestion creates its value.
        Sid    = "ManageReaderSecret"
        Effect = "Allow"
        Action = [
          "secretsmanager:CreateSecret",
          "secretsmanager:DeleteSecret",
          "secretsmanager:TagResource",
          "secretsmanager:UntagResource",
          "secretsmanager:UpdateSecret",
        ]
        Resource = local._reader_secret
      },
      {
        Sid       = "MakeDatabasesRole"
        Effect    = "Allow"
        Action    = "iam:CreateServiceLinkedRole"
        Resource  = "${local._service_roles}/${local._database_role}"
        Condition = { StringEquals = { "iam:AWSServiceName" = "rds.amazonaws.com" } }
      },
      {
        Sid    = "ManagePipelineLogGroups"
        Effect = "Allow"
        Action = [
          "logs:CreateLogGroup",
          "logs:DeleteLogGroup",
          "logs:DeleteRetentionPolicy",
          "logs:PutRetentionPolicy",
          "logs:TagResource",
          "logs:UntagResource",
        ]
        Resource = local._pipeline_logs
      },
      {
        # Lambda describes the VPC with the role's permissions. EC2's Describe actions support no resource.
        Sid      = "LookAtVpcs"
        Effect   = "Allow"
        Action   = "ec2:DescribeVpcs"
        Resource = "*"
      },
    ]
  }
}

resource "aws_iam_policy" "pipeline" {
  for_each = local._pipeline_statements

  name        = "${var.name}-github-${each.key}-pipeline"
  description = "Lets GitHub Actions ${each.key} the document pipeline of ${var.name}"

  policy = jsonencode({ Version = "2012-10-17", Statement = each.value })
}

resource "aws_iam_role_policy_attachment" "pipeline" {
  for_each = {
    apply      = { policy = "apply", role = "apply" }
    apply-read = { policy = "plan", role = "apply" }
    plan       = { policy = "plan", role = "plan" }
  }

  policy_arn = aws_iam_policy.pipeline[each.value.policy].arn
  role       = aws_iam_role.github[each.value.role].name
}
