# The four kinds of model.

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
  endpoint_name = "alex-embedding-endpoint"
  name          = "alex-embedding-model"
}

run "hub_model_runs_in_tei" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = { hub_id = "sentence-transformers/all-MiniLM-L6-v2" }
  }

  assert {
    condition = (
      output.container == "tei" &&
      data.aws_sagemaker_prebuilt_ecr_image.container[0].repository_name == "tei-cpu"
    )
    error_message = "A Hub model must run in TEI for CPUs."
  }
  assert {
    condition = (
      data.aws_sagemaker_prebuilt_ecr_image.container[0].image_tag ==
      "2.0.1-tei1.9.3-cpu-py310-ubuntu24.04"
    )
    error_message = "TEI must be pinned."
  }
  assert {
    condition = aws_sagemaker_model.embeddings.primary_container[0].environment == tomap({
      AUTO_TRUNCATE         = "false"
      HF_MODEL_ID           = "sentence-transformers/all-MiniLM-L6-v2"
      HF_TASK               = "feature-extraction"
      HUGGINGFACE_HUB_CACHE = "/opt/ml/model"
    })
    error_message = "TEI must truncate nothing silently, and have model, task and a cache that it can write to."
  }
  assert {
    condition     = aws_sagemaker_model.embeddings.primary_container[0].model_data_url == null
    error_message = "A Hub model has no artifact."
  }
  assert {
    condition = (
      output.hub_id == "sentence-transformers/all-MiniLM-L6-v2" &&
      output.artifact_size_gb == null &&
      output.image_size_gb == null
    )
    error_message = "A Hub model must have no known size."
  }
}

run "another_revision_is_a_new_model" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = {
      hub_id   = "sentence-transformers/all-MiniLM-L6-v2"
      revision = "c9745ed1d9f207416be6d2e6f8de32d1f16199bf"
    }
  }

  assert {
    condition     = output.name != run.hub_model_runs_in_tei.name
    error_message = "Another revision must lead to another model."
  }
}

run "former_settings_are_a_new_model" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = { hub_id = "sentence-transformers/all-MiniLM-L6-v2" }
  }

  override_resource {
    target          = terraform_data.deployment
    override_during = plan
    values          = { id = "22222222-3333-4444-5555-666666666666" }
  }

  assert {
    condition     = output.name != run.hub_model_runs_in_tei.name
    error_message = "Former settings must not reuse the name of a model that may still exist."
  }
}

run "hub_model_is_configurable" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    hub_token = "hf_0123456789"
    model = {
      hub_id      = "BAAI/bge-m3"
      environment = { HUGGINGFACE_HUB_CACHE = "/tmp", MAX_BATCH_TOKENS = "8192" }
      image_tag   = "2.0.1-tei1.8.2-cpu-py310-ubuntu22.04"
      revision    = "refs/pr/2"
      size_gb     = 2.3
      task        = "sentence-similarity"
    }
  }

  assert {
    condition = nonsensitive(aws_sagemaker_model.embeddings.primary_container[0].environment) == tomap({
      HF_MODEL_ID           = "BAAI/bge-m3"
      HF_MODEL_REVISION     = "refs/pr/2"
      HF_TASK               = "sentence-similarity"
      HF_TOKEN              = "hf_0123456789"
      HUGGINGFACE_HUB_CACHE = "/tmp"
      MAX_BATCH_TOKENS      = "8192"
    })
    error_message = "Revision, task, token and further variables must reach the container."
  }
  assert {
    condition     = !contains(keys(output.environment), "HF_TOKEN")
    error_message = "The environment in the output must not contain the token."
  }
  assert {
    condition = (
      data.aws_sagemaker_prebuilt_ecr_image.container[0].image_tag ==
      "2.0.1-tei1.8.2-cpu-py310-ubuntu22.04"
    )
    error_message = "image_tag must select the release."
  }
  assert {
    condition     = output.artifact_size_gb == 2.3
    error_message = "size_gb must be taken as the size of the model's files."
  }
}

run "release_decides_about_truncation" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = { hub_id = "BAAI/bge-m3", image_tag = "2.0.1-tei1.10.0-cpu-py310-ubuntu24.04", max_tokens = 8192 }
  }

  assert {
    condition = (
      output.environment["AUTO_TRUNCATE"] == "false" &&
      !contains(keys(output.environment), "MAX_BATCH_TOKENS") &&
      !contains(keys(run.hub_model_is_configurable.environment), "AUTO_TRUNCATE")
    )
    error_message = "AUTO_TRUNCATE must be false from 1.9 on, also in releases that the table does not list."
  }
}

