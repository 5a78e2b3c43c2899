variable "alarm" {
  description = "Alarm on failed runs; null creates none."
  type = object({
    # ARN of the SNS topic to notify.
    topic_arn = optional(string)
  })
  default = null
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

variable "description" {
  description = "What the function does, for its description and the schedule's."
  type        = string
  nullable    = false
}

variable "environment" {
  description = "Settings of the function (see .env.example)."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = sum(concat([0], [for name, value in var.environment : length(name) + length(value)])) <= 3800
    error_message = "${var.name}: environment has more than 3,800 characters. Lambda accepts 4 KB. Shorten it."
  }
}

variable "kms_key_arn" {
  description = "KMS key ARN for logs, settings, schedule and queue; null uses the services' keys."
  type        = string
  default     = null

  validation {
    condition = (
      var.kms_key_arn == null ||
      can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:\\d{12}:key/.+$", var.kms_key_arn))
    )
    error_message = "kms_key_arn must be a key's ARN, not an alias: arn:aws:kms:<region>:<account>:key/<id>."
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

variable "memory_mb" {
  description = "Memory of the function, 256 to 10240."
  type        = number
  default     = 512
  nullable    = false

  validation {
    condition     = var.memory_mb >= 256 && var.memory_mb <= 10240 && floor(var.memory_mb) == var.memory_mb
    error_message = "${var.name}: memory_mb must be a whole number from 256 to 10240, Lambda's limit."
  }
}

variable "name" {
  description = "Name of the function, its role, its schedule and its queue."
  type        = string
  nullable    = false

  validation {
    # Names of roles have up to 64 characters, and one of them ends with -schedule.
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9_-]{0,54}$", var.name))
    error_message = "The name \"${var.name}\" must have up to 55 letters, digits, hyphens and underscores."
  }
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

variable "retry" {
  description = "Retries of an invocation that Lambda does not accept."
  type = object({
    # Retries, 0 to 185.
    attempts = optional(number, 3)
    # Age at which an invocation is given up, 60 to 86400 seconds.
    seconds = optional(number, 300)
  })
  default  = {}
  nullable = false

  validation {
    condition = (
      var.retry.attempts >= 0 && var.retry.attempts <= 185 && floor(var.retry.attempts) == var.retry.attempts &&
      var.retry.seconds >= 60 && var.retry.seconds <= 86400 && floor(var.retry.seconds) == var.retry.seconds
    )
    error_message = join(" ", [
      "${var.name}: retry.attempts must be from 0 to 185, and retry.seconds from 60 to 86400,",
      "the limits of EventBridge Scheduler.",
    ])
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
  description = "When to run: rate(5 minutes), cron(0 7 * * ? *) or at(2026-12-01T07:00:00)."
  type        = string
  nullable    = false

  validation {
    condition = can(regex("^(rate\\(\\d+ (minute|hour|day)s?\\)|cron\\(\\S+( \\S+){5}\\)|at\\(.+\\))$", var.schedule))
    error_message = join(" ", [
      "${var.name}: schedule is \"${var.schedule}\" and must be rate(5 minutes), cron(0 7 * * ? *) or",
      "at(2026-12-01T07:00:00), as EventBridge Scheduler reads them.",
    ])
  }
}

variable "statements" {
  description = "IAM statements of the function's role, in addition to its logs and traces."
  type        = any
  default     = []
  nullable    = false
}

variable "tags" {
  description = "Tags for every resource, in addition to the provider's default_tags."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "timeout_s" {
  description = "Timeout of a run in seconds, 3 to 900."
  type        = number
  default     = 240
  nullable    = false

  validation {
    condition     = var.timeout_s >= 3 && var.timeout_s <= 900 && floor(var.timeout_s) == var.timeout_s
    error_message = "${var.name}: timeout_s must be whole seconds from 3 to 900, Lambda's limit."
  }
}

variable "timezone" {
  description = "Time zone of a cron or at schedule, such as Europe/Rome."
  type        = string
  default     = "UTC"
  nullable    = false
}
