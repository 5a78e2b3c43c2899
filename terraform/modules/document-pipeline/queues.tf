# The queue of documents and its dead-letter queue. Their policies refer to each other, and so use composed ARNs.

locals {
  _sqs_arn          = "arn:${local._partition}:sqs:${local._region}:${local._account}"
  _queue_arn        = "${local._sqs_arn}:${var.name}-ingest"
  _dead_letters_arn = "${local._sqs_arn}:${var.name}-dead-letters"

  _refuse_plain_text = {
    for queue in [local._queue_arn, local._dead_letters_arn] : queue => {
      Sid       = "RefusePlainText"
      Effect    = "Deny"
      Principal = "*"
      Action    = "sqs:*"
      Resource  = queue
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }
  }
}

resource "aws_sqs_queue" "ingest" {
  name = "${var.name}-ingest"
  # A message that expires is a lost document, and the alarm on the queue's age has a week to prevent that. A message
  # keeps its age when it moves to the dead-letter queue, where it stays for one of the two weeks at least.
  message_retention_seconds = 604800
  receive_wait_time_seconds = 20
  tags                      = var.tags
  # Six times the function's timeout, as AWS recommends, so that a throttled batch is not received twice, plus the
  # batch window.
  visibility_timeout_seconds = 6 * var.ingest.timeout_s + var.ingest.batch_window_s

  kms_data_key_reuse_period_seconds = var.kms_key_arn == null ? null : 300
  kms_master_key_id                 = var.kms_key_arn
  sqs_managed_sse_enabled           = var.kms_key_arn == null ? true : null

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        # Prevents a bucket of the same name in another account from sending messages.
        Sid       = "SendFromBucket"
        Effect    = "Allow"
        Principal = { Service = "s3.amazonaws.com" }
        Action    = "sqs:SendMessage"
        Resource  = local._queue_arn
        Condition = {
          ArnEquals    = { "aws:SourceArn" = local._bucket_arn }
          StringEquals = { "aws:SourceAccount" = local._account }
        }
      },
      local._refuse_plain_text[local._queue_arn],
    ]
  })
  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead_letters.arn
    maxReceiveCount     = var.ingest.max_receives
  })
}

resource "aws_sqs_queue" "dead_letters" {
  name                      = "${var.name}-dead-letters"
  message_retention_seconds = 1209600
  tags                      = var.tags

  kms_data_key_reuse_period_seconds = var.kms_key_arn == null ? null : 300
  kms_master_key_id                 = var.kms_key_arn
  sqs_managed_sse_enabled           = var.kms_key_arn == null ? true : null

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [local._refuse_plain_text[local._dead_letters_arn]]
  })
  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [local._queue_arn]
  })
}
