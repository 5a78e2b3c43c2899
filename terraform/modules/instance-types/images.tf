# Which images do not go with which instances, by what their addresses say, and which host an image needs.

locals {
  _refusals = {
    aws = {
      pattern = "/(tei|tei-cpu|huggingface-pytorch-inference)[:@]"
      remedy  = "AWS's embedding containers are built for x86_64 and NVIDIA. Graviton, Inferentia and Trainium instances need an image of your own (model.image); otherwise take ml.c7i, ml.m7i, ml.g4dn, ml.g5 or ml.g6."
    }
    cpu = {
      pattern = "[:/._-]cpu([._:-]|$)"
      remedy  = "An image for CPUs leaves the GPU idle that is paid for. Take the GPU image, or a CPU instance such as ml.c7i.xlarge."
    }
    gpu = {
      pattern = "([:/._-](gpu|cuda[0-9.]*|cu1[0-9]{2})([._-]|$))|/tei:"
      remedy  = "A GPU image does not run on an instance without a GPU. Take a GPU instance such as ml.g4dn.xlarge, or the image for CPUs."
    }
    tei = {
      pattern = "/tei[:@]"
      remedy  = "Text Embeddings Inference needs a GPU of the Turing generation or newer, and ml.p2 and ml.p3 are older. Take ml.g4dn.xlarge, ml.g5.xlarge or ml.g6.xlarge."
    }
  }

  _refused = {
    for family in keys(local._families) : family => [
      for refusal, applies in {
        aws = local._architecture[family] == "arm64" || local._hardware[family] == "neuron"
        cpu = local._hardware[family] == "gpu"
        gpu = local._hardware[family] != "gpu"
        # It has kernels for neither Kepler (p2) nor Volta (p3).
        tei = contains(["p2", "p3"], family)
      } : local._refusals[refusal] if applies
    ]
  }

  # What an image's CUDA needs of the host's driver, where the default host (535, CUDA 12.2) is too old for it.
  inference_amis = {
    cu124 = "al2-ami-sagemaker-inference-gpu-3-1"
    cu129 = "al2023-ami-sagemaker-inference-gpu-4-1"
    cu130 = "al2023-ami-sagemaker-inference-gpu-4-1"
  }
}
