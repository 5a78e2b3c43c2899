# The serverless endpoint, and settings that it refuses.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

# A fixed id, so that names can be compared.
override_resource {
  target          = module.config.terraform_data.deployment
  override_during = plan
  values          = { id = "11111111-2222-3333-4444-555555555555" }
}

variables {
  model = { name = "alex-embedding-model-0a1b2c3d" }
  name  = "alex-embedding-endpoint"
}

run "defaults" {
  command = plan
  module { source = "./modules/serverless-endpoint" }

  assert {
    condition = (
      one(
        aws_sagemaker_endpoint_configuration.embeddings_serverless.production_variants[0].serverless_config,
      ).memory_size_in_mb ==
      2048
    )
    error_message = "The default memory must be 2048 MB."
  }
  assert {
    condition = (
      one(
        aws_sagemaker_endpoint_configuration.embeddings_serverless.production_variants[0].serverless_config,
      ).max_concurrency ==
      10
    )
    error_message = "The default concurrency must be 10."
  }
  assert {
    condition = (
      one(
        aws_sagemaker_endpoint_configuration.embeddings_serverless.production_variants[0].serverless_config,
      ).provisioned_concurrency ==
      null
    )
    error_message = "By default there must be no provisioned concurrency."
  }
  assert {
    condition     = output.log_group_name == "/aws/sagemaker/Endpoints/alex-embedding-endpoint"
    error_message = "The log group must be the one that SageMaker writes to."
  }
  assert {
    condition     = output.variant == "AllTraffic" && startswith(output.config_name, "alex-embedding-endpoint-")
    error_message = "The configuration must be named after the endpoint where it has no name of its own."
  }
  assert {
    condition     = aws_sagemaker_endpoint.embeddings.endpoint_config_name == output.config_name
    error_message = "The endpoint must run the configuration."
  }
}

run "provisioned_concurrency" {
  command = plan
  module { source = "./modules/serverless-endpoint" }

  variables {
    config_name        = "alex-embedding-config"
    log_retention_days = 365
    serverless         = { memory_mb = 6144, max_concurrency = 200, provisioned_concurrency = 200 }
  }

  assert {
    condition = (
      one(
        aws_sagemaker_endpoint_configuration.embeddings_serverless.production_variants[0].serverless_config,
      ).provisioned_concurrency ==
      200
    )
    error_message = "Provisioned concurrency may be as large as the maximum."
  }
  assert {
    condition = (
      startswith(output.config_name, "alex-embedding-config-") &&
      output.config_name != run.defaults.config_name
    )
    error_message = "config_name must name the configuration."
  }
}

run "sizes_at_the_limit" {
  command = plan
  module { source = "./modules/serverless-endpoint" }

  variables {
    model = {
      name             = "m"
      image_uri        = "123456789012.dkr.ecr.us-east-1.amazonaws.com/gpus-of-ours:cpu-1"
      image_size_gb    = 10
      artifact_size_gb = 5
    }
  }

  assert {
    condition     = output.name == "alex-embedding-endpoint"
    error_message = "10 GB of image and 5 GB of model are allowed."
  }
}

run "memory_between_steps" {
  command = plan
  module { source = "./modules/serverless-endpoint" }

  variables {
    serverless = { memory_mb = 2000 }
  }

  expect_failures = [var.serverless]
}

run "memory_over_the_limit" {
  command = plan
  module { source = "./modules/serverless-endpoint" }

  variables {
    serverless = { memory_mb = 8192 }
  }

  expect_failures = [var.serverless]
}

run "no_concurrency" {
  command = plan
  module { source = "./modules/serverless-endpoint" }

  variables {
    serverless = { max_concurrency = 0 }
  }

  expect_failures = [var.serverless]
}

run "concurrency_over_the_limit" {
  command = plan
  module { source = "./modules/serverless-endpoint" }

  variables {
    serverless = { max_concurrency = 201 }
  }

  expect_failures = [var.serverless]
}

run "fractional_concurrency" {
  command = plan
  module { source = "./modules/serverless-endpoint" }

  variables {
    serverless = { max_concurrency = 1.5 }
  }

  expect_failures = [var.serverless]
}

run "provisioned_concurrency_of_zero" {
  command = plan
  module { source = "./modules/serverless-endpoint" }

  variables {
    serverless = { provisioned_concurrency = 0 }
  }

  expect_failures = [var.serverless]
}

run "provisioned_over_maximum" {
  command = plan
  module { source = "./modules/serverless-endpoint" }

  variables {
    serverless = { max_concurrency = 5, provisioned_concurrency = 6 }
  }

  expect_failures = [var.serverless]
}

run "unsupported_log_retention" {
  command = plan
  module { source = "./modules/serverless-endpoint" }

  variables {
    log_retention_days = 31
  }

  expect_failures = [var.log_retention_days]
}

run "name_with_an_underscore" {
  command = plan
  module { source = "./modules/serverless-endpoint" }

  variables {
    config_name = "alex"
    name        = "alex_embedding"
  }

  expect_failures = [var.name]
}

run "name_too_long" {
  command = plan
  module { source = "./modules/serverless-endpoint" }

  variables {
    config_name = "alex"
    name        = "abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz-abcdefghij"
  }

  expect_failures = [var.name]
}

run "configuration_name_too_long" {
  command = plan
  module { source = "./modules/serverless-endpoint" }

  variables {
    config_name = "abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz-x"
  }

  expect_failures = [var.config_name]
}

run "gpu_image" {
  command = plan
  module { source = "./modules/serverless-endpoint" }

  variables {
    model = {
      name = "m"
      image_uri = join(":", [
        "763104351884.dkr.ecr.us-east-1.amazonaws.com/huggingface-pytorch-inference",
        "2.6.0-transformers4.51.3-gpu-py312-cu124-ubuntu22.04",
      ])
    }
  }

  expect_failures = [var.model]
}

run "tei_for_gpus" {
  command = plan
  module { source = "./modules/serverless-endpoint" }

  variables {
    model = { name = "m", image_uri = "683313688378.dkr.ecr.us-east-1.amazonaws.com/tei:2.0.1-tei1.8.2" }
  }

  expect_failures = [var.model]
}

run "image_over_10_gb" {
  command = plan
  module { source = "./modules/serverless-endpoint" }

  variables {
    model = { name = "m", image_size_gb = 13.6 }
  }

  expect_failures = [var.model]
}

run "model_files_over_5_gb" {
  command = plan
  module { source = "./modules/serverless-endpoint" }

  variables {
    model = { name = "m", artifact_size_gb = 5.1 }
  }

  expect_failures = [var.model]
}