run "environment_overrides_the_release" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = {
      hub_id      = "Qwen/Qwen3-Embedding-0.6B"
      environment = { AUTO_TRUNCATE = "true", MAX_BATCH_TOKENS = "8192" }
      max_tokens  = 32768
    }
  }

  assert {
    condition = (
      output.environment["AUTO_TRUNCATE"] == "true" &&
      output.environment["MAX_BATCH_TOKENS"] == "8192"
    )
    error_message = "model.environment must replace the variables that are set for the release."
  }
}

run "unknown_facts_do_not_change_the_model" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = {
      hub_id     = "sentence-transformers/all-MiniLM-L6-v2"
      dimensions = 384
      kind       = "embedding"
      max_tokens = 256
      prompts    = { query = "query: " }
    }
  }

  assert {
    condition     = output.name == run.hub_model_runs_in_tei.name
    error_message = "What only clients read must not replace the model."
  }
}

run "hub_model_in_the_huggingface_container" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = { hub_id = "sentence-transformers/all-MiniLM-L6-v2", container = "huggingface" }
  }

  assert {
    condition = (
      output.container == "huggingface" &&
      data.aws_sagemaker_prebuilt_ecr_image.container[0].repository_name == "huggingface-pytorch-inference"
    )
    error_message = "The model must run in the huggingface container."
  }
  assert {
    condition = (
      data.aws_sagemaker_prebuilt_ecr_image.container[0].image_tag ==
      "2.6.0-transformers4.51.3-cpu-py312-ubuntu22.04"
    )
    error_message = "The HuggingFace container must be pinned."
  }
  assert {
    condition = aws_sagemaker_model.embeddings.primary_container[0].environment == tomap({
      HF_MODEL_ID                    = "sentence-transformers/all-MiniLM-L6-v2"
      HF_TASK                        = "feature-extraction"
      SAGEMAKER_MODEL_SERVER_WORKERS = "1"
    })
    error_message = "The toolkit must be given the model, the task and one worker."
  }
}

run "artifact_runs_in_the_huggingface_container" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    hub_token = "hf_0123456789"
    model     = { artifact = "s3://my-models/minilm/model.tar.gz" }
  }

  assert {
    condition = (
      output.container == "huggingface" &&
      data.aws_sagemaker_prebuilt_ecr_image.container[0].repository_name == "huggingface-pytorch-inference"
    )
    error_message = "An artifact must run in the HuggingFace container."
  }
  assert {
    condition = (
      aws_sagemaker_model.embeddings.primary_container[0].model_data_url ==
      "s3://my-models/minilm/model.tar.gz"
    )
    error_message = "The artifact must be the model's data."
  }
  assert {
    condition = (
      nonsensitive(aws_sagemaker_model.embeddings.primary_container[0].environment) ==
      tomap({ SAGEMAKER_MODEL_SERVER_WORKERS = "1" })
    )
    error_message = "An artifact needs neither HF_MODEL_ID, which hides its handler, nor a token."
  }
  assert {
    condition = (
      data.aws_s3_object.artifact[0].bucket == "my-models" &&
      data.aws_s3_object.artifact[0].key == "minilm/model.tar.gz"
    )
    error_message = "The artifact must be looked up."
  }
  assert {
    condition     = format("%.3f", output.artifact_size_gb) == "0.085"
    error_message = "The artifact's size must be the one in S3."
  }
}

run "new_content_under_the_same_key_is_a_new_model" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = { artifact = "s3://my-models/minilm/model.tar.gz" }
  }

  override_data {
    target          = data.aws_s3_object.artifact
    override_during = plan
    values          = { content_length = 91226112, etag = "another" }
  }

  assert {
    condition     = output.name != run.artifact_runs_in_the_huggingface_container.name
    error_message = "The artifact's ETag must be part of the hash."
  }
}

run "artifact_with_size_gb_is_not_looked_up" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = { artifact = "s3://my-models/minilm/model.tar.gz", size_gb = 0.2 }
  }

  assert {
    condition     = length(data.aws_s3_object.artifact) == 0 && output.artifact_size_gb == 0.2
    error_message = "size_gb must replace the look-up."
  }
}

