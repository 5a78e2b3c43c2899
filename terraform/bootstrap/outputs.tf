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
  value = {
    AWS_APPLY_ROLE_ARN       = aws_iam_role.github["apply"].arn
    AWS_PLAN_ROLE_ARN        = aws_iam_role.github["plan"].arn
    AWS_REGION               = local._region
    PERMISSIONS_BOUNDARY_ARN = aws_iam_policy.boundary.arn
    STATE_BUCKET             = aws_s3_bucket.state.id
    STATE_KEY                = "${var.name}/terraform.tfstate"
  }
}

output "permissions_boundary" {
  description = "ARN of the permissions boundary, for the root's variable permissions_boundary."
  value       = aws_iam_policy.boundary.arn
}
