variable "async" {
  description = "Asynchronous inference, with requests and responses in S3; null serves real-time requests."
  type = object({
    # Requests that one instance processes at the same time, 1 to 1000.
    concurrency = optional(number, 4)
    # ARN of the SNS topic for failed requests.
    error_topic_arn = optional(string)
    # S3 prefix for failures; defaults to output_path.
    failure_path = optional(string)
    # S3 prefix that requests are read from.
    input_path = string
    # S3 prefix that responses are written to.
    output_path = string
    # ARN of the SNS topic for completed requests.
    success_topic_arn = optional(string)
  })
  default = null

  validation {
    condition = (
      var.async == null ? true :
      alltrue([
        for path in compact([var.async.failure_path, var.async.input_path, var.async.output_path]) :
        can(regex("^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[^*?]+$", path))
      ])
    )
    error_message = join(" ", [
      "${var.name}: async.input_path, output_path and failure_path must be S3 URIs with a prefix, such as",
      "s3://my-bucket/answers, because the endpoint's role has access to nothing else.",
    ])
  }
  validation {
    condition = (
      var.async == null ? true :
      var.async.concurrency >= 1 &&
      var.async.concurrency <= 1000 &&
      floor(var.async.concurrency) == var.async.concurrency
    )
    error_message = join(" ", [
      "${var.name}: async.concurrency must be a whole number from 1 to 1000, the requests that one instance",
      "processes at the same time.",
    ])
  }
  validation {
    condition = (
      var.async == null ? true :
      alltrue([
        for arn in compact([var.async.error_topic_arn, var.async.success_topic_arn]) :
        can(regex("^arn:[a-z-]+:sns:", arn))
      ])
    )
    error_message = join(" ", [
      "${var.name}: async.error_topic_arn and success_topic_arn must be ARNs of SNS topics:",
      "arn:aws:sns:<region>:<account>:<name>.",
    ])
  }
}

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

variable "data_capture" {
  description = "Recording of requests and responses in S3, including their texts; null records none."
  type = object({
    # Input, Output or both.
    modes = optional(list(string), ["Input", "Output"])
    # S3 prefix that recordings are written to.
    path = string
    # Share of the requests to record, 1 to 100.
    percentage = optional(number, 100)
  })
  default = null

  validation {
    condition = (
      var.data_capture == null ? true :
      can(regex("^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[^*?]+$", var.data_capture.path))
    )
    error_message = "${var.name}: data_capture.path must be an S3 URI with a prefix, such as s3://my-bucket/captured."
  }
  validation {
    condition = (
      var.data_capture == null ? true :
      var.data_capture.percentage >= 1 &&
      var.data_capture.percentage <= 100 &&
      floor(var.data_capture.percentage) == var.data_capture.percentage
    )
    error_message = join(" ", [
      "${var.name}: data_capture.percentage must be a whole number from 1 to 100.",
      "Remove data_capture to record nothing.",
    ])
  }
  validation {
    condition = (
      var.data_capture == null ? true :
      length(var.data_capture.modes) > 0 &&
      length(setsubtract(var.data_capture.modes, ["Input", "Output"])) == 0 &&
      length(distinct(var.data_capture.modes)) == length(var.data_capture.modes)
    )
    error_message = "${var.name}: data_capture.modes must be \"Input\", \"Output\" or both."
  }
}

variable "deployment" {
  description = "How an update shifts traffic; null shifts it all at once, without alarms."
  type = object({
    # Seconds to watch the alarms before each next step, 0 to 3600.
    bake_s = optional(number, 300)
    # Share of the instances in each step, up to 50.
    percent = optional(number, 10)
    # Names of up to 10 alarms that roll the deployment back.
    rollback_alarms = optional(list(string), [])
    # all_at_once, canary, linear or rolling (without a second fleet).
    strategy = optional(string, "canary")
    # Seconds for which the old instances stay after the last step.
    termination_wait_s = optional(number, 0)
    # Seconds after which SageMaker gives up, 600 to 3600.
    timeout_s = optional(number, 3600)
  })
  default = null

  validation {
    condition = (
      var.deployment == null ? true :
      contains(["all_at_once", "canary", "linear", "rolling"], var.deployment.strategy)
    )
    error_message = "${var.name}: deployment.strategy must be all_at_once, canary, linear or rolling."
  }
  validation {
    # SageMaker's own limits.
    condition = var.deployment == null ? true : (
      var.deployment.strategy == "all_at_once" || (
        var.deployment.percent >= lookup({ linear = 10, rolling = 5 }, var.deployment.strategy, 1) &&
        var.deployment.percent <= 50 && floor(var.deployment.percent) == var.deployment.percent
      )
    )
    error_message = join(" ", [
      "${var.name}: deployment.percent must be a whole number from 1 to 50 for canary, 10 to 50 for linear and 5",
      "to 50 for rolling.",
    ])
  }
  validation {
    condition = (
      var.deployment == null ? true :
      alltrue([
        for seconds in [var.deployment.bake_s, var.deployment.termination_wait_s] :
        seconds >= 0 && seconds <= 3600 && floor(seconds) == seconds
      ])
    )
    error_message = "${var.name}: deployment.bake_s and termination_wait_s must be whole seconds from 0 to 3600."
  }
  validation {
    condition = (
      var.deployment == null ? true :
      var.deployment.timeout_s >= 600 &&
      var.deployment.timeout_s <= 3600 &&
      floor(var.deployment.timeout_s) == var.deployment.timeout_s
    )
    error_message = join(" ", [
      "${var.name}: deployment.timeout_s must be whole seconds from 600 to 3600.",
      "SageMaker accepts 28800, but the AWS provider waits for an hour, and the apply would fail before the",
      "deployment ends.",
    ])
  }
  validation {
    condition = var.deployment == null ? true : length(var.deployment.rollback_alarms) <= 10
    error_message = join(" ", [
      "${var.name}: SageMaker watches up to 10 alarms, and deployment.rollback_alarms has",
      "${try(length(var.deployment.rollback_alarms), 0)}.",
      "In the root, var.alarms adds three for each variant: remove some of yours, or set rollback_by_alarms =",
      "false and name the ten most important ones.",
    ])
  }
  validation {
    condition = var.deployment == null ? true : var.deployment.strategy != "rolling" || length(var.variants) == 1
    error_message = join(" ", [
      "${var.name}: rolling deployments need an endpoint with one variant.",
      "Use all_at_once, canary or linear.",
    ])
  }
}

variable "kms_key_arn" {
  description = "KMS key ARN for volumes, asynchronous output and captured data; null uses AWS's keys."
  type        = string
  default     = null

  validation {
    condition = (
      var.kms_key_arn == null ||
      can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:\\d{12}:key/.+$", var.kms_key_arn))
    )
    error_message = join(" ", [
      "${var.name}: kms_key_arn must be a key's ARN, not an alias:",
      "arn:aws:kms:<region>:<account>:key/<id>.",
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

variable "tags" {
  description = "Tags for every resource, in addition to the provider's default_tags."
  type        = map(string)
  default     = {}
  nullable    = false
}
