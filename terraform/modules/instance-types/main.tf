# The instance types of real-time endpoints: the enum ProductionVariantInstanceType of SageMaker's API, by family.
# A list instead of a pattern, so that the plan rejects a size that does not exist.

locals {
  _families = {
    c4          = "large xlarge 2xlarge 4xlarge 8xlarge"
    c5          = "large xlarge 2xlarge 4xlarge 9xlarge 18xlarge"
    c5d         = "large xlarge 2xlarge 4xlarge 9xlarge 18xlarge"
    c6g         = "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge"
    c6gd        = "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge"
    c6gn        = "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge"
    c6i         = "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 32xlarge"
    c6in        = "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 32xlarge"
    c7g         = "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge"
    c7i         = "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 48xlarge"
    c8g         = "medium large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 48xlarge"
    dl1         = "24xlarge"
    g4dn        = "xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge"
    g5          = "xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 48xlarge"
    g6          = "xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 48xlarge"
    g6e         = "xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 48xlarge"
    g7          = "2xlarge 4xlarge 8xlarge 12xlarge 24xlarge 48xlarge"
    g7e         = "2xlarge 4xlarge 8xlarge 12xlarge 24xlarge 48xlarge"
    inf1        = "xlarge 2xlarge 6xlarge 24xlarge"
    inf2        = "xlarge 8xlarge 24xlarge 48xlarge"
    m4          = "xlarge 2xlarge 4xlarge 10xlarge 16xlarge"
    m5          = "large xlarge 2xlarge 4xlarge 12xlarge 24xlarge"
    m5d         = "large xlarge 2xlarge 4xlarge 12xlarge 24xlarge"
    m6g         = "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge"
    m6gd        = "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge"
    m6i         = "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 32xlarge"
    m7i         = "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 48xlarge"
    m8g         = "medium large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 48xlarge"
    p2          = "xlarge 8xlarge 16xlarge"
    p3          = "2xlarge 8xlarge 16xlarge"
    p4d         = "24xlarge"
    p4de        = "24xlarge"
    p5          = "4xlarge 48xlarge"
    p5e         = "48xlarge"
    p5en        = "48xlarge"
    "p6-b200"   = "48xlarge"
    "p6-b300"   = "48xlarge"
    "p6e-gb200" = "36xlarge"
    r5          = "large xlarge 2xlarge 4xlarge 12xlarge 24xlarge"
    r5d         = "large xlarge 2xlarge 4xlarge 12xlarge 24xlarge"
    r6g         = "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge"
    r6gd        = "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge"
    r6i         = "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 32xlarge"
    r7gd        = "medium large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge"
    r7i         = "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 48xlarge"
    r8g         = "medium large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 48xlarge"
    t2          = "medium large xlarge 2xlarge"
    trn1        = "2xlarge 32xlarge"
    trn1n       = "32xlarge"
    trn2        = "48xlarge"
  }

  # Families that need a custom image, compiled for them.
  _neuron = ["dl1", "inf1", "inf2", "trn1", "trn1n", "trn2"]

  # Number of GPUs of the sizes that have more than one.
  _gpus = {
    g4dn        = { "12xlarge" = 4 }
    g5          = { "12xlarge" = 4, "24xlarge" = 4, "48xlarge" = 8 }
    g6          = { "12xlarge" = 4, "24xlarge" = 4, "48xlarge" = 8 }
    g6e         = { "12xlarge" = 4, "24xlarge" = 4, "48xlarge" = 8 }
    g7          = { "8xlarge" = 2, "12xlarge" = 4, "24xlarge" = 4, "48xlarge" = 8 }
    g7e         = { "12xlarge" = 2, "24xlarge" = 4, "48xlarge" = 8 }
    p2          = { "8xlarge" = 8, "16xlarge" = 16 }
    p3          = { "8xlarge" = 4, "16xlarge" = 8 }
    p4d         = { "24xlarge" = 8 }
    p4de        = { "24xlarge" = 8 }
    p5          = { "48xlarge" = 8 }
    p5e         = { "48xlarge" = 8 }
    p5en        = { "48xlarge" = 8 }
    "p6-b200"   = { "48xlarge" = 8 }
    "p6-b300"   = { "48xlarge" = 8 }
    "p6e-gb200" = { "36xlarge" = 4 }
  }

  _architecture = {
    for family in keys(local._families) :
    family => can(regex("^([cmr]\\dg|p6e-gb)", family)) ? "arm64" : "x86_64"
  }
  _hardware = {
    for family in keys(local._families) : family => (
      contains(local._neuron, family) ? "neuron" :
      can(regex("^[gp]\\d", family)) ? "gpu" : "cpu"
    )
  }

  types = merge([
    for family, sizes in local._families : {
      for size in split(" ", sizes) : "ml.${family}.${size}" => {
        architecture = local._architecture[family]
        gpus         = local._hardware[family] == "gpu" ? lookup(lookup(local._gpus, family, {}), size, 1) : 0
        hardware     = local._hardware[family]
        # Local disks are encrypted by the hardware of the instance, not by a KMS key.
        local_storage = can(regex("^([cmr]5d|[cmr]\\dgd|g\\d|p[456]|trn|dl1)", family))
        refused       = local._refused[family]
      }
    }
  ]...)
}
