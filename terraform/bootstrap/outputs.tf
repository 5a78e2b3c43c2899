output "backend" {
  description = "Content of terraform/backend.tf, which stores the root's state in the bucket."
  value       = <<-EOT
    terraform {
      backend "s3" {
        bucket       = "${aws_s3_bucket.state.id}"
        encrypt      = true
        key          = "${var.name}/terraform.tfstate"
        region       = "${local._region}"
        use_lockfile = true
      }
    }
  EOT
}

output "github_variables" {
  description = "GitHub repository variables of the workflows."
  value = { for name, value in {
    AWS_APPLY_ROLE_ARN       = aws_iam_role.github["apply"].arn
    AWS_PLAN_ROLE_ARN        = aws_iam_role.github["plan"].arn
    AWS_REGION               = local._region
    NOTIFICATIONS_KEY_ARN    = one(aws_kms_key.notifications[*].arn)
    PERMISSIONS_BOUNDARY_ARN = aws_iam_policy.boundary.arn
    ROLE_PATH                = local._role_path
    STATE_BUCKET             = aws_s3_bucket.state.id
    STATE_KEY                = "${var.name}/terraform.tfstate"
  } : name => value if value != null }
}

output "notifications_key_arn" {
  description = "ARN of the key of the topic for notifications, for the root's variable notifications_key_arn."
  value       = one(aws_kms_key.notifications[*].arn)
}

output "permissions_boundary" {
  description = "ARN of the permissions boundary, for the root's variable permissions_boundary."
  value       = aws_iam_policy.boundary.arn
}

output "role_path" {
  description = "Path of the roles that an apply may create, for the root's variable role_path."
  value       = local._role_path
}
