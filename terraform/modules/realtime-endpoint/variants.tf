variable "variants" {
  description = <<-EOT
    The fleets behind the endpoint by name; more than one share the traffic by weight. Per fleet: model (takes the
    huggingface-model module as it is), instance_type, instance_count to start with, startup_timeout_s to download
    and load the model in, volume_gb where the default is too small, and inference_ami, the host's image, which is
    picked by the container image's CUDA version up to 12.4 where it is left out.
  EOT
  type = map(object({
    inference_ami  = optional(string)
    instance_count = optional(number, 1)
    instance_type  = string
    model = object({
      image_uri = optional(string, "")
      name      = string
    })
    startup_timeout_s = optional(number, 600)
    volume_gb         = optional(number)
    weight            = optional(number, 1)
  }))
  nullable = false

  validation {
    condition     = length(var.variants) >= 1 && length(var.variants) <= 10
    error_message = "${var.name}: an endpoint has 1 to 10 variants, and ${length(var.variants)} are given."
  }
  validation {
    condition     = alltrue([for name in keys(var.variants) : can(regex("^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}$", name))])
    error_message = "${var.name}: names of variants must have up to 63 letters, digits and hyphens, with no hyphen at either end."
  }
  validation {
    condition     = alltrue([for variant in values(var.variants) : contains(keys(local._types), variant.instance_type)])
    error_message = "${var.name}: ${join(", ", [for variant in values(var.variants) : variant.instance_type if !contains(keys(local._types), variant.instance_type)])} is no instance type of SageMaker endpoints. ${anytrue([for variant in values(var.variants) : variant.instance_type == "ml.g4dn.large"]) ? "The smallest g4dn is ml.g4dn.xlarge: use ml.g4dn.xlarge." : "Write, for example, ml.g5.xlarge (GPU) or ml.c7i.xlarge (CPU)."}"
  }
  validation {
    condition     = alltrue(flatten([for variant in values(var.variants) : [for refusal in try(local._types[variant.instance_type].refused, []) : !can(regex(refusal.pattern, variant.model.image_uri))]]))
    error_message = "${var.name}: ${join(" ", distinct(flatten([for name, variant in var.variants : [for refusal in try(local._types[variant.instance_type].refused, []) : "The image of ${name} is not for ${variant.instance_type}. ${refusal.remedy}" if can(regex(refusal.pattern, variant.model.image_uri))]])))}"
  }
  validation {
    # The provider's oldest version that is allowed knows no host of Amazon Linux 2023, and would say so in its own words.
    condition     = alltrue([for variant in values(var.variants) : variant.inference_ami != null || !startswith(lookup(module.instance_types.inference_amis, try(regex("-(cu1[0-9]{2})-", variant.model.image_uri)[0], ""), ""), "al2023-")])
    error_message = "${var.name}: ${join(", ", [for name, variant in var.variants : name if variant.inference_ami == null && startswith(lookup(module.instance_types.inference_amis, try(regex("-(cu1[0-9]{2})-", variant.model.image_uri)[0], ""), ""), "al2023-")])}: an image for CUDA 12.9 or newer needs the host al2023-ami-sagemaker-inference-gpu-4-1, which version 5 of the AWS provider does not know. Take an image for CUDA 12.4 or older, as the default image_tag is; or, with a newer provider (terraform init -upgrade), write inference_ami = \"al2023-ami-sagemaker-inference-gpu-4-1\"."
  }
  validation {
    condition     = alltrue([for variant in values(var.variants) : variant.instance_count >= 1 && floor(variant.instance_count) == variant.instance_count])
    error_message = "${var.name}: instance_count must be a whole number of at least 1. For none while nobody asks, use scale_to_zero or serverless instead of realtime."
  }
  validation {
    condition     = alltrue([for variant in values(var.variants) : variant.weight >= 0]) && anytrue([for variant in values(var.variants) : variant.weight > 0])
    error_message = "${var.name}: weights must be 0 or more, and one of them more than 0: traffic is shared in their proportion."
  }
  validation {
    condition     = alltrue([for variant in values(var.variants) : variant.startup_timeout_s >= 60 && variant.startup_timeout_s <= 3600 && floor(variant.startup_timeout_s) == variant.startup_timeout_s])
    error_message = "${var.name}: startup_timeout_s must be whole seconds from 60 to 3600."
  }
  validation {
    condition     = alltrue([for variant in values(var.variants) : variant.volume_gb == null ? true : variant.volume_gb >= 1 && variant.volume_gb <= 512 && !try(local._types[variant.instance_type].local_storage, false)])
    error_message = "${var.name}: volume_gb must be from 1 to 512, and must be left out where the instance has disks of its own, as g4dn, g5 and g6 have."
  }
}
