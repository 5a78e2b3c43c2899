locals {
  # Tags are pinned, because another image can change vectors.
  images = {
    huggingface = {
      cpu = { repository = "huggingface-pytorch-inference", tag = "2.6.0-transformers4.51.3-cpu-py312-ubuntu22.04" }
      gpu = {
        repository = "huggingface-pytorch-inference"
        tag        = "2.6.0-transformers4.51.3-gpu-py312-cu124-ubuntu22.04"
      }
    }
    tei = {
      cpu = { repository = "tei-cpu", tag = "2.0.1-tei1.8.2-cpu-py310-ubuntu22.04" }
      gpu = { repository = "tei", tag = "2.0.1-tei1.8.2-gpu-py310-cu122-ubuntu22.04" }
    }
  }

  # Regions with all images, from the SageMaker Python SDK (image_uris in sagemaker-core 2.27.0).
  regions = [
    "af-south-1",
    "ap-east-1",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-south-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ca-central-1",
    "ca-west-1",
    "cn-north-1",
    "cn-northwest-1",
    "eu-central-1",
    "eu-central-2",
    "eu-north-1",
    "eu-south-1",
    "eu-south-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-gov-east-1",
    "us-gov-west-1",
    "us-iso-east-1",
    "us-isob-east-1",
    "us-west-1",
    "us-west-2",
  ]
}
