# The log group and the configuration name of serverless and real-time endpoints.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

# A fixed id, so that names can be compared.
override_resource {
  target          = terraform_data.deployment
  override_during = plan
  values          = { id = "11111111-2222-3333-4444-555555555555" }
}

variables {
  config_name        = "alex-embedding-config"
  content            = { model_name = "alex-embedding-model-0a1b2c3d", serverless = { memory_mb = 2048 } }
  endpoint_name      = "alex-embedding-endpoint"
  log_retention_days = 30
}

run "config" {
  command = plan
  module { source = "./modules/endpoint-config" }

  assert {
    condition = (
      aws_cloudwatch_log_group.embeddings.name == "/aws/sagemaker/Endpoints/alex-embedding-endpoint" &&
      aws_cloudwatch_log_group.embeddings.retention_in_days == 30
    )
    error_message = "The logs must be kept for 30 days, in the group that SageMaker writes to."
  }
  assert {
    condition     = can(regex("^alex-embedding-config-[0-9a-f]{8}$", output.name))
    error_message = "The configuration must be called <config_name>-<hash>."
  }
}

run "config_of_other_content" {
  command = plan
  module { source = "./modules/endpoint-config" }

  variables {
    content = { model_name = "alex-embedding-model-0a1b2c3d", serverless = { memory_mb = 3072 } }
  }

  assert {
    condition     = output.name != run.config.name
    error_message = "Other content must lead to another name."
  }
}
