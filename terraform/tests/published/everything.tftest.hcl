# All resources of the root, created by a mocked provider. Tests compare policies and templates with AWS's definitions:
# terraform test -test-directory=tests/published -json -verbose

mock_provider "aws" {
  source = "./tests/mocks"
}

# The image differs on GPUs.
override_data {
  target = module.model["asleep"].data.aws_sagemaker_prebuilt_ecr_image.container[0]
  values = {
    registry_path = "683313688378.dkr.ecr.us-east-1.amazonaws.com/tei:2.0.1-tei1.9.3-gpu-py310-cu129-ubuntu24.04"
  }
}

override_data {
  target = module.model["search"].data.aws_sagemaker_prebuilt_ecr_image.container[0]
  values = {
    registry_path = "683313688378.dkr.ecr.us-east-1.amazonaws.com/tei:2.0.1-tei1.8.2-gpu-py310-cu122-ubuntu22.04"
  }
}

variables {
  name        = "alex"
  environment = "production"

  permissions_boundary = "arn:aws:iam::123456789012:policy/alex-boundary"
  role_path            = "/embedstack/alex/"

  alarms        = {}
  budget        = {}
  dashboard     = true
  notifications = { emails = ["operator@example.com"] }
  vector_store = {
    s3_vectors = { kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/0a1b2c3d-0000-4000-8000-000000000000" }
  }

  pipeline = {
    endpoint       = "asleep-on-cpus"
    ingest_package = "tests/fixtures/function.zip"
    kms_key_arn    = "arn:aws:kms:us-east-1:123456789012:key/0a1b2c3d-0000-4000-8000-000000000000"
    model          = "sentence-transformers/all-MiniLM-L6-v2"
    search_package = "tests/fixtures/function.zip"
    vpc            = { subnet_ids = ["subnet-0123456789abcdef0"] }
  }

  endpoints = {
    asleep = {
      model         = { hub_id = "BAAI/bge-m3" }
      scale_to_zero = { instance_type = "ml.g4dn.xlarge" }
    }
    asleep-on-cpus = {
      model         = { artifact = "s3://my-models/minilm/model.tar.gz" }
      scale_to_zero = { instance_type = "ml.c7i.xlarge", cpu_cores = 1.5, max = 3 }
    }
    asleep-with-key = {
      kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/0a1b2c3d-0000-4000-8000-000000000000"
      model       = { artifact = "s3://my-models/minilm/model.tar.gz" }
      scale_to_zero = {
        data_cache          = true
        instance_types      = ["ml.c7i.xlarge", "ml.m7i.xlarge"]
        provision_timeout_s = 900
        scale_in            = {}
      }
    }
    asleep-in-vpc = {
      kms_key_arn       = "arn:aws:kms:us-east-1:123456789012:key/0a1b2c3d-0000-4000-8000-000000000000"
      model             = { image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/embeddings:1" }
      network_isolation = true
      scale_to_zero     = { instance_type = "ml.p3.2xlarge" }
      vpc               = { subnet_ids = ["subnet-0123456789abcdef0"], security_group_ids = ["sg-0123456789abcdef0"] }
    }
    embedding = {
      model      = { hub_id = "sentence-transformers/all-MiniLM-L6-v2" }
      serverless = {}
    }
    queue = {
      kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/0a1b2c3d-0000-4000-8000-000000000000"
      model       = { artifact = "s3://my-models/minilm/model.tar.gz" }
      vpc         = { subnet_ids = ["subnet-0123456789abcdef0"] }
      realtime = {
        instance_type = "ml.c7i.xlarge"
        async = {
          error_topic_arn   = "arn:aws:sns:us-east-1:123456789012:errors"
          failure_path      = "s3://my-queue/failures"
          input_path        = "s3://my-queue/requests"
          output_path       = "s3://my-queue/answers"
          success_topic_arn = "arn:aws:sns:us-east-1:123456789012:answers"
        }
      }
    }
    search = {
      data_capture = { path = "s3://my-captures/search" }
      model        = { hub_id = "BAAI/bge-m3" }
      realtime = {
        deployment    = {}
        instance_type = "ml.g4dn.xlarge"
        variants = {
          candidate = { instance_type = "ml.c7i.xlarge", model = { hub_id = "BAAI/bge-small-en-v1.5" } }
        }
      }
    }
  }
}

run "everything" {
  assert {
    condition     = length(output.endpoint_names) == length(var.endpoints)
    error_message = "Every endpoint must exist."
  }
}
