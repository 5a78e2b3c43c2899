# One role for the function, and one for the schedule, which may only invoke the function.

resource "aws_iam_role" "function" {
  name                 = var.name
  description          = "Assumed by the function ${var.name}"
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

resource "aws_iam_role_policy" "function" {
  name = "function"
  role = aws_iam_role.function.name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          Sid      = "WriteLogs"
          Effect   = "Allow"
          Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
          Resource = "${local._log_group_arn}:log-stream:*"
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
          { Sid = "UseKey", Effect = "Allow", Action = "kms:Decrypt", Resource = var.kms_key_arn },
        ] : statement if var.kms_key_arn != null
      ],
      var.statements,
    )
  })
}

resource "aws_iam_role" "schedule" {
  name                 = "${var.name}-schedule"
  description          = "Assumed by EventBridge Scheduler to invoke ${var.name}"
  path                 = var.role_path
  permissions_boundary = var.permissions_boundary
  tags                 = var.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "AllowScheduler"
        Effect    = "Allow"
        Principal = { Service = "scheduler.amazonaws.com" }
        Action    = "sts:AssumeRole"
        # AWS asks for the group's ARN here; that of the schedule would be rejected when the schedule is created.
        Condition = {
          ArnLike = {
            "aws:SourceArn" = join(":", [
              "arn:${local._partition}:scheduler:${local._region}:${local._account}",
              "schedule-group/default",
            ])
          }
          StringEquals = { "aws:SourceAccount" = local._account }
        }
      },
    ]
  })
}

resource "aws_iam_role_policy" "schedule" {
  name = "schedule"
  role = aws_iam_role.schedule.name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        { Sid = "InvokeFunction", Effect = "Allow", Action = "lambda:InvokeFunction", Resource = local._arn },
        { Sid = "KeepUndelivered", Effect = "Allow", Action = "sqs:SendMessage", Resource = local._queue_arn },
      ],
      [
        for statement in [
          {
            # For the schedule and the messages of the queue.
            Sid      = "UseKey"
            Effect   = "Allow"
            Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
            Resource = var.kms_key_arn
          },
        ] : statement if var.kms_key_arn != null
      ],
    )
  })
}
