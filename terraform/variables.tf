variable "aws_region" {
  description = "Region to deploy in. Null: the one of the environment (AWS_REGION or the profile)."
  type        = string
  default     = null

  validation {
    condition     = var.aws_region == null || can(regex("^[a-z]{2}(-[a-z]+)+-\\d$", var.aws_region))
    error_message = "aws_region must be a region's code, such as us-east-1 or eu-central-1."
  }
}

variable "endpoints" {
  description = <<-EOT
    The embedding endpoints by key; the key becomes part of their resources' names. Per endpoint:
    - model: where the model comes from, exactly one of hub_id, artifact and image (see modules/huggingface-model);
    - serverless: its size, as memory_mb, max_concurrency and provisioned_concurrency (see modules/serverless-endpoint);
    - endpoint_name: its name, where it shall not be <name>-<key>-endpoint;
    - log_retention_days: how long its logs are kept.
  EOT
  type = map(object({
    endpoint_name      = optional(string)
    log_retention_days = optional(number, 30)
    model = object({
      artifact    = optional(string)
      container   = optional(string)
      environment = optional(map(string), {})
      hub_id      = optional(string)
      image       = optional(string)
      image_tag   = optional(string)
      revision    = optional(string)
      size_gb     = optional(number)
      task        = optional(string, "feature-extraction")

      # Known only to be refused, see below.
      hardware = optional(string)
    })
    serverless = optional(object({
      max_concurrency         = optional(number, 10)
      memory_mb               = optional(number, 2048)
      provisioned_concurrency = optional(number)

      # Known only to be refused, see below.
      memory_size_in_mb = optional(number)
    }))

    # Known only to be refused: Terraform drops attributes that a type does not name, without a word.
    data_capture      = optional(object({}))
    instance_type     = optional(string)
    network_isolation = optional(bool, false)
    realtime          = optional(object({}))
    scale_to_zero     = optional(object({}))
    vpc               = optional(object({}))
  }))
  nullable = false

  validation {
    condition     = length(var.endpoints) > 0
    error_message = "endpoints is empty. Write at least one: endpoints = { embedding = { model = { hub_id = \"sentence-transformers/all-MiniLM-L6-v2\" }, serverless = {} } }."
  }
  validation {
    condition     = alltrue([for key in keys(var.endpoints) : can(regex("^[a-z0-9]+(-[a-z0-9]+)*$", key))])
    error_message = "The keys of endpoints become parts of names and must have lower-case letters, digits and single hyphens between them. Not so: ${join(", ", [for key in keys(var.endpoints) : "\"${key}\"" if !can(regex("^[a-z0-9]+(-[a-z0-9]+)*$", key))])}."
  }
  validation {
    condition     = alltrue([for key in keys(var.endpoints) : length(var.name) + length(key) <= 46])
    error_message = "name and an endpoint's key may have 46 characters together: SageMaker takes 63 for <name>-<key>-config-<hash>. Shorten name or ${join(", ", [for key in keys(var.endpoints) : "\"${key}\"" if length(var.name) + length(key) > 46])}."
  }
  validation {
    # SageMaker compares names without regard to case.
    condition     = length(distinct([for key, endpoint in var.endpoints : lower(coalesce(endpoint.endpoint_name, "${var.name}-${key}-endpoint"))])) == length(var.endpoints)
    error_message = "Two endpoints would have the same name. Names are: ${join(", ", [for key, endpoint in var.endpoints : "${key} = ${coalesce(endpoint.endpoint_name, "${var.name}-${key}-endpoint")}"])}. Change an endpoint_name or a key."
  }
  validation {
    condition     = alltrue([for endpoint in values(var.endpoints) : endpoint.serverless != null && endpoint.realtime == null && endpoint.scale_to_zero == null])
    error_message = "Every endpoint needs serverless = {}, with memory_mb and max_concurrency where the defaults do not fit, and no other kind beside it: only serverless endpoints can be deployed so far. Not so: ${join(", ", [for key, endpoint in var.endpoints : key if endpoint.serverless == null || endpoint.realtime != null || endpoint.scale_to_zero != null])}."
  }
  validation {
    condition     = alltrue([for endpoint in values(var.endpoints) : endpoint.instance_type == null && coalesce(endpoint.model.hardware, "cpu") == "cpu"])
    error_message = "Serverless endpoints have neither instances to choose nor a GPU: leave out instance_type and model.hardware, and set serverless.memory_mb, with which the CPU grows. Not so: ${join(", ", [for key, endpoint in var.endpoints : key if endpoint.instance_type != null || coalesce(endpoint.model.hardware, "cpu") != "cpu"])}."
  }
  validation {
    condition     = alltrue([for endpoint in values(var.endpoints) : try(endpoint.serverless.memory_size_in_mb, null) == null])
    error_message = "Write serverless.memory_mb instead of memory_size_in_mb, in: ${join(", ", [for key, endpoint in var.endpoints : key if try(endpoint.serverless.memory_size_in_mb, null) != null])}."
  }
  validation {
    condition     = alltrue([for endpoint in values(var.endpoints) : endpoint.vpc == null])
    error_message = "Serverless endpoints cannot be attached to a VPC: leave out vpc, and reach them from a VPC through the interface endpoint com.amazonaws.<region>.sagemaker.runtime. Not so: ${join(", ", [for key, endpoint in var.endpoints : key if endpoint.vpc != null])}."
  }
  validation {
    condition     = alltrue([for endpoint in values(var.endpoints) : !coalesce(endpoint.network_isolation, false)])
    error_message = "Serverless endpoints cannot be isolated from the network: leave out network_isolation; an artifact at least downloads nothing from the Hub. Not so: ${join(", ", [for key, endpoint in var.endpoints : key if coalesce(endpoint.network_isolation, false)])}."
  }
  validation {
    condition     = alltrue([for endpoint in values(var.endpoints) : endpoint.data_capture == null])
    error_message = "Serverless endpoints cannot capture requests: leave out data_capture, and record in the application what you need to keep. Not so: ${join(", ", [for key, endpoint in var.endpoints : key if endpoint.data_capture != null])}."
  }
}

variable "environment" {
  description = "Stage that the resources belong to, for their tags. It is not part of names: give two stages in one account two names, such as alex-dev and alex."
  type        = string
  default     = "dev"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9]+(-[a-z0-9]+)*$", var.environment))
    error_message = "environment must have lower-case letters, digits and single hyphens between them, such as dev, staging or prod."
  }
}

variable "hub_token" {
  description = "Hugging Face token for private or gated models. It is kept in the state and in the model's environment; set it by TF_VAR_hub_token, not in a file."
  type        = string
  default     = null
  sensitive   = true
}

variable "name" {
  description = "Name of the project, the first part of every resource's name. Roles are shared by all regions of an account: a second region needs another name."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9]*(-[a-z0-9]+)*$", var.name))
    error_message = "name must begin with a lower-case letter and have lower-case letters, digits and single hyphens between them, such as alex."
  }
}

variable "permissions_boundary" {
  description = "ARN of the policy that bounds the execution roles, where the organisation demands one."
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags for every resource, in addition to Project, Environment and ManagedBy."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for key, value in var.tags : can(regex("^[\\p{L}\\p{Z}\\p{N}_.:/=+@-]{1,128}$", key)) && can(regex("^[\\p{L}\\p{Z}\\p{N}_.:/=+@-]{0,256}$", value)) && !startswith(lower(key), "aws:")])
    error_message = "tags must have keys of up to 128 and values of up to 256 letters, digits, spaces or _.:/=+-@ characters, and no key that begins with aws:."
  }
}
