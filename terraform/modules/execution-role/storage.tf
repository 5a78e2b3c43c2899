# Permissions for the data of asynchronous inference and data capture.

locals {
  _writes = [for path in var.storage.write_paths : regex("^s3://(?P<bucket>[^/]+)/(?P<prefix>.*?)/*$", path)]
  _reads  = [for path in var.storage.read_paths : regex("^s3://(?P<bucket>[^/]+)/(?P<prefix>.*?)/*$", path)]

  _storage_statements = concat(
    [
      for statement in [
        {
          Sid      = "ReadRequests"
          Effect   = "Allow"
          Action   = "s3:GetObject"
          Resource = [for path in local._reads : "arn:${local._partition}:s3:::${path.bucket}/${path.prefix}/*"]
        },
        {
          # Uploads over 5 MB have parts, and an interrupted one must be aborted.
          Sid      = "WriteAnswers"
          Effect   = "Allow"
          Action   = ["s3:AbortMultipartUpload", "s3:PutObject"]
          Resource = [for path in local._writes : "arn:${local._partition}:s3:::${path.bucket}/${path.prefix}/*"]
        },
        {
          Sid      = "TellOfAnswers"
          Effect   = "Allow"
          Action   = "sns:Publish"
          Resource = var.storage.topic_arns
        },
      ] : statement if length(statement.Resource) > 0
    ],
    [
      for statement in [
        {
          Sid      = "UseKey"
          Effect   = "Allow"
          Action   = ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"]
          Resource = var.storage.kms_key_arn
        },
        {
          # The instances' volumes need the grant, which this condition restricts to AWS services.
          Sid       = "GrantKeyToVolumes"
          Effect    = "Allow"
          Action    = "kms:CreateGrant"
          Resource  = var.storage.kms_key_arn
          Condition = { Bool = { "kms:GrantIsForAWSResource" = "true" } }
        },
      ] : statement if var.storage.kms_key_arn != null
    ],
  )
}
