# Execution roles that are refused.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  endpoint_name = "alex-embedding-endpoint"
  image_uri     = "683313688378.dkr.ecr.us-east-1.amazonaws.com/tei-cpu:2.0.1-tei1.8.2-cpu-py310-ubuntu22.04"
  name          = "alex-embedding-role"
}

run "artifact_that_is_a_bucket" {
  command = plan
  module { source = "./modules/execution-role" }

  variables {
    artifact = "s3://my-models"
  }

  expect_failures = [var.artifact]
}

run "image_outside_ecr" {
  command = plan
  module { source = "./modules/execution-role" }

  variables {
    image_uri = "docker.io/team/embedstack:1.2.0"
  }

  expect_failures = [var.image_uri]
}

run "name_too_long" {
  command = plan
  module { source = "./modules/execution-role" }

  variables {
    name = "abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz-abcdefghijk"
  }

  expect_failures = [var.name]
}

run "boundary_without_an_arn" {
  command = plan
  module { source = "./modules/execution-role" }

  variables {
    permissions_boundary = "team-boundary"
  }

  expect_failures = [var.permissions_boundary]
}

run "path_without_slashes" {
  command = plan
  module { source = "./modules/execution-role" }

  variables {
    role_path = "embeddings"
  }

  expect_failures = [var.role_path]
}

run "output_path_without_a_prefix" {
  command = plan
  module { source = "./modules/execution-role" }

  variables {
    storage = { write_paths = ["s3://my-bucket"] }
  }

  expect_failures = [var.storage]
}

run "topic_without_an_arn" {
  command = plan
  module { source = "./modules/execution-role" }

  variables {
    storage = { topic_arns = ["failures"] }
  }

  expect_failures = [var.storage]
}

run "key_alias" {
  command = plan
  module { source = "./modules/execution-role" }

  variables {
    storage = { kms_key_arn = "alias/my-key" }
  }

  expect_failures = [var.storage]
}
