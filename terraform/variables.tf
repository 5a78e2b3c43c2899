variable "alarms" {
  description = "Alarm thresholds (see modules/observability); {} sets the defaults, null creates no alarms."
  type = object({
    concurrency_utilization = optional(number, 0.8)
    errors_per_minute       = optional(number, 1)
    failures_per_minute     = optional(number, 1)
    gpu_memory_percent      = optional(number, 90)
    idle_hours              = optional(number, 24)
    latency_p95_ms          = optional(number, 1000)
    model_errors_per_minute = optional(number, 1)
    no_traffic_minutes      = optional(number)
    overhead_p95_ms         = optional(number, 1000)
    queue_age_s             = optional(number, 1800)
  })
  default = null
}

variable "aws_region" {
  description = "Region that the provider must use; null accepts the one of AWS_REGION or the profile."
  type        = string
  default     = null

  validation {
    condition     = var.aws_region == null || can(regex("^[a-z]{2}(-[a-z]+)+-\\d$", var.aws_region))
    error_message = "aws_region must be a region's code, such as us-east-1 or eu-central-1."
  }
}

variable "budget" {
  description = "Monthly budget (see modules/observability); {} sets 100 USD, null creates none."
  type = object({
    anomaly_usd = optional(number, 10)
    by_tag      = optional(bool, false)
    limit_usd   = optional(number, 100)
    percentages = optional(list(number), [80, 100])
  })
  default = null
}

variable "dashboard" {
  description = "Whether to create a CloudWatch dashboard of all endpoints."
  type        = bool
  default     = false
  nullable    = false
}

variable "environment" {
  description = "Stage for the tag Environment; it is not part of names."
  type        = string
  default     = "dev"
  nullable    = false

  validation {
    condition = can(regex("^[a-z0-9]+(-[a-z0-9]+)*$", var.environment))
    error_message = join(" ", [
      "environment must have lowercase letters, digits and single hyphens between them,",
      "such as dev, staging or prod.",
    ])
  }
}

variable "hub_token" {
  description = "Hugging Face token for private or gated models; it is stored in the state."
  type        = string
  default     = null
  sensitive   = true
}

variable "name" {
  description = "Name of the project, first part of every resource name and unique in the account."
  type        = string
  nullable    = false

  validation {
    condition = can(regex("^[a-z][a-z0-9]*(-[a-z0-9]+)*$", var.name))
    error_message = join(" ", [
      "name must begin with a lowercase letter and have lowercase letters, digits and single hyphens between them,",
      "such as alex.",
    ])
  }
}

variable "notifications" {
  description = "Receivers of alarms and cost notifications (see modules/observability)."
  type = object({
    emails = optional(list(string), [])
    subscriptions = optional(map(object({
      endpoint = string
      protocol = string
    })), {})
    topic_arn = optional(string)
  })
  default  = {}
  nullable = false
}

variable "notifications_key_arn" {
  description = "ARN of the KMS key of the topic for notifications; defaults to a new key."
  type        = string
  default     = null
}

variable "permissions_boundary" {
  description = "ARN of the permissions boundary of every role, where the organisation requires one."
  type        = string
  default     = null
}

variable "role_path" {
  description = "Path of every role, such as /embeddings/."
  type        = string
  default     = "/"
  nullable    = false

  validation {
    condition     = can(regex("^/([A-Za-z0-9._+=,@-]+/)*$", var.role_path))
    error_message = "role_path must begin and end with a slash, such as /embeddings/, or be a single one."
  }
}

variable "tags" {
  description = "Tags for every resource, in addition to Project, Environment and ManagedBy."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition = alltrue([
      for key, value in var.tags :
      can(regex("^[\\p{L}\\p{Z}\\p{N}_.:/=+@-]{1,128}$", key)) &&
      can(regex("^[\\p{L}\\p{Z}\\p{N}_.:/=+@-]{0,256}$", value)) &&
      !startswith(lower(key), "aws:")
    ])
    error_message = join(" ", [
      "tags must have keys of up to 128 and values of up to 256 letters, digits, spaces or _.:/=+-@ characters,",
      "and no key that begins with aws:.",
    ])
  }
}
