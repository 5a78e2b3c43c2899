# The images' addresses by the real provider, which computes them without a network.

provider "aws" {
  access_key                  = "test"
  region                      = "eu-central-1"
  secret_key                  = "test"
  skip_credentials_validation = true
  skip_requesting_account_id  = true
}

variables {
  endpoint_name = "alex-embedding-endpoint"
  name          = "alex-embedding-model"
}

override_data {
  target = module.execution_role.data.aws_caller_identity.current
  values = { account_id = "123456789012" }
}

run "tei" {
  command = plan
  module { source = "./modules/huggingface-model" }

  variables {
    model = { hub_id = "sentence-transformers/all-MiniLM-L6-v2" }
  }

  assert {
    condition     = output.image_uri == "492215442770.dkr.ecr.eu-central-1.amazonaws.com/tei-cpu:2.0.1-tei1.8.2-cpu-py310-ubuntu22.04"
    error_message = "TEI must be pulled from the region's own registry."
  }
  assert {
    condition     = strcontains(module.execution_role.policy_json, "arn:aws:ecr:eu-central-1:492215442770:repository/tei-cpu")
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
    condition     = output.image_uri == "763104351884.dkr.ecr.eu-central-1.amazonaws.com/huggingface-pytorch-inference:2.6.0-transformers4.51.3-cpu-py312-ubuntu22.04"
    error_message = "The HuggingFace container must be pulled from the region's own registry."
  }
}
