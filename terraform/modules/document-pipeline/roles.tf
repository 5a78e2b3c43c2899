# One role per function: only ingestion may write.

locals {
  _sagemaker = "arn:${local._partition}:sagemaker:${local._region}:${local._account}"
  # A request to an inference component needs permission for the component and its endpoint.
  _endpoint_arns = {
    for name, endpoint in { embedding = var.endpoint, reranker = var.reranker } :
    name => try(concat([endpoint.arn], formatlist("${local._sagemaker}:inference-component/%s", compact([
      endpoint.component_name,
    ]))), [])
  }

  _common_statements = concat(
    [
      {
        Sid      = "Embed"
        Effect   = "Allow"
        Action   = "sagemaker:InvokeEndpoint"
        Resource = local._endpoint_arns.embedding
      },
      {
        # These actions support no resource.
        Sid      = "Trace"
        Effect   = "Allow"
        Action   = ["xray:PutTelemetryRecords", "xray:PutTraceSegments"]
        Resource = "*"
      },
    ],
    [
      for statement in [
        {
          # Documents, messages and the environment.
          Sid      = "UseKey"
          Effect   = "Allow"
          Action   = "kms:Decrypt"
          Resource = var.kms_key_arn
        },
      ] : statement if var.kms_key_arn != null
    ],
    local._network_statements,
  )

  _rerank_statements = [
    for statement in [
      {
        Sid      = "Rerank"
        Effect   = "Allow"
        Action   = "sagemaker:InvokeEndpoint"
        Resource = local._endpoint_arns.reranker
      },
    ] : statement if var.reranker != null
  ]

  _ingest_statements = [
    {
      Sid      = "ReadDocuments"
      Effect   = "Allow"
      Action   = ["s3:GetObject", "s3:GetObjectTagging"]
      Resource = "${local._bucket_arn}/${var.bucket.prefix == null ? "" : var.bucket.prefix}*"
    },
    {
      # Without it, GetObject on a missing document returns 403 instead of 404. A condition on the prefix would not
      # match, because such a request has no prefix.
      Sid      = "KnowThatDocumentsAreGone"
      Effect   = "Allow"
      Action   = "s3:ListBucket"
      Resource = local._bucket_arn
    },
    {
      # Before its timeout, the function sends the rest of a document to its own queue.
      Sid    = "WorkOnQueue"
      Effect = "Allow"
      Action = [
        "sqs:ChangeMessageVisibility",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
        "sqs:ReceiveMessage",
        "sqs:SendMessage",
      ]
      Resource = local._queue_arn
    },
    {
      Sid      = "SetAside"
      Effect   = "Allow"
      Action   = "sqs:SendMessage"
      Resource = local._dead_letters_arn
    },
  ]

  _encrypting_statements = [
    for statement in [
      {
        # For messages that the function sends.
        Sid      = "EncryptMessages"
        Effect   = "Allow"
        Action   = "kms:GenerateDataKey"
        Resource = var.kms_key_arn
      },
    ] : statement if var.kms_key_arn != null
  ]

  _statements = {
    ingest = concat(
      local._common_statements,
      local._ingest_statements,
      local._encrypting_statements,
      var.vector_store.writing_statements,
    )
    search = concat(local._common_statements, local._rerank_statements, var.vector_store.reading_statements)
  }
}

resource "aws_iam_role" "functions" {
  for_each = toset(["ingest", "search"])

  name                 = "${var.name}-${each.key}"
  description          = "Assumed by the function ${var.name}-${each.key}"
  path                 = var.role_path
  permissions_boundary = var.permissions_boundary
  tags                 = var.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "AllowLambda"
        Effect    = "Allow"
        Principal = { Service = "lambda.amazonaws.com" }
        Action    = "sts:AssumeRole"
      },
    ]
  })
}

resource "aws_iam_role_policy" "functions" {
  for_each = aws_iam_role.functions

  name = each.key
  role = each.value.name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          Sid    = "WriteLogs"
          Effect = "Allow"
          Action = ["logs:CreateLogStream", "logs:PutLogEvents"]
          Resource = join(":", [
            "arn:${local._partition}:logs:${local._region}:${local._account}",
            "log-group:/aws/lambda/${var.name}-${each.key}",
            "log-stream:*",
          ])
        },
      ],
      local._statements[each.key],
    )
  })
}
