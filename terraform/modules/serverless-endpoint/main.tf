locals {
  _content = {
    model_name   = var.model.name
    serverless   = var.serverless
    variant_name = local.variant
  }
  _content_hash = sha256(jsonencode(local._content))

  config_name = "${coalesce(var.config_name, var.name)}-${substr(sha256("${local._content_hash} ${terraform_data.deployment.id}"), 0, 8)}"
  variant     = "AllTraffic"
}

# Makes the way back to former settings a new name too: after a deployment that SageMaker rolled back, the
# former configuration is still in use, and its name taken.
resource "terraform_data" "deployment" {
  triggers_replace = local._content_hash
}

# SageMaker would create the group on the first log line, without retention and beyond the reach of destroy.
resource "aws_cloudwatch_log_group" "embeddings" {
  #checkov:skip=CKV_AWS_158:CloudWatch encrypts logs with its own key, and the containers log no texts
  #checkov:skip=CKV_AWS_338:Serving logs are for operation; who needs a year sets log_retention_days = 365
  name              = "/aws/sagemaker/Endpoints/${var.name}"
  retention_in_days = var.log_retention_days
  tags              = var.tags
}

resource "aws_sagemaker_endpoint_configuration" "embeddings_serverless" {
  #checkov:skip=CKV_AWS_98:The key is for the volume of an instance, and serverless endpoints have none
  name = local.config_name
  tags = var.tags

  production_variants {
    model_name   = var.model.name
    variant_name = local.variant

    serverless_config {
      max_concurrency         = var.serverless.max_concurrency
      memory_size_in_mb       = var.serverless.memory_mb
      provisioned_concurrency = var.serverless.provisioned_concurrency
    }
  }

  lifecycle {
    # A configuration cannot be changed, and the endpoint needs the old one until it has moved to the new.
    create_before_destroy = true
  }
}

resource "aws_sagemaker_endpoint" "embeddings" {
  name                 = var.name
  endpoint_config_name = aws_sagemaker_endpoint_configuration.embeddings_serverless.name
  tags                 = var.tags

  depends_on = [aws_cloudwatch_log_group.embeddings]

  lifecycle {
    # When the new container does not come up, SageMaker goes back to the old configuration and reports
    # InService, which the provider takes for success. Failing here also keeps the old configuration alive.
    postcondition {
      condition     = self.endpoint_config_name == aws_sagemaker_endpoint_configuration.embeddings_serverless.name
      error_message = "SageMaker rolled ${var.name} back to ${self.endpoint_config_name}: the new model or configuration did not come up. See the log group /aws/sagemaker/Endpoints/${var.name}."
    }
  }
}
