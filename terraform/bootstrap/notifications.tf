# The key of the root's topic for notifications. An apply must not create keys: a role that may create keys
# with tags may tag every key of the account, and policies can grant the use of a key by its tags.

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
        Principal = { Service = local._publishers }
        Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource  = "*"
        Condition = { StringEquals = { "aws:SourceAccount" = local._account } }
      },
    ]
  })
}
