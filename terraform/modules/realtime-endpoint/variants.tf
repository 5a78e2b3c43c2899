variable "variants" {
  description = "The endpoint's variants by name, which share the traffic by weight."
  type = map(object({
    # Host image (InferenceAmiVersion); chosen by the container image's CUDA version up to 12.9.
    inference_ami = optional(string)
    # Instances to start with, and after every update.
    instance_count = optional(number, 1)
    # Instance type, such as ml.g4dn.xlarge (GPU) or ml.c7i.xlarge (CPU).
    instance_type = string
    # The model to serve; accepts a huggingface-model module.
    model = object({
      # URI of the container image, which must suit the instance type.
      image_uri = optional(string, "")
      # Name of the SageMaker model.
      name = string
    })
    # Seconds for the download and the start of the model, 60 to 3600.
    startup_timeout_s = optional(number, 600)
    # Size of each instance's volume, 1 to 512; not for instances with local disks.
    volume_gb = optional(number)
    # Share of the traffic in proportion to the other variants, a whole number.
    weight = optional(number, 1)
  }))
  nullable = false

  validation {
    condition     = length(var.variants) >= 1 && length(var.variants) <= 10
    error_message = "${var.name}: an endpoint has 1 to 10 variants; ${length(var.variants)} are set."
  }
  validation {
    condition = alltrue([for name in keys(var.variants) : can(regex("^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}$", name))])
    error_message = join(" ", [
      "${var.name}: variant names must have up to 63 letters, digits and hyphens, with no hyphen at either end.",
      "Names are: ${join(", ", keys(var.variants))}.",
    ])
  }
  validation {
    condition = alltrue([
      for variant in values(var.variants) :
      variant.instance_count >= 1 && floor(variant.instance_count) == variant.instance_count
    ])
    error_message = join(" ", [
      "${var.name}: instance_count must be a whole number of at least 1.",
      "To run no instance without traffic, use scale_to_zero or serverless instead of realtime.",
    ])
  }
  validation {
    # SageMaker stores weights in single precision, so that a plan after an apply would read 0.8 as 0.800000012, and
    # replace the configuration. Whole numbers are exact up to 2^24.
    condition = (
      alltrue([
        for variant in values(var.variants) :
        variant.weight >= 0 && variant.weight <= 1000000 && floor(variant.weight) == variant.weight
      ]) &&
      anytrue([for variant in values(var.variants) : variant.weight > 0])
    )
    error_message = join(" ", [
      "${var.name}: weights must be whole numbers from 0 to 1000000, and at least one of them more than 0.",
      "They share the traffic in proportion: use 4 and 1 instead of 0.8 and 0.2, because SageMaker rounds",
      "fractions.",
    ])
  }
  validation {
    condition = alltrue([
      for variant in values(var.variants) :
      (
        variant.startup_timeout_s >= 60 &&
        variant.startup_timeout_s <= 3600 &&
        floor(variant.startup_timeout_s) == variant.startup_timeout_s
      )
    ])
    error_message = "${var.name}: startup_timeout_s must be whole seconds from 60 to 3600."
  }
}

# Variants that cannot run, which the endpoint configuration checks. A validation of the variable could not refer to a
# local that reads the same variable.
locals {
  _unknown_instance_types = {
    for name, variant in var.variants : name => join(" ", [
      "${variant.instance_type} (${name}) is not an instance type of SageMaker endpoints.",
      variant.instance_type == "ml.g4dn.large" ? "The smallest g4dn is ml.g4dn.xlarge: use ml.g4dn.xlarge." :
      "Use, for example, ml.g5.xlarge (GPU) or ml.c7i.xlarge (CPU).",
    ]) if !contains(keys(local._types), variant.instance_type)
  }

  _unsupported_images = distinct(flatten([
    for name, variant in var.variants : [
      for refusal in try(local._types[variant.instance_type].refused, []) :
      "The image of ${name} does not run on ${variant.instance_type}. ${refusal.remedy}"
      if can(regex(refusal.pattern, variant.model.image_uri))
    ]
  ]))

  # The oldest supported provider rejects host images of Amazon Linux 2023, with a less helpful message.
  _unsupported_hosts = [
    for name, variant in var.variants : name if variant.inference_ami == null &&
    startswith(lookup(module.container_images.inference_amis, local._cuda[name], ""), "al2023-")
  ]

  _unsupported_volumes = [
    for name, variant in var.variants : name
    if variant.volume_gb == null ? false : (
      variant.volume_gb < 1 || variant.volume_gb > 512 || local._has_local_storage[name]
    )
  ]
}
