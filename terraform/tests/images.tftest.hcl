# Image URIs, which the real provider computes without a network.

provider "aws" {
  access_key                  = "test"
  region                      = "eu-central-1"
  secret_key                  = "test"
  skip_credentials_validation = true
  skip_requesting_account_id  = true
}

provider "aws" {
  alias                       = "mexico"
  access_key                  = "test"
  region                      = "mx-central-1"
  secret_key                  = "test"
  skip_credentials_validation = true
  skip_requesting_account_id  = true
}

variables {
  endpoint_name = "alex-embedding-endpoint"
  name          = "alex-embedding-model"
}

override_data {
  target = module.execution_role[0].data.aws_caller_identity.current
  values = { account_id = "123456789012" }
}

run "tei" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = { hub_id = "sentence-transformers/all-MiniLM-L6-v2" }
  }

  assert {
    condition = (
      output.image_uri ==
      "492215442770.dkr.ecr.eu-central-1.amazonaws.com/tei-cpu:2.0.1-tei1.9.3-cpu-py310-ubuntu24.04"
    )
    error_message = "TEI must be pulled from the region's own registry."
  }
  assert {
    condition = strcontains(
      module.execution_role[0].policy_json,
      "arn:aws:ecr:eu-central-1:492215442770:repository/tei-cpu",
    )
    error_message = "The role must be allowed to pull it."
  }
}

run "huggingface" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = { artifact = "s3://my-models/minilm/model.tar.gz", size_gb = 0.1 }
  }

  assert {
    condition = (
      output.image_uri ==
      join(":", [
        "763104351884.dkr.ecr.eu-central-1.amazonaws.com/huggingface-pytorch-inference",
        "2.6.0-transformers4.51.3-cpu-py312-ubuntu22.04",
      ])
    )
    error_message = "The HuggingFace container must be pulled from the region's own registry."
  }
}

run "tei_for_gpus" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    hardware = "gpu"
    model    = { hub_id = "BAAI/bge-m3" }
  }

  assert {
    condition = (
      output.image_uri ==
      "492215442770.dkr.ecr.eu-central-1.amazonaws.com/tei:2.0.1-tei1.9.3-gpu-py310-cu129-ubuntu24.04"
    )
    error_message = "TEI for GPUs must be pulled from the region's own registry."
  }
}

run "region_without_images" {
  command = plan
  module { source = "./modules/huggingface-model" }
  providers = { aws = aws.mexico }

  variables {
    model = { hub_id = "sentence-transformers/all-MiniLM-L6-v2" }
  }

  expect_failures = [data.aws_sagemaker_prebuilt_ecr_image.container]
}

run "region_without_images_with_a_custom_image" {
  command = plan
  module { source = "./modules/huggingface-model" }
  providers = { aws = aws.mexico }

  variables {
    model = { image = "123456789012.dkr.ecr.mx-central-1.amazonaws.com/embeddings:1", size_gb = 1 }
  }

  assert {
    condition     = output.image_uri == "123456789012.dkr.ecr.mx-central-1.amazonaws.com/embeddings:1"
    error_message = "A custom image must run in every region."
  }
}

run "instance_types" {
  command = plan
  module { source = "./modules/instance-types" }

  assert {
    condition = (
      [
        for type in [
          "ml.g4dn.xlarge",
          "ml.g5.xlarge",
          "ml.g6.xlarge",
          "ml.g6e.xlarge",
          "ml.p4d.24xlarge",
          "ml.p5.48xlarge",
        ] :
        output.types[type].hardware
      ] ==
      ["gpu", "gpu", "gpu", "gpu", "gpu", "gpu"]
    )
    error_message = "These types must have GPUs."
  }
  assert {
    condition = (
      [
        for type in ["ml.c7i.large", "ml.m7i.large", "ml.c6i.xlarge", "ml.t2.medium", "ml.c7g.large"] :
        "${output.types[type].hardware} ${output.types[type].architecture}"
      ] ==
      ["cpu x86_64", "cpu x86_64", "cpu x86_64", "cpu x86_64", "cpu arm64"]
    )
    error_message = "These types must have no GPU."
  }
  assert {
    condition = (
      [
        for type in [
          "ml.g4dn.xlarge",
          "ml.g5.xlarge",
          "ml.m5d.large",
          "ml.c6gd.large",
          "ml.c7i.large",
          "ml.m5.large",
          "ml.p3.2xlarge",
        ] :
        output.types[type].local_storage
      ] ==
      [true, true, true, true, false, false, false]
    )
    error_message = "The types must have local_storage."
  }
  assert {
    condition     = !contains(keys(output.types), "ml.g4dn.large") && length(output.types) == 277
    error_message = "ml.g4dn.large must not exist."
  }
}

run "releases_of_tei" {
  command = plan
  module { source = "./modules/container-images" }

  assert {
    condition = (
      output.tei_releases["1.8.2"] ==
      {
        cuda = "cu122"
        image_tags = {
          cpu = "2.0.1-tei1.8.2-cpu-py310-ubuntu22.04"
          gpu = "2.0.1-tei1.8.2-gpu-py310-cu122-ubuntu22.04"
        }
        inference_ami        = null
        truncates_by_default = false
      }
    )
    error_message = "TEI 1.8.2 must run on the default host, and truncate nothing by default."
  }
  assert {
    condition = (
      output.tei_releases["1.9.3"].cuda == "cu129" &&
      output.tei_releases["1.9.3"].inference_ami == "al2-ami-sagemaker-inference-gpu-3-1" &&
      output.tei_releases["1.9.3"].truncates_by_default
    )
    error_message = "TEI 1.9.3 must run on the host that AWS tests it on."
  }
  assert {
    condition = (
      output.images.tei.cpu.tag == output.tei_releases["1.9.3"].image_tags.cpu &&
      output.images.tei.gpu.tag == output.tei_releases["1.9.3"].image_tags.gpu
    )
    error_message = "The default must be the newest release."
  }
  assert {
    condition = (
      [for cuda in ["cu121", "cu122", "cu128", "cu130", "cu132"] : lookup(output.inference_amis, cuda, "default")] ==
      [
        "default",
        "default",
        "al2-ami-sagemaker-inference-gpu-3-1",
        "al2023-ami-sagemaker-inference-gpu-4-1",
        "al2023-ami-sagemaker-inference-gpu-4-1",
      ]
    )
    error_message = "CUDA 12 and 13 must select the host images that AWS tests them on."
  }
}
