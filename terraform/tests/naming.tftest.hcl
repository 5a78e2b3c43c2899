# Names, and the settings that change them.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

# A fixed id, so that names can be compared.
override_resource {
  target          = module.model["embedding"].terraform_data.deployment
  override_during = plan
  values          = { id = "11111111-2222-3333-4444-555555555555" }
}

override_resource {
  target          = module.serverless_endpoint["embedding"].module.config.terraform_data.deployment
  override_during = plan
  values          = { id = "11111111-2222-3333-4444-555555555555" }
}

variables {
  name = "alex"
  endpoints = {
    embedding = {
      model      = { hub_id = "sentence-transformers/all-MiniLM-L6-v2" }
      serverless = { memory_mb = 2048, max_concurrency = 10 }
    }
  }
}

run "derived_from_name_and_key" {
  command = plan

  assert {
    condition     = output.endpoint_names == { embedding = "alex-embedding-endpoint" }
    error_message = "The endpoint must be called <name>-<key>-endpoint."
  }
  assert {
    condition     = can(regex("^alex-embedding-model-[0-9a-f]{8}$", output.model_names["embedding"]))
    error_message = "The model must be called <name>-<key>-model-<hash>."
  }
  assert {
    condition     = can(regex("^alex-embedding-config-[0-9a-f]{8}$", output.endpoints["embedding"].config_name))
    error_message = "The configuration must be called <name>-<key>-config-<hash>."
  }
  assert {
    condition     = output.role_arns == { embedding = "arn:aws:iam::123456789012:role/alex-embedding-role" }
    error_message = "The role must be called <name>-<key>-role."
  }
  assert {
    condition     = output.endpoints["embedding"].log_group_name == "/aws/sagemaker/Endpoints/alex-embedding-endpoint"
    error_message = "The log group must be the one that SageMaker writes to."
  }
}

run "endpoint_name_overrides_only_the_endpoint" {
  command = plan

  variables {
    endpoints = {
      embedding = {
        endpoint_name = "pbl-development-dev-embeddings"
        model         = { hub_id = "sentence-transformers/all-MiniLM-L6-v2" }
        serverless    = {}
      }
    }
  }

  assert {
    condition     = output.endpoint_names["embedding"] == "pbl-development-dev-embeddings"
    error_message = "endpoint_name must be the endpoint's name."
  }
  assert {
    condition = (
      output.endpoints["embedding"].log_group_name ==
      "/aws/sagemaker/Endpoints/pbl-development-dev-embeddings"
    )
    error_message = "The log group must follow the endpoint's name."
  }
  assert {
    condition     = startswith(output.model_names["embedding"], "alex-embedding-model-")
    error_message = "The other names must not change."
  }
}

run "neither_tags_nor_log_retention_change_a_name" {
  command = plan

  variables {
    environment = "prod"
    tags        = { CostCenter = "research" }
    endpoints = {
      embedding = {
        log_retention_days = 90
        model              = { hub_id = "sentence-transformers/all-MiniLM-L6-v2" }
        serverless         = { memory_mb = 2048, max_concurrency = 10 }
      }
    }
  }

  assert {
    condition = (
      output.endpoints["embedding"].model_name ==
      run.derived_from_name_and_key.endpoints["embedding"].model_name
    )
    error_message = "Neither must change the model's name, or it would be replaced."
  }
  assert {
    condition = (
      output.endpoints["embedding"].config_name ==
      run.derived_from_name_and_key.endpoints["embedding"].config_name
    )
    error_message = "Neither must change the configuration's name, or the endpoint would be updated."
  }
}

run "memory_changes_only_the_configuration" {
  command = plan

  variables {
    endpoints = {
      embedding = {
        model      = { hub_id = "sentence-transformers/all-MiniLM-L6-v2" }
        serverless = { memory_mb = 3072, max_concurrency = 10 }
      }
    }
  }

  assert {
    condition = (
      output.endpoints["embedding"].config_name !=
      run.derived_from_name_and_key.endpoints["embedding"].config_name
    )
    error_message = "Another memory size must lead to another configuration."
  }
  assert {
    condition = (
      output.endpoints["embedding"].model_name ==
      run.derived_from_name_and_key.endpoints["embedding"].model_name
    )
    error_message = "Another memory size must not change the model."
  }
  assert {
    condition     = output.endpoints["embedding"].name == run.derived_from_name_and_key.endpoints["embedding"].name
    error_message = "The endpoint must stay, to be updated in place."
  }
}

run "container_environment_changes_model_and_configuration" {
  command = plan

  variables {
    endpoints = {
      embedding = {
        model = {
          hub_id      = "sentence-transformers/all-MiniLM-L6-v2"
          environment = { MAX_BATCH_TOKENS = "8192" }
        }
        serverless = { memory_mb = 2048, max_concurrency = 10 }
      }
    }
  }

  assert {
    condition = (
      output.endpoints["embedding"].model_name !=
      run.derived_from_name_and_key.endpoints["embedding"].model_name
    )
    error_message = "Another environment must lead to another model."
  }
  assert {
    condition = (
      output.endpoints["embedding"].config_name !=
      run.derived_from_name_and_key.endpoints["embedding"].config_name
    )
    error_message = "Another model must lead to another configuration."
  }
}

run "token_changes_the_model" {
  command = plan

  variables {
    hub_token = "hf_0123456789"
  }

  assert {
    condition = (
      output.endpoints["embedding"].model_name !=
      run.derived_from_name_and_key.endpoints["embedding"].model_name
    )
    error_message = "A new token must reach the container by a new model."
  }
  assert {
    condition     = !strcontains(jsonencode(output.endpoints), "hf_0123456789")
    error_message = "Outputs must not contain the token."
  }
}
