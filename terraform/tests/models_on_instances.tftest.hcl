# Models on instances: with a GPU, in a VPC, with network isolation.

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
  model         = { hub_id = "BAAI/bge-m3" }
  name          = "alex-embedding-model"
}

run "tei_for_cpus" {
  command = plan
  module { source = "./modules/huggingface-model" }

  assert {
    condition = (
      data.aws_sagemaker_prebuilt_ecr_image.container[0].repository_name == "tei-cpu" &&
      output.hardware == "cpu"
    )
    error_message = "By default, the image must be the one for CPUs."
  }
  assert {
    condition = (
      length(aws_sagemaker_model.embeddings.vpc_config) == 0 &&
      !aws_sagemaker_model.embeddings.enable_network_isolation
    )
    error_message = "The model must not be in a VPC or isolated unless told to."
  }
}

run "tei_for_gpus" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    hardware = "gpu"
  }

  assert {
    condition = (
      data.aws_sagemaker_prebuilt_ecr_image.container[0].repository_name == "tei" &&
      data.aws_sagemaker_prebuilt_ecr_image.container[0].image_tag == "2.0.1-tei1.9.3-gpu-py310-cu129-ubuntu24.04"
    )
    error_message = "On a GPU, TEI's GPU image must run."
  }
}

run "artifact_on_a_gpu" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    hardware = "gpu"
    model    = { artifact = "s3://my-models/minilm/model.tar.gz" }
  }

  assert {
    condition = (
      data.aws_sagemaker_prebuilt_ecr_image.container[0].image_tag ==
      "2.6.0-transformers4.51.3-gpu-py312-cu124-ubuntu22.04"
    )
    error_message = "On a GPU, the huggingface container's GPU image must run."
  }
}

run "network_isolation" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model             = { artifact = "s3://my-models/minilm/model.tar.gz" }
    network_isolation = true
  }

  assert {
    condition = (
      aws_sagemaker_model.embeddings.enable_network_isolation &&
      output.name != run.artifact_on_a_gpu.name
    )
    error_message = "The containers must be isolated, with another model."
  }
}

run "in_a_vpc" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    vpc = { security_group_ids = ["sg-1"], subnet_ids = ["subnet-1", "subnet-2"] }
  }

  assert {
    condition = (
      aws_sagemaker_model.embeddings.vpc_config[0].subnets == toset(["subnet-1", "subnet-2"]) &&
      aws_sagemaker_model.embeddings.vpc_config[0].security_group_ids == toset(["sg-1"])
    )
    error_message = "The containers must be attached to the subnets with the group."
  }
  assert {
    condition     = !module.security_group.created && output.name != run.tei_for_cpus.name
    error_message = "No group must be created if one is given, and the model must be another."
  }
  assert {
    condition = strcontains(
      module.execution_role[0].policy_json,
      "arn:aws:ec2:us-east-1:123456789012:subnet/subnet-2",
    )
    error_message = "The role must be able to create interfaces there."
  }
}

run "in_a_vpc_with_a_created_group" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    vpc = { subnet_ids = ["subnet-1"] }
  }

  assert {
    condition = (
      module.security_group.created &&
      length(output.vpc.security_group_ids) == 1
    )
    error_message = "A group must be created."
  }
}

run "in_an_inference_component" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    component_name = "alex-embedding-component"
    vpc            = { security_group_ids = ["sg-1"], subnet_ids = ["subnet-1"] }
  }

  assert {
    condition = (
      length(aws_sagemaker_model.embeddings.vpc_config) == 0 &&
      output.vpc.subnet_ids == tolist(["subnet-1"])
    )
    error_message = "An inference component must use its endpoint's network."
  }
  assert {
    condition = strcontains(
      module.execution_role[0].policy_json,
      "log-group:/aws/sagemaker/InferenceComponents/alex-embedding-component",
    )
    error_message = "The role must be allowed to write the component's logs."
  }
}

run "unknown_hardware" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    hardware = "tpu"
    model    = { hub_id = "a/b" }
  }

  expect_failures = [var.hardware]
}

run "hub_model_with_network_isolation" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model             = { hub_id = "a/b" }
    network_isolation = true
  }

  expect_failures = [var.network_isolation]
}

run "vpc_without_subnets" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = { hub_id = "a/b" }
    vpc   = { security_group_ids = ["sg-1"], subnet_ids = [] }
  }

  expect_failures = [var.vpc]
}

run "security_group_by_name" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = { hub_id = "a/b" }
    vpc   = { security_group_ids = ["default"], subnet_ids = ["subnet-1"] }
  }

  expect_failures = [var.vpc]
}
