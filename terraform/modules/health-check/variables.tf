variable "actions" {
  description = "Recovery actions: redeploy (the last good configuration), wake (an endpoint that is scaled to zero)."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for action in var.actions : contains(["redeploy", "wake"], action)])
    error_message = "actions must be redeploy or wake. Actions are: ${join(", ", var.actions)}."
  }
}

variable "architecture" {
  description = "Processor of the package: arm64 (20 % cheaper) or x86_64."
  type        = string
  default     = "arm64"
  nullable    = false

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "architecture must be arm64 or x86_64, as in the build of the package."
  }
}

variable "bedrock_models" {
  description = "Ids of Bedrock's embedding models to probe, such as amazon.titan-embed-text-v2:0."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "endpoints" {
  description = "Endpoints to check, by key; asynchronous endpoints are described and not probed."
  type = map(object({
    # Name of the inference component, if any.
    component_name = optional(string)
    # embedding or reranker.
    kind = optional(string, "embedding")
    # Name of the endpoint.
    name = string
  }))
  nullable = false

  validation {
    condition     = length(var.endpoints) + length(var.bedrock_models) > 0
    error_message = "The health check has nothing to check. Set endpoints or bedrock_models."
  }
  validation {
    condition     = alltrue([for one in values(var.endpoints) : contains(["embedding", "reranker"], one.kind)])
    error_message = "endpoints: kind must be embedding or reranker."
  }
}

variable "history_days" {
  description = "Days for which the history of checks is kept."
  type        = number
  default     = 90
  nullable    = false

  validation {
    condition     = var.history_days >= 1 && floor(var.history_days) == var.history_days
    error_message = "history_days must be a whole number of at least 1."
  }
}

variable "latency_ms" {
  description = "Target of the median duration of a probe of five short texts in milliseconds."
  type        = number
  default     = 1000
  nullable    = false

  validation {
    condition     = var.latency_ms > 0
    error_message = "latency_ms must be more than 0."
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

variable "name" {
  description = "Name of function, role, schedule and queue, and first part of the bucket's name."
  type        = string
  nullable    = false

  validation {
    # Names of buckets have up to 63 characters, of which account and region need up to 29.
    condition     = can(regex("^[a-z0-9][a-z0-9-]{0,33}$", var.name))
    error_message = "The name \"${var.name}\" must have up to 34 lowercase letters, digits and hyphens."
  }
}

variable "notifications" {
  description = "Who is told of outages and recoveries; null tells nobody and creates no alarms."
  type = object({
    # ARNs of the topic's KMS key, if it has one.
    key_arns = optional(list(string), [])
    # ARN of the SNS topic.
    topic_arn = string
  })
  default = null
}

variable "package" {
  description = "Path of the function's package; embedstack package-functions builds it."
  type        = string
  nullable    = false

  validation {
    condition = fileexists(var.package)
    error_message = join(" ", [
      "There is no package at ${var.package}.",
      "Build it with embedstack package-functions --architecture ${var.architecture} --python ${var.python_version},",
      "or set architecture and python_version to those of an existing package.",
    ])
  }
}

variable "permissions_boundary" {
  description = "ARN of the permissions boundary of the roles, if the organisation requires one."
  type        = string
  default     = null

  validation {
    condition = (
      var.permissions_boundary == null ||
      can(regex("^arn:[a-z-]+:iam::(\\d{12}|aws):policy/.+$", var.permissions_boundary))
    )
    error_message = "permissions_boundary must be a policy's ARN: arn:aws:iam::<account>:policy/<name>."
  }
}

variable "project" {
  description = "First part of the names of the endpoints' configurations and models."
  type        = string
  nullable    = false
}

variable "python_version" {
  description = "Python version of the package."
  type        = string
  default     = "3.13"
  nullable    = false

  validation {
    condition     = contains(["3.11", "3.12", "3.13", "3.14"], var.python_version)
    error_message = "python_version must be 3.11, 3.12, 3.13 or 3.14, as in the build of the package."
  }
}

variable "role_path" {
  description = "Path of the roles, such as /embeddings/."
  type        = string
  default     = "/"
  nullable    = false

  validation {
    condition     = can(regex("^/([A-Za-z0-9._+=,@-]+/)*$", var.role_path))
    error_message = "role_path must begin and end with a slash, such as /embeddings/, or be a single one."
  }
}

variable "schedule" {
  description = "When to check: rate(5 minutes), or a cron expression."
  type        = string
  default     = "rate(5 minutes)"
  nullable    = false
}

variable "tags" {
  description = "Tags for every resource, in addition to the provider's default_tags."
  type        = map(string)
  default     = {}
  nullable    = false
}

