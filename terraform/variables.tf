variable "alarms" {
  description = "When to raise an alarm (see modules/observability); {} for the defaults. Null: no alarms."
  type = object({
    concurrency_utilization = optional(number, 0.8)
    errors_per_minute       = optional(number, 1)
    gpu_memory_percent      = optional(number, 90)
    latency_p95_ms          = optional(number, 1000)
    model_errors_per_minute = optional(number, 1)
    overhead_p95_ms         = optional(number, 1000)
    silence_minutes         = optional(number)
  })
  default = null
}

variable "aws_region" {
  description = "Region to deploy in. Null: the one of the environment (AWS_REGION or the profile)."
  type        = string
  default     = null

  validation {
    condition     = var.aws_region == null || can(regex("^[a-z]{2}(-[a-z]+)+-\\d$", var.aws_region))
    error_message = "aws_region must be a region's code, such as us-east-1 or eu-central-1."
  }
}

variable "budget" {
  description = "Monthly budget in US dollars, told of at percentages of it (see modules/observability); {} for 100 USD. Null: none."
  type = object({
    anomaly_usd = optional(number, 10)
    by_tag      = optional(bool, false)
    limit_usd   = optional(number, 100)
    percentages = optional(list(number), [80, 100])
  })
  default = null
}

variable "dashboard" {
  description = "Whether to make a CloudWatch dashboard of all endpoints."
  type        = bool
  default     = false
  nullable    = false
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

variable "notifications" {
  description = "Who is told of alarms and costs: emails, further subscriptions, or a topic of one's own (see modules/observability)."
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
