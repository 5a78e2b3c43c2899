variable "config_name" {
  description = "Name of the endpoint's configuration, to which a hyphen and eight digits of a content hash are added. Null: the endpoint's name."
  type        = string
  default     = null

  validation {
    condition     = can(regex("^[a-zA-Z0-9](-*[a-zA-Z0-9])*$", coalesce(var.config_name, var.name))) && length(coalesce(var.config_name, var.name)) <= 54
    error_message = "The configuration's name \"${coalesce(var.config_name, var.name)}\" must have up to 54 letters, digits and hyphens, with no hyphen at either end: SageMaker takes 63 and the hash needs 9. Set config_name where the endpoint's own name is longer."
  }
}

variable "log_retention_days" {
  description = "Days for which the endpoint's logs are kept; 0 keeps them for ever."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = contains([0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "${var.name}: log_retention_days must be a period that CloudWatch offers: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653 days, or 0 for ever."
  }
}

variable "model" {
  description = "The model to serve: its name and, so that what cannot run is refused before anything is created, its image and sizes. Takes the huggingface-model module as it is."
  type = object({
    artifact_size_gb = optional(number)
    image_size_gb    = optional(number)
    image_uri        = optional(string, "")
    name             = string
  })
  nullable = false

  validation {
    condition     = !can(regex("([:/._-](gpu|cuda[0-9.]*|cu1[0-9]{2})([._-]|$))|/tei:", var.model.image_uri))
    error_message = "${var.name}: ${var.model.image_uri} is a GPU image, and serverless endpoints have no GPU. Take the image for CPUs."
  }
  validation {
    condition     = coalesce(var.model.image_size_gb, 0) <= 10
    error_message = "${var.name}: the image has ${format("%.1f", coalesce(var.model.image_size_gb, 0))} GB, and serverless endpoints take images of up to 10 GB. Leave CUDA and the weights out of it, or take a smaller model, such as sentence-transformers/all-MiniLM-L6-v2 (0.1 GB)."
  }
  validation {
    condition     = coalesce(var.model.artifact_size_gb, 0) <= 5
    error_message = "${var.name}: the model's files have ${format("%.1f", coalesce(var.model.artifact_size_gb, 0))} GB, and a serverless container has 5 GB of disk at any memory size. Take a smaller model, such as sentence-transformers/all-MiniLM-L6-v2 (0.1 GB)."
  }
}

variable "name" {
  description = "Name of the endpoint. It stays, whatever changes behind it."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-zA-Z0-9](-*[a-zA-Z0-9])*$", var.name)) && length(var.name) <= 63
    error_message = "The endpoint's name \"${var.name}\" must have up to 63 letters, digits and hyphens, with no hyphen at either end."
  }
}

variable "serverless" {
  description = <<-EOT
    Size of the endpoint: memory_mb (CPU grows with it), max_concurrency (requests at a time; more are throttled)
    and provisioned_concurrency (containers kept warm and paid for; null: none, so that the first request waits).
  EOT
  type = object({
    max_concurrency         = optional(number, 10)
    memory_mb               = optional(number, 2048)
    provisioned_concurrency = optional(number)
  })
  default  = {}
  nullable = false

  validation {
    condition     = contains([1024, 2048, 3072, 4096, 5120, 6144], var.serverless.memory_mb)
    error_message = "${var.name}: serverless.memory_mb is ${var.serverless.memory_mb} and must be 1024, 2048, 3072, 4096, 5120 or 6144."
  }
  validation {
    condition     = var.serverless.max_concurrency >= 1 && var.serverless.max_concurrency <= 200 && floor(var.serverless.max_concurrency) == var.serverless.max_concurrency
    error_message = "${var.name}: serverless.max_concurrency is ${var.serverless.max_concurrency} and must be a whole number from 1 to 200."
  }
  validation {
    condition     = var.serverless.provisioned_concurrency == null ? true : var.serverless.provisioned_concurrency >= 1 && var.serverless.provisioned_concurrency <= 200 && floor(var.serverless.provisioned_concurrency) == var.serverless.provisioned_concurrency
    error_message = "${var.name}: serverless.provisioned_concurrency must be a whole number from 1 to 200; leave it out to keep no container warm."
  }
  validation {
    condition     = var.serverless.provisioned_concurrency == null ? true : var.serverless.provisioned_concurrency <= var.serverless.max_concurrency
    error_message = "${var.name}: serverless.provisioned_concurrency must not exceed max_concurrency (${var.serverless.max_concurrency}): no more containers than that would ever serve."
  }
}

variable "tags" {
  description = "Tags for the endpoint, its configuration and log group, in addition to the provider's default_tags."
  type        = map(string)
  default     = {}
  nullable    = false
}
