# The key of the root's topic for notifications. An apply must not create keys: whoever creates a key with tags may tag
# every key of the account, and tags can decide who may use a key.

locals {
  _publishers = ["budgets.amazonaws.com", "cloudwatch.amazonaws.com", "costalerts.amazonaws.com"]
}

resource "aws_kms_key" "notifications" {
  count = var.create_notifications_key ? 1 : 0

  description             = "Notifications of ${var.name}"
  deletion_window_in_days = 7
  enable_key_rotation     = true

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        # IAM policies of the account decide who manages the key; without this statement nobody could. In a key's
        # policy the resource is the key itself.
        Sid       = "ManageByIam"
        Effect    = "Allow"
        Principal = { AWS = "arn:${local._partition}:iam::${local._account}:root" }
        Action    = "kms:*"
        Resource  = "*"
      },
      {
        Sid       = "EncryptNotifications"
        Effect    = "Allow"
        Principal = { Service = local._publishers }
        Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource  = "*"
        Condition = { StringEquals = { "aws:SourceAccount" = local._account } }
      },
    ]
  })
}
