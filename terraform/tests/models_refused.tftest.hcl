# Models that are refused.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  endpoint_name = "alex-embedding-endpoint"
  name          = "alex-embedding-model"
}

run "model_without_a_source" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = { environment = { A = "b" } }
  }

  expect_failures = [var.model]
}

run "model_with_two_sources" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = { hub_id = "a/b", artifact = "s3://my-models/model.tar.gz" }
  }

  expect_failures = [var.model]
}

run "hub_id_as_an_address" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = { hub_id = "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2" }
  }

  expect_failures = [var.model]
}

run "hub_id_with_a_space" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = { hub_id = "sentence-transformers/all MiniLM" }
  }

  expect_failures = [var.model]
}

run "uncompressed_artifact" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = { artifact = "s3://my-models/minilm/" }
  }

  expect_failures = [var.model]
}

run "artifact_without_tar_gz" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = { artifact = "s3://my-models/minilm/model.zip" }
  }

  expect_failures = [var.model]
}

run "artifact_as_a_local_path" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = { artifact = "./model.tar.gz" }
  }

  expect_failures = [var.model]
}

run "image_of_a_public_registry" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = { image = "docker.io/team/embedstack:1.2.0" }
  }

  expect_failures = [var.model]
}

run "image_without_a_tag" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = { image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/embedstack" }
  }

  expect_failures = [var.model]
}

run "unknown_container" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = { hub_id = "a/b", container = "triton" }
  }

  expect_failures = [var.model]
}

run "container_beside_an_artifact" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = { artifact = "s3://my-models/model.tar.gz", container = "tei" }
  }

  expect_failures = [var.model]
}

run "image_tag_beside_an_image" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = { image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/embedstack:1.2.0", image_tag = "1.3.0" }
  }

  expect_failures = [var.model]
}

run "revision_beside_an_artifact" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = { artifact = "s3://my-models/model.tar.gz", revision = "main" }
  }

  expect_failures = [var.model]
}

run "size_of_zero" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = { hub_id = "a/b", size_gb = 0 }
  }

  expect_failures = [var.model]
}

run "environment_with_an_invalid_name" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = { hub_id = "a/b", environment = { "MAX-TOKENS" = "1" } }
  }

  expect_failures = [aws_sagemaker_model.embeddings]
}

run "environment_with_a_long_value" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = { hub_id = "a/b", environment = { LONG = format("%1025s", "x") } }
  }

  expect_failures = [aws_sagemaker_model.embeddings]
}

run "environment_with_the_model" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = { artifact = "s3://my-models/model.tar.gz", environment = { HF_MODEL_ID = "a/b" } }
  }

  expect_failures = [var.model]
}

run "environment_with_a_token" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = { hub_id = "a/b", environment = { HF_API_TOKEN = "hf_0123456789" } }
  }

  expect_failures = [var.model]
}

run "environment_of_too_many_variables" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = { hub_id = "a/b", environment = { for i in range(98) : "V${i}" => "x" } }
  }

  expect_failures = [aws_sagemaker_model.embeddings]
}

run "environment_over_32_kb" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = { hub_id = "a/b", environment = { for i in range(40) : "V${i}" => format("%1000s", "x") } }
  }

  expect_failures = [aws_sagemaker_model.embeddings]
}

run "image_of_another_region" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = { image = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/embedstack:1.2.0" }
  }

  expect_failures = [aws_sagemaker_model.embeddings]
}

run "empty_token" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    hub_token = ""
    model     = { hub_id = "a/b" }
  }

  expect_failures = [var.hub_token]
}

run "name_too_long" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = { hub_id = "a/b" }
    name  = "abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz-m"
  }

  expect_failures = [var.name]
}

run "model_id_beside_hub_id" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = { hub_id = "a/b", model_id = "a/b" }
  }

  expect_failures = [var.model]
}

run "model_id_as_an_address" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = { artifact = "s3://my-models/model.tar.gz", model_id = "https://huggingface.co/a/b" }
  }

  expect_failures = [var.model]
}

run "unknown_kind" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = { hub_id = "a/b", kind = "rerank" }
  }

  expect_failures = [var.model]
}

run "dimensions_of_zero" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = { hub_id = "a/b", dimensions = 0 }
  }

  expect_failures = [var.model]
}

run "fractional_max_tokens" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = { hub_id = "a/b", max_tokens = 512.5 }
  }

  expect_failures = [var.model]
}

run "prompt_with_a_control_character" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = { hub_id = "a/b", prompts = { query = "query:\u0000" } }
  }

  expect_failures = [aws_sagemaker_model.embeddings]
}

run "long_prompt" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = { hub_id = "a/b", prompts = { document = join("", [for number in range(1001) : "a"]) } }
  }

  expect_failures = [aws_sagemaker_model.embeddings]
}

run "reranker_with_prompts" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = { hub_id = "a/b", kind = "reranker", prompts = { query = "query: " } }
  }

  expect_failures = [var.model]
}

run "reranker_with_dimensions" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = { hub_id = "a/b", kind = "reranker", dimensions = 1 }
  }

  expect_failures = [var.model]
}

run "reranker_in_the_huggingface_container" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = { hub_id = "a/b", kind = "reranker", container = "huggingface" }
  }

  expect_failures = [var.model]
}

run "task_in_the_environment_beside_an_artifact" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = { artifact = "s3://m/model.tar.gz", environment = { HF_TASK = "feature-extraction" }, size_gb = 1 }
  }

  expect_failures = [var.model]
}

run "task_beside_an_image" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = {
      image   = "123456789012.dkr.ecr.us-east-1.amazonaws.com/embeddings:1"
      size_gb = 1
      task    = "feature-extraction"
    }
  }

  expect_failures = [var.model]
}

run "role_by_name" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = { hub_id = "a/b", role_arn = "sagemaker-role" }
  }

  expect_failures = [var.model]
}
