# One topic for all notifications, encrypted with a key that the publishing services may use. CloudWatch alarms cannot
# use AWS's managed key for SNS (alias/aws/sns): their notifications would be lost.

locals {
  _tells       = var.alarms != null || var.budget != null
  _makes_topic = local._tells && var.notifications.topic_arn == null

  topic_arn = local._makes_topic ? aws_sns_topic.embeddings[0].arn : var.notifications.topic_arn

  # Services that may publish, each for this account only.
  _publishers = {
    Alarms = {
      service = "cloudwatch.amazonaws.com"
      source  = "arn:${local._partition}:cloudwatch:${local._region}:${local._account}:alarm:${var.name}-*"
    }
    Anomalies = { service = "costalerts.amazonaws.com", source = "arn:${local._partition}:ce::${local._account}:*" }
    Budgets   = { service = "budgets.amazonaws.com", source = "arn:${local._partition}:budgets::${local._account}:*" }
  }
}

resource "aws_kms_key" "embeddings" {
  count = local._makes_topic && var.notifications.kms_key_arn == null ? 1 : 0

  description             = "Notifications of ${var.name}"
  deletion_window_in_days = 7
  enable_key_rotation     = true
  tags                    = var.tags

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        # Without this statement, the account's IAM policies could not allow managing the key. In a key's policy, the
        # resource "*" is the key itself.
        Sid       = "ManageByIam"
        Effect    = "Allow"
        Principal = { AWS = "arn:${local._partition}:iam::${local._account}:root" }
        Action    = "kms:*"
        Resource  = "*"
      },
      {
        Sid       = "EncryptNotifications"
        Effect    = "Allow"
        Principal = { Service = [for publisher in values(local._publishers) : publisher.service] }
        Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource  = "*"
        Condition = { StringEquals = { "aws:SourceAccount" = local._account } }
      },
    ]
  })
}

resource "aws_sns_topic" "embeddings" {
  count = local._makes_topic ? 1 : 0

  name              = "${var.name}-notifications"
  kms_master_key_id = coalesce(one(aws_kms_key.embeddings[*].arn), var.notifications.kms_key_arn)
  tags              = var.tags
}

resource "aws_sns_topic_policy" "embeddings" {
  count = local._makes_topic ? 1 : 0

  arn = aws_sns_topic.embeddings[0].arn

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        for name, publisher in local._publishers : {
          Sid       = "Publish${name}"
          Effect    = "Allow"
          Principal = { Service = publisher.service }
          Action    = "sns:Publish"
          Resource  = aws_sns_topic.embeddings[0].arn
          Condition = {
            ArnLike      = { "aws:SourceArn" = publisher.source }
            StringEquals = { "aws:SourceAccount" = local._account }
          }
        }
      ],
      [
        {
          Sid       = "RefusePlainText"
          Effect    = "Deny"
          Principal = "*"
          Action    = "sns:Publish"
          Resource  = aws_sns_topic.embeddings[0].arn
          Condition = { Bool = { "aws:SecureTransport" = "false" } }
        },
      ],
    )
  })
}

resource "aws_sns_topic_subscription" "embeddings" {
  for_each = local._makes_topic ? merge(
    { for address in var.notifications.emails : address => { endpoint = address, protocol = "email" } },
    var.notifications.subscriptions,
  ) : {}

  endpoint  = each.value.endpoint
  protocol  = each.value.protocol
  topic_arn = aws_sns_topic.embeddings[0].arn
}
