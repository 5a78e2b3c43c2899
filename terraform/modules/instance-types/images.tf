# Images that do not run on an instance type, by patterns of their URIs.

locals {
  _refusals = {
    aws = {
      pattern = "/(tei|tei-cpu|huggingface-pytorch-inference)[:@]"
      remedy = join(" ", [
        join(" ", [
          "AWS's embedding containers support x86_64 and NVIDIA GPUs.",
          "Graviton, Inferentia and Trainium instances need a",
        ]),
        "custom image (model.image); otherwise use ml.c7i, ml.m7i, ml.g4dn, ml.g5 or ml.g6.",
      ])
    }
    cpu = {
      pattern = "[:/._-]cpu([._:-]|$)"
      remedy = join(" ", [
        "An image for CPUs does not use the GPU.",
        "Use the GPU image, or a CPU instance such as ml.c7i.xlarge.",
      ])
    }
    gpu = {
      pattern = "([:/._-](gpu|cuda[0-9.]*|cu1[0-9]{2})([._-]|$))|/tei:"
      remedy = join(" ", [
        "A GPU image does not run on an instance without a GPU.",
        "Use a GPU instance such as ml.g4dn.xlarge, or the image for CPUs.",
      ])
    }
    tei = {
      pattern = "/tei[:@]"
      remedy = join(" ", [
        "Text Embeddings Inference needs a GPU of the Turing generation or newer, and ml.p2 and ml.p3 are older.",
        "Use ml.g4dn.xlarge, ml.g5.xlarge or ml.g6.xlarge.",
      ])
    }
  }

  _refused = {
    for family in keys(local._families) : family => [
      for refusal, applies in {
        aws = local._architecture[family] == "arm64" || local._hardware[family] == "neuron"
        cpu = local._hardware[family] == "gpu"
        gpu = local._hardware[family] != "gpu"
        # TEI supports neither Kepler (p2) nor Volta (p3).
        tei = contains(["p2", "p3"], family)
      } : local._refusals[refusal] if applies
    ]
  }
}
