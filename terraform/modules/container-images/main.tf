locals {
  # Releases of Text Embeddings Inference (TEI) that AWS publishes for SageMaker: CUDA version of the GPU image, Ubuntu
  # version in the tags, and whether long texts of requests without "truncate" are truncated by default.
  # Sources: huggingface-tei.json of the SageMaker Python SDK, up to 1.8.2; docker/tei and docs/src/data of
  # github.com/aws/deep-learning-containers, 1.9.3.
  _tei_releases = {
    "1.2.3" = { cuda = "cu122", truncates_by_default = false, ubuntu = "22.04" }
    "1.4.0" = { cuda = "cu122", truncates_by_default = false, ubuntu = "22.04" }
    "1.6.0" = { cuda = "cu122", truncates_by_default = false, ubuntu = "22.04" }
    "1.7.0" = { cuda = "cu122", truncates_by_default = false, ubuntu = "22.04" }
    "1.8.0" = { cuda = "cu122", truncates_by_default = false, ubuntu = "22.04" }
    "1.8.2" = { cuda = "cu122", truncates_by_default = false, ubuntu = "22.04" }
    "1.9.3" = { cuda = "cu129", truncates_by_default = true, ubuntu = "24.04" }
  }
  # The newest release; pinned, because another one can change vectors.
  _tei_default = "1.9.3"

  tei_releases = {
    for version, release in local._tei_releases : version => {
      cuda = release.cuda
      image_tags = {
        cpu = "2.0.1-tei${version}-cpu-py310-ubuntu${release.ubuntu}"
        gpu = "2.0.1-tei${version}-gpu-py310-${release.cuda}-ubuntu${release.ubuntu}"
      }
      inference_ami        = lookup(local.inference_amis, release.cuda, null)
      truncates_by_default = release.truncates_by_default
    }
  }

  # Host images (InferenceAmiVersion) by the CUDA version of an image that needs one. AWS tests images for CUDA 12 on
  # driver 550 and for CUDA 13 on driver 580 (aws/deep-learning-containers, test/test_utils/constants.py): an image for
  # CUDA 12.9 did not start on driver 580 (pull request 6187). By default, hosts have driver 470 (g4dn and g5) or 535
  # (g6), which run images for CUDA 12.2.
  inference_amis = merge(
    { for minor in range(3, 10) : "cu12${minor}" => "al2-ami-sagemaker-inference-gpu-3-1" },
    { for minor in range(0, 10) : "cu13${minor}" => "al2023-ami-sagemaker-inference-gpu-4-1" },
  )

  images = {
    huggingface = {
      cpu = { repository = "huggingface-pytorch-inference", tag = "2.6.0-transformers4.51.3-cpu-py312-ubuntu22.04" }
      gpu = {
        repository = "huggingface-pytorch-inference"
        tag        = "2.6.0-transformers4.51.3-gpu-py312-cu124-ubuntu22.04"
      }
    }
    tei = {
      cpu = { repository = "tei-cpu", tag = local.tei_releases[local._tei_default].image_tags.cpu }
      gpu = { repository = "tei", tag = local.tei_releases[local._tei_default].image_tags.gpu }
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
