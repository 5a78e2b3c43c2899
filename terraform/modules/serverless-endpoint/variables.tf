variable "config_name" {
  description = "Name of the endpoint configuration, before its hash; defaults to the endpoint's name."
  type        = string
  default     = null

  validation {
    condition = (
      can(regex("^[a-zA-Z0-9](-*[a-zA-Z0-9])*$", coalesce(var.config_name, var.name))) &&
      length(coalesce(var.config_name, var.name)) <= 54
    )
    error_message = join(" ", [
      "The configuration's name \"${coalesce(var.config_name, var.name)}\" must have up to 54 letters, digits and",
      "hyphens, with no hyphen at either end: SageMaker accepts 63 and the hash needs 9.",
      "Set config_name if the endpoint's own name is longer.",
    ])
  }
}

variable "log_retention_days" {
  description = "Days for which logs are kept; 0 keeps them forever."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition = contains(
      [0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653],
      var.log_retention_days,
    )
    error_message = join(" ", [
      "${var.name}: log_retention_days must be a period that CloudWatch offers: 1, 3, 5, 7, 14, 30, 60, 90, 120,",
      "150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653 days, or 0 to keep logs forever.",
    ])
  }
}

variable "model" {
  description = "The model to serve; accepts a huggingface-model module."
  type = object({
    # Size of the model's files in GB; at most 5.
    artifact_size_gb = optional(number)
    # Size of the container image in GB; at most 10.
    image_size_gb = optional(number)
    # URI of the container image, which must be one for CPUs.
    image_uri = optional(string, "")
    # Name of the SageMaker model.
    name = string
  })
  nullable = false

  validation {
    condition = !can(regex("([:/._-](gpu|cuda[0-9.]*|cu1[0-9]{2})([._-]|$))|/tei:", var.model.image_uri))
    error_message = join(" ", [
      "${var.name}: ${var.model.image_uri} is a GPU image, and serverless endpoints have no GPU.",
      "Use the image for CPUs.",
    ])
  }
  validation {
    condition = coalesce(var.model.image_size_gb, 0) <= 10
    error_message = join(" ", [
      "${var.name}: the image has ${format("%.1f", coalesce(var.model.image_size_gb, 0))} GB, and serverless",
      "endpoints support images of up to 10 GB.",
      "Remove CUDA and the weights from it, or use a smaller model, such as sentence-transformers/all-MiniLM-L6-v2",
      "(0.1 GB).",
    ])
  }
  validation {
    condition = coalesce(var.model.artifact_size_gb, 0) <= 5
    error_message = join(" ", [
      "${var.name}: the model's files have ${format("%.1f", coalesce(var.model.artifact_size_gb, 0))} GB, and a",
      "serverless container has 5 GB of disk at any memory size.",
      "Use a smaller model, such as sentence-transformers/all-MiniLM-L6-v2 (0.1 GB).",
    ])
  }
}

variable "name" {
  description = "Name of the endpoint, which does not change with its model or configuration."
  type        = string
  nullable    = false

  validation {
    condition = can(regex("^[a-zA-Z0-9](-*[a-zA-Z0-9])*$", var.name)) && length(var.name) <= 63
    error_message = join(" ", [
      "The endpoint's name \"${var.name}\" must have up to 63 letters, digits and hyphens, with no hyphen at",
      "either end.",
    ])
  }
}

variable "serverless" {
  description = "Size of the endpoint."
  type = object({
    # Requests at the same time, 1 to 200; more are throttled.
    max_concurrency = optional(number, 10)
    # Memory, 1024 to 6144 in steps of 1024; CPU grows with it.
    memory_mb = optional(number, 2048)
    # Containers that stay warm and are billed by the hour; null keeps none.
    provisioned_concurrency = optional(number)
  })
  default  = {}
  nullable = false

  validation {
    condition = contains([1024, 2048, 3072, 4096, 5120, 6144], var.serverless.memory_mb)
    error_message = join(" ", [
      "${var.name}: serverless.memory_mb is ${var.serverless.memory_mb} and must be 1024, 2048, 3072, 4096, 5120",
      "or 6144.",
    ])
  }
  validation {
    condition = (
      var.serverless.max_concurrency >= 1 &&
      var.serverless.max_concurrency <= 200 &&
      floor(var.serverless.max_concurrency) == var.serverless.max_concurrency
    )
    error_message = join(" ", [
      "${var.name}: serverless.max_concurrency is ${var.serverless.max_concurrency} and must be a whole number",
      "from 1 to 200.",
    ])
  }
  validation {
    condition = (
      var.serverless.provisioned_concurrency == null ? true :
      var.serverless.provisioned_concurrency >= 1 &&
      var.serverless.provisioned_concurrency <= 200 &&
      floor(var.serverless.provisioned_concurrency) == var.serverless.provisioned_concurrency
    )
    error_message = join(" ", [
      "${var.name}: serverless.provisioned_concurrency must be a whole number from 1 to 200; remove it to keep no",
      "container warm.",
    ])
  }
  validation {
    condition = (
      var.serverless.provisioned_concurrency == null ? true :
      var.serverless.provisioned_concurrency <= var.serverless.max_concurrency
    )
    error_message = join(" ", [
      "${var.name}: serverless.provisioned_concurrency must not exceed max_concurrency",
      "(${var.serverless.max_concurrency}), the most containers that ever serve requests.",
    ])
  }
}

variable "tags" {
  description = "Tags for every resource, in addition to the provider's default_tags."
  type        = map(string)
  default     = {}
  nullable    = false
}