run "custom_image" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = {
      environment = { LOG_LEVEL = "info" }
      image       = "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/embedstack:1.2.0"
    }
  }

  assert {
    condition = (
      output.container == "custom" &&
      output.image_uri == "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/embedstack:1.2.0"
    )
    error_message = "A custom image must run unchanged."
  }
  assert {
    condition     = aws_sagemaker_model.embeddings.primary_container[0].environment == tomap({ LOG_LEVEL = "info" })
    error_message = "A custom image must receive only its own variables."
  }
  assert {
    condition = (
      data.aws_ecr_image.own[0].registry_id == "123456789012" &&
      data.aws_ecr_image.own[0].repository_name == "team/embedstack" &&
      data.aws_ecr_image.own[0].image_tag == "1.2.0"
    )
    error_message = "The image must be looked up."
  }
  assert {
    condition     = output.image_size_gb == 1 && output.artifact_size_gb == null
    error_message = "The image's size must be the one in ECR."
  }
}

run "custom_image_by_digest" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = {
      image = join(":", [
        "123456789012.dkr.ecr.us-east-1.amazonaws.com/embedstack@sha256",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
      ])
    }
  }

  assert {
    condition = (
      data.aws_ecr_image.own[0].image_tag == null &&
      data.aws_ecr_image.own[0].repository_name == "embedstack"
    )
    error_message = "The image must be looked up by its digest."
  }
}

run "custom_image_with_size_gb_is_not_looked_up" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = { image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/embedstack:1.2.0", size_gb = 3.5 }
  }

  assert {
    condition     = length(data.aws_ecr_image.own) == 0 && output.image_size_gb == 3.5
    error_message = "size_gb must replace the look-up."
  }
}

run "model_runs_under_its_own_role" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model     = { hub_id = "sentence-transformers/all-MiniLM-L6-v2" }
    role_name = "alex-embedding-role"
  }

  assert {
    condition = (
      aws_sagemaker_model.embeddings.execution_role_arn ==
      "arn:aws:iam::123456789012:role/alex-embedding-role"
    )
    error_message = "The model must run under the role made for it."
  }
}

run "tags_name_the_model" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = { hub_id = "BAAI/bge-m3", revision = "5617a9f61b028005a4858fdac845db406aefb181" }
    tags  = { Team = "search" }
  }

  assert {
    condition = aws_sagemaker_model.embeddings.tags == tomap({
      "embedstack:model-id"       = "BAAI/bge-m3"
      "embedstack:model-revision" = "5617a9f61b028005a4858fdac845db406aefb181"
      Team                        = "search"
    })
    error_message = "The model's tags must name it."
  }
}

run "tags_name_the_model_in_an_artifact" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = { artifact = "s3://my-models/minilm/model.tar.gz", model_id = "sentence-transformers/all-MiniLM-L6-v2" }
  }

  assert {
    condition = (
      (
        aws_sagemaker_model.embeddings.tags ==
        tomap({ "embedstack:model-id" = "sentence-transformers/all-MiniLM-L6-v2" })
      ) &&
      output.identity_tags == aws_sagemaker_model.embeddings.tags
    )
    error_message = "The model's tags must name the artifact's model."
  }
  assert {
    condition = (
      lookup(aws_sagemaker_model.embeddings.primary_container[0].environment, "HF_MODEL_ID", null) == null &&
      output.model_id == "sentence-transformers/all-MiniLM-L6-v2" &&
      output.hub_id == null
    )
    error_message = "The container must serve the artifact."
  }
}

run "artifact_without_a_handler" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = { artifact = "s3://my-models/minilm/model.tar.gz", size_gb = 0.1, task = "feature-extraction" }
  }

  assert {
    condition = output.environment == tomap({
      HF_TASK                        = "feature-extraction"
      SAGEMAKER_MODEL_SERVER_WORKERS = "1"
    })
    error_message = "The task must select the container's pipeline."
  }
}

run "existing_role" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = { hub_id = "a/b", role_arn = "arn:aws:iam::123456789012:role/service-role/shared" }
  }

  assert {
    condition = (
      aws_sagemaker_model.embeddings.execution_role_arn == "arn:aws:iam::123456789012:role/service-role/shared" &&
      output.role_arn == "arn:aws:iam::123456789012:role/service-role/shared" &&
      length(module.execution_role) == 0
    )
    error_message = "The model must use the existing role, and no other must be created."
  }
}
