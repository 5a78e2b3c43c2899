locals {
  variant = "AllTraffic"
}

module "config" {
  source = "../endpoint-config"

  config_name        = coalesce(var.config_name, var.name)
  endpoint_name      = var.name
  log_retention_days = var.log_retention_days
  tags               = var.tags

  content = {
    model_name   = var.model.name
    serverless   = var.serverless
    variant_name = local.variant
  }
}

resource "aws_sagemaker_endpoint_configuration" "embeddings_serverless" {
  #checkov:skip=CKV_AWS_98:The key is for the volume of an instance, and serverless endpoints have none
  name = module.config.name
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
    # A configuration cannot be changed, and the endpoint needs the old one until it uses the new one.
    create_before_destroy = true
  }
}

resource "aws_sagemaker_endpoint" "embeddings" {
  name                 = var.name
  endpoint_config_name = aws_sagemaker_endpoint_configuration.embeddings_serverless.name
  tags                 = var.tags

  # The log group must exist before the first container writes to it.
  depends_on = [module.config]

  lifecycle {
    # If the new container does not start, SageMaker returns to the old configuration and reports InService, which the
    # provider takes for success. Failing here also keeps the old configuration.
    postcondition {
      condition = self.endpoint_config_name == aws_sagemaker_endpoint_configuration.embeddings_serverless.name
      error_message = join(" ", [
        "SageMaker rolled ${var.name} back to ${self.endpoint_config_name},",
        "because the new model or configuration did not start.",
        "Read the log group /aws/sagemaker/Endpoints/${var.name}.",
      ])
    }
  }
}
