locals {
  _content_hash = sha256(jsonencode(var.content))

  name = "${var.config_name}-${substr(sha256("${local._content_hash} ${terraform_data.deployment.id}"), 0, 8)}"
}

# Settings that return to earlier values get a new name, too: after SageMaker has rolled back a deployment, the earlier
# configuration is still in use, and its name is taken.
resource "terraform_data" "deployment" {
  triggers_replace = local._content_hash
}

# SageMaker would create the group on the first log line, without a retention period and unknown to Terraform.
resource "aws_cloudwatch_log_group" "embeddings" {
  #checkov:skip=CKV_AWS_158:CloudWatch encrypts logs with its own key, and the containers log no texts
  #checkov:skip=CKV_AWS_338:Serving logs are for operation; log_retention_days = 365 keeps them for a year
  name              = "/aws/sagemaker/Endpoints/${var.endpoint_name}"
  retention_in_days = var.log_retention_days
  tags              = var.tags
}
